"""
Intervals that know where it is noisy
=====================================

A spline follows the acceleration of the head in a motorcycle accident too. But it has one noise
for all times, and before the impact there is none. Each expert has a noise of its own, and so the intervals of a
mixture are narrow where the measurements are.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import SplineTransformer

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_motorcycle
from emkit.plot import ExpertsDisplay
from emkit.selection import log_likelihood_scorer

crash = load_motorcycle(as_frame=True).frame
X, y = crash[["times"]], crash["accel"]  # milliseconds after the impact; acceleration in units of g

# %%
# One expert whose inputs come from ``SplineTransformer`` is a spline with one noise. ``score`` is R squared, which
# looks at the mean alone; the log-likelihood of rows that were left out looks at the whole law.

models = {
    "a spline, one noise": EMMixtureOfExpertsRegressor(1, expert_features=SplineTransformer(8)),
    "four experts": EMMixtureOfExpertsRegressor(4, gate_alpha=0.01, random_state=0),
}
folds = KFold(5, shuffle=True, random_state=0)
early = X["times"] < 13
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    by_mean = cross_val_score(model, X, y, cv=folds).mean()
    by_law = cross_val_score(model, X, y, cv=folds, scoring=log_likelihood_scorer).mean()
    print(f"{name}, rows left out: R squared {by_mean:.2f}, log-likelihood {by_law:.3f}")

    lower, upper = model.fit(X, y).predict_interval(X, 0.9)
    inside, width = ((lower <= y) & (y <= upper)).mean(), upper - lower
    print(f"    90 % intervals: {inside:.0%} of the rows are inside, ", end="")
    print(f"width {width[early].mean():.0f} g before 13 ms, {width[~early].mean():.0f} g later")
    display = ExpertsDisplay.from_estimator(model, X, y, level=0.9, ax=ax)
    display.ax_.set(title=name, ylabel="acceleration (g)")
    display.ax_gate_.set_xlabel("time (ms)")
plt.show()
