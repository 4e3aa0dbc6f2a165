"""
Two regressions in one cloud
============================

An engine burned ethanol at many mixtures of fuel and air, and nitrogen oxides (NOx) in the exhaust were measured. Which
mixture was it, given NOx? There are two answers, since a lean mixture gives little NOx, and so does a rich one. One
regression goes through the middle, where hardly any run was. A mixture of two finds both, and which run belongs to
which.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_ethanol
from emkit.plot import ExpertsDisplay

engine = load_ethanol(as_frame=True).frame  # NOx; E, the equivalence ratio: how rich the mixture was
X, y = engine[["NOx"]], engine["E"]

# %%
# A switching regression
# ----------------------
# With ``gate="constant"`` each run comes from one of the lines by chance, with the same chances whatever its NOx. Each
# run has the colour of its more probable line, and is the fainter the less sure that is. The lines meet where the
# engine makes the most NOx, and there nobody can tell. Below is the gate, the same everywhere.

model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(X, y)
display = ExpertsDisplay.from_estimator(model, X, y)
display.ax_.set_ylabel("E (equivalence ratio)")
display.ax_gate_.set_xlabel("NOx (µg/J)")
plt.show()

# %%
# The standard errors take into account that it is not known which run came from which line.

errors = model.standard_errors(X, y)
for k in np.argsort(model.coef_[:, 0]):
    print(f"expert {k}, {model.weights_[k]:.0%} of the runs, noise {model.scale_[k]:.3f}: ", end="")
    print(f"E = {model.intercept_[k]:.3f} (± {errors['intercept_'][k]:.3f}) ", end="")
    print(f"{model.coef_[k, 0]:+.3f} (± {errors['coef_'][k, 0]:.3f}) NOx")

# %%
# How many lines?
# ---------------
# BIC asks whether one more line fits better than its parameters cost, ICL also whether the lines are told apart. Both
# say two; a third line gains little, and overlaps with the others.

for k in (1, 2, 3, 4):
    fit = EMMixtureOfExpertsRegressor(k, gate="constant", random_state=0).fit(X, y)
    print(f"{k} lines: BIC {fit.bic(X, y):6.1f}, ICL {fit.icl(X, y):6.1f}")
