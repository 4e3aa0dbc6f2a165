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

from emkit import ComponentSearch, EMGaussianMixture
from emkit.datasets import load_motorcycle

crash = load_motorcycle(as_frame=True).data  # times in milliseconds, accel in g
search = ComponentSearch(EMGaussianMixture(), n_components=range(1, 8), random_state=0).fit(crash)
mixture = search.best_estimator_
print(f"{len(mixture.weights_)} components have the lowest BIC")

# %%
# A column that is missing
# ------------------------
# Rows in which ``accel`` is NaN ask for it. ``predict_missing`` gives its mean and standard deviation given the time:
# the regression lines of the components, weighted by how likely each component is at that time. ``condition`` gives the
# whole density, a mixture of its own: at 14 ms the impact has just begun, or not yet, and a narrow peak stands on a
# wide foot.

asked = pd.DataFrame({"times": np.linspace(2, 58, 300), "accel": np.nan})
mean, sd = mixture.predict_missing(asked, return_std=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
times, low, high = asked["times"], mean["accel"] - sd["accel"], mean["accel"] + sd["accel"]
left.fill_between(times, low, high, alpha=0.25, label="one standard deviation")
left.plot(times, mean["accel"], label="conditional mean")
left.scatter(crash["times"], crash["accel"], s=10, color="0.25", label="measured")
left.set(xlabel="time (ms)", ylabel="acceleration (g)", title="acceleration, given the time")
left.legend(loc="lower right")
grid = pd.DataFrame({"accel": np.linspace(-200, 110, 1000)})
for time in (14, 22, 35):
    density = np.exp(mixture.condition("times", time).score_samples(grid))
    right.plot(density, grid["accel"], label=f"at {time} ms")
right.set(xlabel="density", title="the same, at three times")
right.legend()
plt.show()

# %%
# The other way round
# -------------------
# The same mixture tells the time from the acceleration. A strong deceleration says when it was; none says little.

asked = pd.DataFrame({"times": np.nan, "accel": [-100.0, 0.0]})
_, sd = mixture.predict_missing(asked, return_std=True)
print("standard deviation of the time, given -100 g and 0 g:", sd["times"].round(1).tolist())
