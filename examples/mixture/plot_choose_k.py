"""
Choosing the number of components
=================================

How many kinds of eruption has Old Faithful? One search gives every criterion, and the picture of them.
"""

import matplotlib.pyplot as plt

from emkit import ComponentSearch, EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.plot import ComponentSearchDisplay, MixtureDisplay

X = load_old_faithful(as_frame=True).data
shared = {"n_components": range(1, 7), "random_state": 0}
search = ComponentSearch(EMGaussianMixture(), cv=5, **shared).fit(X)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
ComponentSearchDisplay.from_estimator(search, ax=left)
MixtureDisplay.from_estimator(search.best_estimator_, X, ax=right)
plt.show()
print(f"chosen by BIC: {search.best_params_}")

# %%
# Each number of components was started anew and from a division of the fit before it; the table says which was better.
# Fits that rest on a collapsed component are left out by name. The criteria answer different questions: which density
# predicts new rows (held-out log-likelihood, AIC), which model is the true one if one of these is (BIC), and how many
# clusters there are (ICL).

columns = ["n_components", "log_likelihood", "bic", "aic", "icl", "heldout_mean", "heldout_se", "rank"]
print(search.results_frame()[columns].round(2).to_string(index=False))

# %%
# Held-out likelihood
# -------------------
# Folds are shuffled. The smallest number within one standard error of the best is the careful choice.

careful = {"criterion": "heldout", "one_standard_error": True, **shared}
by_heldout = ComponentSearch(EMGaussianMixture(), **careful).fit(X)
ComponentSearchDisplay.from_estimator(by_heldout)
plt.show()
print(f"chosen by held-out likelihood: {by_heldout.best_params_}")
