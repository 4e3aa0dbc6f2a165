"""
Old Faithful remembers
======================

A mixture of two Gaussians describes the waiting times between eruptions as if they came in any order. They do not:
after a short wait comes a long one. A hidden Markov model has such Gaussians too, and a matrix that says who follows
whom.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMGaussianMixture, EMHiddenMarkov
from emkit.datasets import load_old_faithful
from emkit.plot import StateDisplay

X = load_old_faithful().data[:, 1:]  # minutes, in order of observation
n = 200
train, wait = X[:n], X[:, 0]

# %%
# Who follows whom
# ----------------

model = EMHiddenMarkov(2, random_state=0).fit(train)
mixture = EMGaussianMixture(2, random_state=0).fit(train)
short, long = np.argsort(model.means_[:, 0])
print(f"mean waits: {model.means_[short, 0]:.1f} and {model.means_[long, 0]:.1f} minutes")
print(f"after a short wait a long one comes in {model.transmat_[short, long]:.0%} of all cases,", end=" ")
print(f"after a long one in {model.transmat_[long, long]:.0%}")

# %%
# The next wait
# -------------
# The filtered probabilities use the past and the present wait alone. One step of the transition matrix on, they are a
# forecast. The last 72 waits were not seen in the fit: ``score_samples`` of the whole series gives each its
# log-likelihood given those before it, of which the mixture makes no use.

filtered = model.predict_proba_filtered(X)
forecast = (filtered @ model.transmat_ @ model.means_)[n - 1 : -1, 0]  # each made one wait before
always = (mixture.weights_ @ mixture.means_)[0]
for name, estimator, expected in (("hidden Markov model", model, forecast), ("mixture", mixture, always)):
    error = np.sqrt(np.mean((wait[n:] - expected) ** 2))
    score = estimator.score_samples(X)[n:].mean()
    print(f"{name:20s} held-out log-likelihood a wait {score:.3f}, error {error:.1f} minutes")

# %%
# What the future adds
# --------------------
# A wait of 70 minutes may belong to either state. ``predict_proba`` also looks at the waits after it, which are not yet
# known when it ends; the filtered probabilities do not. At the top, the first sixty waits by their states.

smoothed = model.predict_proba(X)
figure, axes = plt.subplot_mosaic([["series", "series"], ["doubt", "next"]], figsize=(9, 6.5), layout="constrained")
series = StateDisplay.from_estimator(model, X, window=(0, 60), ax=axes["series"])
series.ax_.set_ylabel("wait (minutes)")
series.ax_proba_.set_xlabel("number of the wait")
axes["doubt"].vlines(wait, filtered[:, short], smoothed[:, short], color="0.6", linewidth=1)
axes["doubt"].plot(wait, filtered[:, short], "o", color="0.6", markersize=4, label="given the waits so far")
axes["doubt"].plot(wait, smoothed[:, short], "r_", markersize=7, label="given all waits")
axes["doubt"].set(xlabel="wait (minutes)", ylabel="probability of the short state", xlim=(59, 81))
axes["next"].plot(wait[n - 1 : -1], wait[n:], "o", color="0.75", markersize=4, label="held out")
axes["next"].plot(wait[n - 1 : -1], forecast, "o", color="C0", markersize=4, label="forecast")
axes["next"].axhline(always, color="0.3", linestyle="--", label="mixture")
axes["next"].set(xlabel="wait (minutes)", ylabel="next wait (minutes)", ylim=(None, 115))
for panel, columns in (("doubt", 1), ("next", 3)):
    axes[panel].legend(loc="upper right", ncols=columns)
plt.show()
