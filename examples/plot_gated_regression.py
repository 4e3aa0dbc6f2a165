"""
A curve of pieces, each with its own noise
==========================================

In a simulated motorcycle accident the head first moves evenly, is thrown back, comes forward, and settles. One line is
too stiff for that, and one noise too narrow in the middle and too wide at the beginning. A mixture of experts has a
line and a noise for each phase, and a gate that says how the phases follow each other.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.preprocessing import SplineTransformer

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_motorcycle
from emkit.plot import ExpertsDisplay

crash = load_motorcycle(as_frame=True).frame
X, y = crash[["times"]], crash["accel"]  # milliseconds after the impact; acceleration in units of g

# %%
# How many experts?
# -----------------
# The gate is a softmax of linear functions of time. BIC is lowest at four: one for each phase.

fits = [EMMixtureOfExpertsRegressor(k, random_state=0).fit(X, y) for k in (1, 2, 3, 4, 5)]
for fit in fits:
    print(
        f"K = {fit.n_components}: log-likelihood {fit.score_samples(X, y).sum():.1f}, "
        f"{fit.n_parameters_:2d} parameters, BIC {fit.bic(X, y):.1f}"
    )
model = min(fits, key=lambda fit: fit.bic(X, y))

# %%
# Experts and gate
# ----------------
# A curve is faint where the gate gives its expert less than elsewhere. Where two experts share an interval, the mixture
# has two modes, and its interval is as wide as both together.

share = model.predict_expert_proba(X)
for k in np.argsort(share.T @ X["times"] / share.sum(axis=0)):
    times = X["times"][share.argmax(axis=1) == k]
    print(
        f"expert {k}, {times.min():4.1f} to {times.max():.1f} ms: {model.coef_[k, 0]:+6.2f} g a millisecond, "
        f"noise {model.scale_[k]:4.1f} g"
    )
ExpertsDisplay.from_estimator(model, X, y, level=0.9)
plt.show()

# %%
# How abrupt is the gate?
# -----------------------
# ``gate_alpha`` is an L2 penalty, and the default of 0.1 makes for soft changes. ``score`` is R squared, which looks at
# the mean alone. The log-likelihood of rows that were left out looks at the whole law, so it is what the search
# compares.


def log_likelihood(estimator, X, y):
    return estimator.score_samples(X, y).mean()


folds = KFold(5, shuffle=True, random_state=0)
four = EMMixtureOfExpertsRegressor(4, random_state=0)
search = GridSearchCV(four, {"gate_alpha": [0.01, 0.1, 1.0]}, scoring=log_likelihood, cv=folds).fit(X, y)
for alpha, score in zip(search.cv_results_["param_gate_alpha"], search.cv_results_["mean_test_score"], strict=True):
    print(f"gate_alpha = {alpha:4}: held-out log-likelihood {score:.3f}")

# %%
# Beside a spline with one noise
# ------------------------------
# A spline follows the mean as well. But with the same noise everywhere its intervals are far too wide before the
# impact. One expert of ``SplineTransformer`` inputs is that model.

spline = EMMixtureOfExpertsRegressor(1, expert_features=SplineTransformer(8)).fit(X, y)
print(f"spline: held-out log-likelihood {cross_val_score(spline, X, y, scoring=log_likelihood, cv=folds).mean():.3f}")
models = {"one expert, a spline": spline, "four experts": search.best_estimator_}
early = X["times"] < 13
for name, fit in models.items():
    lower, upper = fit.predict_interval(X, 0.9)
    inside, width = (lower <= y) & (y <= upper), upper - lower
    print(
        f"{name}: 90 % intervals hold {inside.mean():.0%} of the rows and are on average {width[early].mean():.0f} g "
        f"wide before 13 ms, {width[~early].mean():.0f} g later"
    )

figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
for ax, (name, fit) in zip(axes, models.items(), strict=True):
    ExpertsDisplay.from_estimator(fit, X, y, level=0.9, ax=ax).ax_.set_title(name)
plt.show()
