"""
What the future adds
====================

Was this wait at Old Faithful a short one or a long one? At 50 or 90 minutes there is no doubt. One of 70 may be either,
and then its neighbours tell. ``predict_proba`` looks at the waits before and after it. ``predict_proba_filtered`` uses
those before it alone: what was known when the wait ended.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMHiddenMarkov
from emkit.datasets import load_old_faithful

X = load_old_faithful().data[:, 1:]  # minutes, in order of observation
model = EMHiddenMarkov(2, random_state=0).fit(X)
short = model.means_[:, 0].argmin()
filtered, smoothed = model.predict_proba_filtered(X)[:, short], model.predict_proba(X)[:, short]

plt.figure(figsize=(8, 4.5), layout="constrained")
plt.vlines(X[:, 0], filtered, smoothed, color="0.6", linewidth=1)
plt.plot(X[:, 0], filtered, "o", markersize=5, label="given the waits so far")
plt.plot(X[:, 0], smoothed, "_", color="C1", markersize=9, markeredgewidth=2, label="given all waits")
plt.xlim(59, 81)
plt.xlabel("wait (minutes)")
plt.ylabel("probability of a short wait")
plt.legend()
plt.show()

# %%
# For a back-test, or an alarm, the first is the one to use: it does not change when the series goes on. The second
# tells more of the past. Here is the wait of which the two say the most different things. A short one came next, and
# short waits hardly ever follow each other.

place = np.abs(smoothed - filtered).argmax()
print(f"wait number {place} and its neighbours: {X[place - 2 : place + 3, 0]} minutes")
print(f"short with probability {filtered[place]:.2f} when it ended, {smoothed[place]:.2f} in the end")
print(f"after a short wait comes a short one in {model.transmat_[short, short]:.0%} of all cases")
