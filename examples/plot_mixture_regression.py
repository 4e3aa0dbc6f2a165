"""
Regression with a Gaussian mixture
==================================

A mixture describes all columns at once, so it predicts any of them from any others: fit once, ask later. Here it is the
acceleration of a helmet in a simulated motorcycle accident, given the time since the impact. The curve bends, and its
spread changes with time; neither was told to the model.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from emkit import EMGaussianMixture
from emkit.datasets import load_motorcycle

crash = load_motorcycle(as_frame=True).data  # times in milliseconds, accel in g

# %%
# How many components?
# --------------------
# The criterion for a density is also one for the regression that follows from it.

fits = [EMGaussianMixture(k, random_state=0).fit(crash) for k in range(1, 8)]
for fit in fits:
    print(f"{len(fit.weights_)} components: BIC {fit.bic(crash):.1f}")
mixture = min(fits, key=lambda fit: fit.bic(crash))

# %%
# A column that is missing
# ------------------------
# Rows in which ``accel`` is NaN ask for it. ``predict_missing`` gives its mean and standard deviation given the time:
# the regression lines of the components, weighted by how likely each component is at that time.

asked = pd.DataFrame({"times": np.linspace(2, 58, 300), "accel": np.nan})
mean, sd = mixture.predict_missing(asked, return_std=True)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
left.fill_between(
    asked["times"], mean["accel"] - sd["accel"], mean["accel"] + sd["accel"], alpha=0.25, label="one standard deviation"
)
left.plot(asked["times"], mean["accel"], label="conditional mean")
left.scatter(crash["times"], crash["accel"], s=10, color="0.25", label="measured")
left.set(xlabel="time (ms)", ylabel="acceleration (g)", title="accel given times")
left.legend()

# %%
# More than a mean
# ----------------
# ``condition`` gives the whole density, a mixture of its own. At 14 ms the impact has just begun, or not yet: a narrow
# peak stands on a wide foot.

grid = np.linspace(-200, 110, 1000)[:, None]
for time in (14, 22, 35):
    density = mixture.condition("times", time)
    right.plot(np.exp(density.score_samples(pd.DataFrame(grid, columns=["accel"]))), grid, label=f"at {time} ms")
right.set(xlabel="density", title="the same, at three times")
right.legend()
plt.show()

# %%
# The other way round
# -------------------
# The same mixture tells the time from the acceleration. A strong deceleration says when it was; none says little.

_, sd = mixture.predict_missing(pd.DataFrame({"times": np.nan, "accel": [-100.0, 0.0]}), return_std=True)
print("standard deviation of the time, given -100 g and 0 g:", sd["times"].round(1).tolist())
