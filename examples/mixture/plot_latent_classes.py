"""
Kinds of people: latent classes of a survey
===========================================

Six questions of the American Community Survey, two thousand people, and nobody says which kinds of people there are. A
mixture of categorical columns finds them: within a class, the answers are independent of each other.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from emkit import ComponentSearch, EMMixture
from emkit.datasets import load_acs12

survey = load_acs12().frame
people = survey[["employment", "citizen", "lang", "married", "edu", "disability"]]

# %%
# Answers become numbers, and missing ones stay missing: children were not asked about work. BIC says how many classes.

latent = make_pipeline(OrdinalEncoder(), EMMixture(family="categorical"))
search = ComponentSearch(latent, n_components=range(2, 6), random_state=0).fit(people)
print("BIC of 2 to 5 classes:", search.results_["bic"].round(1))
encoder, mixture = (step for _, step in search.best_estimator_.steps)

# %%
# What each class answers
# -----------------------
# A column is a class, the largest first, and a row an answer with its probability in that class. The first are married
# and at work, the second young and single, the third out of work and often with a disability, the fourth from abroad.

order = mixture.weights_.argsort()[::-1]
tables = [probabilities[order].T for probabilities in mixture.emissionprob_]
answers = [level for levels in encoder.categories_ for level in levels if level == level]  # NaN is none
columns = np.repeat(people.columns, [len(table) for table in tables])
labels = [f"{column}: {answer}" for column, answer in zip(columns, answers, strict=True)]
shares = np.vstack(tables)

figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
ax.imshow(shares, cmap="Blues", aspect="auto", vmin=0, vmax=1)
for (row, column), share in np.ndenumerate(shares):
    colour = "white" if share > 0.5 else "black"
    ax.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour)
ax.set_yticks(range(len(labels)), labels)
ax.set_xticks(range(len(order)), [f"class {k}\n{mixture.weights_[k]:.0%} of all" for k in order])
for border in np.cumsum([len(table) for table in tables])[:-1]:
    ax.axhline(border - 0.5, color="white", linewidth=4)
plt.show()

# %%
# Age was no question. The classes know it all the same:

proba = search.predict_proba(people)[:, order]
mean_age = survey["age"].to_numpy(float) @ proba / proba.sum(axis=0)
print("mean age in each class:", mean_age.round())
