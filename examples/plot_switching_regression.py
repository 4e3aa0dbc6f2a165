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
import pandas as pd

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_ethanol
from emkit.plot import ExpertsDisplay

engine = load_ethanol(as_frame=True).frame  # NOx; C, the compression ratio; E, the equivalence ratio
X, y = engine[["NOx"]], engine["E"]

# %%
# A switching regression
# ----------------------
# With ``gate="constant"`` each run comes from one of the lines by chance, with the same chances whatever its NOx. The
# standard errors take into account that it is not known which run came from which line.

model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(X, y)
errors = model.standard_errors(X, y)
for k in np.argsort(model.coef_[:, 0]):
    print(
        f"expert {k}: E = {model.intercept_[k]:.3f} (+- {errors['intercept_'][k]:.3f}) "
        f"{model.coef_[k, 0]:+.3f} (+- {errors['coef_'][k, 0]:.3f}) NOx, noise {model.scale_[k]:.3f}, "
        f"share {model.weights_[k]:.0%}"
    )
print(f"log-likelihood {model.objective_:.2f}, BIC {model.bic(X, y):.1f}")

# %%
# Each run has the colour of its more probable line, and is the fainter the less sure that is. The lines meet where the
# engine makes the most NOx, and there nobody can tell. Below is the gate, the same everywhere.

ExpertsDisplay.from_estimator(model, X, y)
plt.show()

# %%
# What is predicted
# -----------------
# ``predict`` gives the mean of the mixture, as every regressor does. Here it lies where hardly any run ever was. The
# mixture itself says more: its experts are the two answers, ``predict_expert_proba`` their chances, and the quantiles
# show the gap. Once the run is known, the same method says which line it belongs to.

low_nox = pd.DataFrame({"NOx": [1.0]})
print(f"mean of the mixture       {model.predict(low_nox)[0]:.2f}")
for expert, share in zip(model.experts_, model.predict_expert_proba(low_nox)[0], strict=True):
    print(f"expert, with chance {share:.2f}  {expert.predict(low_nox)[0]:.2f}")
quantiles = model.predict_quantile(low_nox, [0.05, 0.25, 0.45, 0.55, 0.75, 0.95])[0]
print("quantiles from 5 to 95 % ", quantiles.round(2))
print("given E = 0.7            ", model.predict_expert_proba(low_nox, [0.7])[0].round(3))

# %%
# How many lines?
# ---------------
# BIC asks whether one more line fits better than its parameters cost, ICL also whether the lines are told apart. Both
# say two; a third line gains little, and overlaps with the others.

for k in (1, 2, 3, 4):
    fit = EMMixtureOfExpertsRegressor(k, gate="constant", random_state=0).fit(X, y)
    print(f"K = {k}: log-likelihood {fit.objective_:6.1f}, BIC {fit.bic(X, y):6.1f}, ICL {fit.icl(X, y):6.1f}")

# %%
# What else tells
# ---------------
# The compression ratio may move the lines (a second input of the experts), or make one of them more frequent (an input
# of the gate alone). It moves the lines: BIC falls by nearly sixty. It says nothing of which line it is.

both = engine[["NOx", "C"]]
planes = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(both, y)
gated = EMMixtureOfExpertsRegressor(2, expert_features=["NOx"], gate_features=["C"], random_state=0).fit(both, y)
print(f"BIC with the compression ratio in the experts {planes.bic(both, y):.1f}, in the gate {gated.bic(both, y):.1f}")
lean, rich = planes.coef_[np.argsort(planes.intercept_), 1]
print(f"one more of compression moves the lean line by {lean:+.4f} and the rich one by {rich:+.4f}")
