"""
The worked example: fourteen heights
====================================

Two components, started at means 160 and 175 with standard deviation 5 and equal weights. Textbook EM first sits on a
plateau, so long that many rules would stop there, and then finds a solution that looks quite different.
"""

import matplotlib.pyplot as plt

from emkit import EMGaussianMixture
from emkit.datasets import load_heights
from emkit.plot import MixtureDisplay

X = load_heights().data
start = {"means_init": [[160], [175]], "precisions_init": [[[1 / 25]], [[1 / 25]]]}
start["weights_init"] = [0.5, 0.5]

# %%
# Along the way
# -------------
# ``max_iter=n, tol=0, accelerate=False`` is n textbook steps. The last columns are the responsibilities of the second
# component for the heights 152, 168 and 185.

print("steps  log-lik.   means          sd         weights    r(152) r(168) r(185)")
for n in (0, 1, 2, 10, 50, 100, 120, 150, 200):
    mixture = EMGaussianMixture(2, **start, max_iter=n, tol=0, accelerate=False).fit(X)
    (m1, m2), (w1, w2) = mixture.means_[:, 0], mixture.weights_
    s1, s2 = mixture.covariances_.ravel() ** 0.5
    r1, r2, r3 = mixture.predict_proba([[152], [168], [185]])[:, 1]
    print(
        f"{n:5d} {mixture.objective_:.5f}  {m1:.2f} {m2:.2f}  {s1:.2f} {s2:.2f}  {w1:.3f} {w2:.3f}",
        end="",
    )
    print(f"   {r1:.4f} {r2:.4f} {r3:.4f}")

# %%
# To the end
# ----------
# ``tol`` bounds what is left to gain, so the fit goes on over the plateau. Acceleration reaches the same maximum in
# fewer steps.

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
for label, accelerate in (("textbook EM", False), ('accelerate="auto"', "auto")):
    best = EMGaussianMixture(2, **start, accelerate=accelerate).fit(X)
    print(f"{label:18s} {best.n_iter_:4d} steps, log-likelihood {best.objective_:.5f}")
    left.plot(best.history_["iteration"][1:], best.history_["objective"][1:], label=label)
left.set(xlabel="step", ylabel="log-likelihood", title="the plateau")
left.legend()
early = EMGaussianMixture(2, **start, max_iter=2, tol=0, accelerate=False).fit(X)
for mixture, ax, title in ((early, middle, "after 2 steps"), (best, right, "at the maximum")):
    MixtureDisplay.from_estimator(mixture, X, ax=ax)
    ax.set(title=title, xlabel="height (cm)", ylim=(0, 0.06))
plt.show()
