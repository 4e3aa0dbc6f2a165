"""
A curve of pieces
=================

In a simulated motorcycle accident the head first moves evenly, is thrown back, comes forward, and settles. One line is
too stiff for that. A mixture of experts has a line for each phase, and a gate that says how the phases follow each
other.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_motorcycle
from emkit.plot import ExpertsDisplay

crash = load_motorcycle(as_frame=True).frame
X, y = crash[["times"]], crash["accel"]  # milliseconds after the impact; acceleration in units of g

# %%
# How many experts?
# -----------------
# The gate is a softmax of linear functions of time. BIC is lowest at four: one for each phase.

fits = [EMMixtureOfExpertsRegressor(k, random_state=0).fit(X, y) for k in (1, 2, 3, 4, 5)]
for fit in fits:
    print(f"{fit.n_components} experts: {fit.n_parameters_:2d} parameters, BIC {fit.bic(X, y):.1f}")
model = min(fits, key=lambda fit: fit.bic(X, y))

# %%
# Experts and gate
# ----------------
# A curve is faint where the gate gives its expert less than elsewhere. Where two experts share an interval, the mixture
# has two modes, and its interval is as wide as both together.

display = ExpertsDisplay.from_estimator(model, X, y, level=0.9)
display.ax_.set_ylabel("acceleration (g)")
display.ax_gate_.set_xlabel("time (ms)")
plt.show()

share = model.predict_expert_proba(X)
for k in np.argsort(share.T @ X["times"] / share.sum(axis=0)):
    times = X["times"][share.argmax(axis=1) == k]
    print(f"expert {k}, {times.min():4.1f} to {times.max():.1f} ms: ", end="")
    print(f"{model.coef_[k, 0]:+6.2f} g a millisecond, noise {model.scale_[k]:4.1f} g")
