"""
Looking at a mixture
====================

Components in one column, in two, and in each pair of several. What is drawn of a mixture in more dimensions is its
exact marginal, so that bars and curves, or rows and ellipses, may be compared.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from emkit import EMGaussianMixture, EMHiddenMarkov
from emkit.datasets import load_old_faithful
from emkit.plot import MixtureDisplay, StateDisplay

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
# Rows of no component
# --------------------
# With ``noise=True`` rows far from all components are grey crosses, here fifty that were drawn at random.

scattered = np.random.default_rng(0).uniform([1, 35], [6, 105], (50, 2))
rows = np.vstack([X, scattered])
noisy = EMGaussianMixture(2, noise=True, random_state=0).fit(rows)
display = MixtureDisplay.from_estimator(noisy, rows)
display.ax_.set(xlabel="eruptions", ylabel="waiting")
plt.show()

# %%
# Each pair of columns
# --------------------

iris = load_iris(as_frame=True).data
MixtureDisplay.from_estimator(EMGaussianMixture(3, covariance_type="tied", random_state=0).fit(iris), iris)
plt.show()

# %%
# States that follow each other
# -----------------------------
# The same rows in order of time: a hidden Markov model has components and says who follows whom.

chain = EMHiddenMarkov(2, random_state=0).fit(X)
StateDisplay.from_estimator(chain, X, window=(0, 100))
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
StateDisplay.from_estimator(chain, kind="transitions", ax=axes[0])
StateDisplay.from_estimator(chain, kind="graph", ax=axes[1])
plt.show()
