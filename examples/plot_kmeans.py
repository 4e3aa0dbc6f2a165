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

X = load_iris().data
(n, d), k = X.shape, 3
centres = X[[0, 60, 120]]

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

# %%
# Inertia and objective
# ---------------------
# The shared variance is the inertia divided by n d. The objective is the classification log-likelihood, which falls as
# the inertia rises: -n log k - n d / 2 (log(2 pi inertia / (n d)) + 1).

variance = kmeans.inertia_ / (n * d)
objective = -n * np.log(k) - n * d / 2 * (np.log(2 * np.pi * variance) + 1)
print(f"inertia:   {kmeans.inertia_:.6f} (k-means), {n * d * mixture.covariances_:.6f} (EM)")
print(f"objective: {objective:.6f} (k-means), {mixture.objective_:.6f} (EM)")

# %%
# The clusters
# ------------

plt.figure(figsize=(6, 4), layout="constrained")
plt.scatter(X[:, 2], X[:, 3], c=mixture.predict(X), cmap="viridis", s=15)
plt.plot(*kmeans.cluster_centers_[:, 2:].T, "ko", markersize=12, fillstyle="none", label="KMeans")
plt.plot(*mixture.means_[:, 2:].T, "r+", markersize=9, label="hard EM")
plt.xlabel("petal length (cm)")
plt.ylabel("petal width (cm)")
plt.legend()
plt.show()
