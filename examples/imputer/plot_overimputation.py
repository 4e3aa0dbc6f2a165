"""
Can what was filled in be trusted?
==================================

Hide cells that are known, fill them, and compare. The American Community Survey shows what an imputer knows, what it
does not know, and where its assumption ends.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMImputer
from emkit.datasets import load_acs12
from emkit.plot import OverimputationDisplay

people = load_acs12().frame

# %%
# One cell at a time
# ------------------
# Hours of work are hard to foretell, and the intervals are as wide as they must be: about nine in ten cross the
# diagonal. Ages show where the assumption ends. Children lack most cells, and so the gaps give their age away; but the
# imputer looks only at what is observed, and takes them for adults.

imputer = EMImputer(random_state=0).fit(people)
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for ax, column in zip(axes, ["hrs_work", "age"], strict=True):
    OverimputationDisplay.from_estimator(imputer, people, column, ax=ax, random_state=0)
plt.show()

# %%
# A tenth of all known cells
# --------------------------
# They are hidden before the fit. Numbers: the root mean squared error of what is filled in, over that of the mean of
# the column. Levels: the share that is wrong, over that of the most frequent one. At 1 the rest of the row knows
# nothing.

hidden = (np.random.default_rng(0).random(people.shape) < 0.1) & people.notna().to_numpy()
train = people.mask(hidden)
filled = EMImputer(random_state=0).fit_transform(train)
errors = {}
for j, (name, column) in enumerate(people.items()):
    truth, guess, known = column[hidden[:, j]], filled.loc[hidden[:, j], name], train[name].dropna()
    if column.dtype.kind in "if":
        errors[name] = (((guess - truth) ** 2).mean() / ((known.mean() - truth) ** 2).mean()) ** 0.5
    else:
        errors[name] = (guess != truth).mean() / (known.mode()[0] != truth).mean()

names = sorted(errors, key=errors.get, reverse=True)
plt.figure(figsize=(7, 4), layout="constrained")
plt.barh(names, [errors[name] for name in names])
plt.axvline(1, color="0.3", linestyle="--")
plt.xlabel("error, relative to the mean or the most frequent level")
plt.show()

# %%
# For employment, language, age, marriage, income and hours the rest of the row helps. Of race, time to work and quarter
# of birth it knows next to nothing, and the mean or the most frequent level is as good or better.
