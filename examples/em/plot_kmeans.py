"""
k-means is hard EM
==================

Give each row to one component, let all components share one spherical variance and hold the weights equal: EM then is
Lloyd's algorithm. From the same start both end with the same labels, centres and inertia.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

from emkit import EMGaussianMixture
from emkit.plot import MixtureDisplay

X = load_iris(as_frame=True).data
(n, d), k = X.shape, 3
centres = X.iloc[[0, 60, 120]]

# %%
# Both from the same three rows
# -----------------------------

kmeans = KMeans(k, init=centres, n_init=1, algorithm="lloyd", tol=0).fit(X)
mixture = EMGaussianMixture(
    k,
    covariance_type="EII",
    assignment="hard",
    fixed=("weights",),
    weights_init=np.full(k, 1 / k),
    means_init=centres,
).fit(X)

print("same labels:       ", np.array_equal(mixture.predict(X), kmeans.labels_))
print("centres differ by: ", np.abs(mixture.means_ - kmeans.cluster_centers_).max())

display = MixtureDisplay.from_estimator(mixture, X, columns=[2, 3], levels=(0.9,))
display.ax_.plot(*kmeans.cluster_centers_[:, 2:].T, "k+", markersize=22, label="centres of KMeans")
display.ax_.legend(loc="upper left")
display.ax_.set_aspect("equal")
plt.show()

# %%
# Inertia and objective
# ---------------------
# The shared variance is the inertia divided by n d. The objective is the classification log-likelihood, which falls as
# the inertia rises: -n log k - n d / 2 (log(2 pi inertia / (n d)) + 1).

variance = kmeans.inertia_ / (n * d)
objective = -n * np.log(k) - n * d / 2 * (np.log(2 * np.pi * variance) + 1)
print(f"inertia:   {kmeans.inertia_:.6f} (k-means), {n * d * mixture.covariances_:.6f} (EM)")
print(f"objective: {objective:.6f} (k-means), {mixture.objective_:.6f} (EM)")
