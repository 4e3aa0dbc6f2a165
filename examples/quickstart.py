"""Choose the number of components of a Gaussian mixture on real data, fit it, and draw it.

Each row of Old Faithful is the duration of an eruption of the geyser and the waiting time to the next, in minutes.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.model_selection import GridSearchCV, KFold

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.selection import bic

data = load_old_faithful()
X = data.data

# Mean log-likelihood of the rows left out, for one to five components. The folds are shuffled.
folds = KFold(n_splits=5, shuffle=True, random_state=0)
search = GridSearchCV(EMGaussianMixture(random_state=0), {"n_components": [1, 2, 3, 4, 5]}, cv=folds).fit(X)
held_out = search.cv_results_["mean_test_score"]
criterion = [bic(EMGaussianMixture(k, random_state=0).fit(X), X) for k in range(1, 6)]

print("components  held-out log-likelihood a row     BIC")
for k in range(1, 6):
    marks = "   <- most likely" * int(k == search.best_params_["n_components"])
    marks += "   <- lowest BIC" * int(k == 1 + np.argmin(criterion))
    print(f"{k:10d}  {held_out[k - 1]:29.3f}  {criterion[k - 1]:6.1f}{marks}")

mixture = search.best_estimator_
print(f"\n{len(X)} eruptions, {len(mixture.weights_)} components; converged: {mixture.converged_}")
for k, (weight, mean) in enumerate(zip(mixture.weights_, mixture.means_, strict=True)):
    print(f"component {k}: {weight:.0%} of the rows, {mean[0]:.2f} minutes long, {mean[1]:.1f} minutes to the next")

figure = Figure(figsize=(9, 4), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(range(1, 6), held_out, "o-", color="C0")
left.set(xlabel="components", ylabel="held-out log-likelihood a row (higher is better)", xticks=range(1, 6))
other = left.twinx()
other.plot(range(1, 6), criterion, "s--", color="C1")
other.set_ylabel("BIC (lower is better)", color="C1")
right.scatter(*X.T, c=mixture.predict(X), cmap="coolwarm", s=12)
grid = np.meshgrid(np.linspace(1.2, 5.5, 120), np.linspace(38, 102, 120))
density = np.exp(mixture.score_samples(np.stack(grid, axis=-1).reshape(-1, 2))).reshape(grid[0].shape)
right.contour(*grid, density, levels=8, colors="0.4", linewidths=0.7)
right.set(xlabel="eruption (minutes)", ylabel="waiting time (minutes)")

path = Path(__file__).with_name("quickstart.png")
figure.savefig(path, dpi=120)
print(f"\nPicture: {path}")
