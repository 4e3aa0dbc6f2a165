"""
Two answers to one question
===========================

How rich was the mixture that an engine burned, given the nitrogen oxides (NOx) in its exhaust? Lean or rich, and hardly
ever between. ``predict`` gives the mean, as every regressor does, and the mean is between. The mixture itself says
more.
"""

import matplotlib.pyplot as plt
import pandas as pd

from emkit import EMMixtureOfExpertsRegressor
from emkit.datasets import load_ethanol

engine = load_ethanol(as_frame=True).frame  # NOx; E, the equivalence ratio: how rich the mixture was
X, y = engine[["NOx"]], engine["E"]
model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(X, y)

# %%
# Its experts are the two answers, ``predict_expert_proba`` their chances, and the quantiles show the gap. Once E is
# known, the same method says which line the run belongs to.

low_nox = pd.DataFrame({"NOx": [1.0]})
print(f"mean of the mixture       {model.predict(low_nox)[0]:.2f}")
for expert, share in zip(model.experts_, model.predict_expert_proba(low_nox)[0], strict=True):
    print(f"expert, with chance {share:.2f}  {expert.predict(low_nox)[0]:.2f}")
quantiles = model.predict_quantile(low_nox, [0.05, 0.25, 0.45, 0.55, 0.75, 0.95])[0]
print("quantiles from 5 to 95 % ", quantiles.round(2))
print("given E = 0.7            ", model.predict_expert_proba(low_nox, [0.7])[0].round(3))

# %%
# ``sample`` draws from it. Here are a thousand answers to NOx = 1, beside the mean.

figure, (cloud, answers) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
cloud.plot(X["NOx"], y, "o", color="0.6", markersize=4, label="runs")
line = X.sort_values("NOx")
cloud.plot(line["NOx"], model.predict(line), color="C1", label="predict: the mean")
cloud.axvline(1, color="0.3", linestyle="--", linewidth=1)
cloud.set(xlabel="NOx (µg/J)", ylabel="E (equivalence ratio)")
draws = model.sample(low_nox, 1000)[:, 0]
answers.hist(draws, bins=60, orientation="horizontal", label="sample")
answers.axhline(model.predict(low_nox)[0], color="C1", label="predict: the mean")
answers.set(xlabel="draws of E given NOx = 1")
cloud.legend(loc="lower right")
answers.legend(loc="center right")
plt.show()
