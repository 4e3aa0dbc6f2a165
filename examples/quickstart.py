"""Choose the number of components of a Gaussian mixture on real data, fit it, and draw it.

Each row of Old Faithful is the duration of an eruption of the geyser and the waiting time to the next, in minutes.
"""

from pathlib import Path

from matplotlib.figure import Figure

from emkit import ComponentSearch, EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.plot import ComponentSearchDisplay, MixtureDisplay

X = load_old_faithful().data
search = ComponentSearch(EMGaussianMixture(), n_components=range(1, 6), cv=5, random_state=0).fit(X)

print("components     BIC  held-out log-likelihood a row")
for k, bic, held_out, rank in zip(
    *(search.results_[c] for c in ("n_components", "bic", "heldout_mean", "rank")), strict=True
):
    print(f"{k:10d}  {bic:6.1f}  {held_out:29.3f}{'   <- lowest BIC' * int(rank == 1)}")

mixture = search.best_estimator_
print(f"\n{len(X)} eruptions, {len(mixture.weights_)} components; converged: {mixture.converged_}")
for k, (weight, mean) in enumerate(zip(mixture.weights_, mixture.means_, strict=True)):
    print(f"component {k}: {weight:.0%} of the rows, ", end="")
    print(f"{mean[0]:.2f} minutes long, {mean[1]:.1f} minutes to the next")

figure = Figure(figsize=(9, 4), layout="constrained")
left, right = figure.subplots(1, 2)
ComponentSearchDisplay.from_estimator(search, ax=left)
MixtureDisplay.from_estimator(mixture, X, kind="density", ax=right)
right.set(xlabel="eruption (minutes)", ylabel="waiting time (minutes)")

path = Path(__file__).with_name("quickstart.png")
figure.savefig(path, dpi=120)
print(f"\nPicture: {path}")
