"""
A survey with gaps
==================

The American Community Survey asks people of the USA about work, income and home. A sample of 2,000 has numbers, ordered
levels and categories, and three in five rows have gaps. Which cells are missing, and what are they filled with?
"""

import matplotlib.pyplot as plt

from emkit import EMImputer
from emkit.datasets import load_acs12
from emkit.plot import MissingnessDisplay

people = load_acs12().frame

# %%
# What is missing?
# ----------------
# A row of the map is a pattern of missing cells; the most frequent is on top. Here each has a reason: people without
# work have neither hours nor a way to it, and children were asked little. That a cell is missing depends on age and
# employment, which are nearly always there. This is what *missing at random* means, and what the imputer assumes.

MissingnessDisplay.from_table(people)
plt.show()

# %%
# Fill the cells
# --------------
# The dtypes tell numbers, ordered levels and categories apart, and the frame comes back with the same ones. Numbers and
# levels together get a Gaussian copula: each number enters by its rank, so that skewed incomes do no harm.

imputer = EMImputer(random_state=0).fit(people)
print(f"model: {imputer.model_}, {imputer.n_iter_} steps, converged: {imputer.converged_}")
filled = imputer.transform(people)
rows, shown = [1, 2, 17], ["age", "income", "employment", "hrs_work", "edu"]
print(people.loc[rows, shown].to_string())
print(filled.loc[rows, shown].round(1).to_string())

# %%
# The second row is a child of 12, whose income was not asked. What is filled in is the income of people with such rows
# who were asked. It can stand in a table for a classifier, but it is nobody's income. An interval says how wide the
# guess is.

lower, upper = imputer.predict_interval(people, 0.9)
print(f"income of the child: {filled['income'][2]:,.0f} dollars, 90 % interval ", end="")
print(f"{lower['income'][2]:,.0f} to {upper['income'][2]:,.0f}")
