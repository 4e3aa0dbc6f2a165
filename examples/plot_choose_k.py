"""
Choosing the number of components
=================================

Four answers to one question, on the eruptions of Old Faithful: which density predicts new rows (held-out
log-likelihood, AIC), which model is the true one if one of these is (BIC), and how many clusters are there (ICL).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import RepeatedKFold, cross_val_score

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.selection import aic, bic, icl

X = load_old_faithful().data
n_components = np.arange(1, 7)

# %%
# Criteria on the training data
# -----------------------------
# They compare maxima, so each K gets twenty full starts.

mixtures = [EMGaussianMixture(k, n_init=20, random_state=0).fit(X) for k in n_components]
criteria = {f.__name__.upper(): np.array([f(mixture, X) for mixture in mixtures]) for f in (aic, bic, icl)}

# %%
# Likelihood of rows left out
# ---------------------------
# The folds are shuffled: rows in time order or sorted by cluster would leave whole clusters out. All K see the same
# folds, so the differences from K = 2 vary less than the values do.

folds = RepeatedKFold(n_splits=5, n_repeats=4, random_state=0)
scores = np.array([cross_val_score(EMGaussianMixture(k, random_state=0), X, cv=folds) for k in n_components])
difference = scores - scores[1]

print("K     AIC     BIC     ICL   held-out a row, minus that of K = 2")
for i, k in enumerate(n_components):
    values = "  ".join(f"{values[i]:.1f}" for values in criteria.values())
    print(f"{k}  {values}   {difference[i].mean():+.3f} (sd over folds {difference[i].std():.3f})")

# %%
# One picture
# -----------

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for (name, values), marker in zip(criteria.items(), "os^", strict=True):
    left.plot(n_components, values, f"{marker}-", label=name)
    left.plot(n_components[values.argmin()], values.min(), marker, color="black", fillstyle="none", markersize=13)
left.set(xlabel="components", ylabel="criterion (lower is better)")
left.legend()
right.errorbar(n_components[1:], difference[1:].mean(axis=1), difference[1:].std(axis=1), fmt="o-", capsize=4)
right.axhline(0, color="0.6", linewidth=0.8)
right.set(xlabel="components", ylabel="held-out log-likelihood a row,\nminus that of K = 2", xticks=n_components[1:])
plt.show()
