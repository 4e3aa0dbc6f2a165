"""
Looking at a mixture
====================

Components in one column, in two, and in each pair of several. What is drawn of a mixture in more dimensions is its
exact marginal, so that bars and curves, or rows and ellipses, may be compared.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.plot import MixtureDisplay

# %%
# One column and two
# ------------------
# Rows have the colour and the marker of their most probable component, and fade where that is in doubt.

X = load_old_faithful(as_frame=True).data
mixture = EMGaussianMixture(2, random_state=0).fit(X)
figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
MixtureDisplay.from_estimator(mixture, X, ax=axes[0])
MixtureDisplay.from_estimator(mixture, X, kind="density", ax=axes[1])
MixtureDisplay.from_estimator(mixture, X, columns="waiting", ax=axes[2])
plt.show()

# %%
# Each pair of columns
# --------------------

iris = load_iris(as_frame=True).data
flowers = EMGaussianMixture(3, covariance_type="tied", random_state=0).fit(iris)
MixtureDisplay.from_estimator(flowers, iris)
plt.show()

# %%
# Rows of no component
# --------------------
# With ``noise=True`` rows far from all components are grey crosses, here fifty that were drawn at random.

scattered = np.random.default_rng(0).uniform([1, 35], [6, 105], (50, 2))
rows = np.vstack([X, scattered])
noisy = EMGaussianMixture(2, noise=True, random_state=0).fit(rows)
display = MixtureDisplay.from_estimator(noisy, rows)
display.ax_.set(xlabel="eruptions", ylabel="waiting")
plt.show()
