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

X = load_old_faithful(as_frame=True).data[["waiting"]]  # minutes, in order of observation
n = 200
train, wait = X[:n], X["waiting"].to_numpy()

# %%
# Who follows whom
# ----------------

model = EMHiddenMarkov(2, random_state=0).fit(train)
waits = StateDisplay.from_estimator(model, train, window=(0, 60))
waits.ax_.set_ylabel("wait (minutes)")
waits.ax_proba_.set_xlabel("number of the wait")
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
StateDisplay.from_estimator(model, kind="transitions", ax=axes[0])
StateDisplay.from_estimator(model, kind="graph", ax=axes[1])
plt.show()

# %%
# The next wait
# -------------
# The filtered probabilities use the past and the present wait alone. One step of the transition matrix on, they are a
# forecast. The last 72 waits were not seen in the fit: ``score_samples`` of the whole series gives each its
# log-likelihood given those before it, of which the mixture makes no use.

mixture = EMGaussianMixture(2, random_state=0).fit(train)
always = (mixture.weights_ @ mixture.means_)[0]
following = model.predict_proba_filtered(X) @ model.transmat_ @ model.means_
forecast = following[n - 1 : -1, 0]  # each made one wait before
for estimator, expected in ((model, forecast), (mixture, always)):
    error = np.sqrt(np.mean((wait[n:] - expected) ** 2))
    score = estimator.score_samples(X)[n:].mean()
    print(
        f"{type(estimator).__name__:18s} log-likelihood {score:.3f} a wait, error {error:.1f} minutes"
    )

plt.figure(figsize=(6, 4), layout="constrained")
plt.plot(wait[n - 1 : -1], wait[n:], "o", color="0.75", markersize=4, label="held out")
plt.plot(wait[n - 1 : -1], forecast, "o", markersize=4, label="forecast")
plt.axhline(always, color="0.3", linestyle="--", label="mixture")
plt.xlabel("wait (minutes)")
plt.ylabel("next wait (minutes)")
plt.legend(loc="lower left")
plt.show()
