"""
Where one starts, one ends
==========================

EM climbs the hill on which it starts. Here are twenty starts of three components on Old Faithful, and the
log-likelihood that each of them had reached at each step. A line that levels out has come to the top of its hill.
"""

import matplotlib.pyplot as plt

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.plot import ConvergenceDisplay, MixtureDisplay

X = load_old_faithful(as_frame=True).data
shared = {"n_components": 3, "init_params": "k-means++"}
best = EMGaussianMixture(n_init=20, random_state=0, **shared).fit(X)
display = ConvergenceDisplay.from_estimator(best, kind="objective")
display.ax_.set(title="the best of twenty starts, and the others", ylim=(-1140, -1112))
plt.show()

# %%
# The hills
# ---------
# The solutions of twenty seeds with a start each. The highest has a narrow component of short eruptions: perhaps it is
# a cluster, perhaps the way to a singular solution. The likelihood alone does not tell.

hills = {}
for seed in range(20):
    one = EMGaussianMixture(n_init=1, random_state=seed, **shared).fit(X)
    hills.setdefault(round(one.objective_), []).append(one)
size = {"figsize": (4 * len(hills), 3.8), "layout": "constrained", "sharey": True}
figure, axes = plt.subplots(1, len(hills), **size)
for (objective, fits), ax in zip(sorted(hills.items(), reverse=True), axes, strict=True):
    MixtureDisplay.from_estimator(fits[0], X, ax=ax)
    ax.set_title(f"{objective}: {len(fits)} of 20 starts")
plt.show()

# %%
# ``n_init="auto"``, the default, makes ten short starts of several kinds and goes on with the best.

default = EMGaussianMixture(3, random_state=0).fit(X)
print(f"twenty starts {best.objective_:.2f}, by default {default.objective_:.2f}")
