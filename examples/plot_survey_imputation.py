"""
A survey with gaps
==================

The American Community Survey asks people of the USA about work, income and home. A sample of 2,000 has numbers, ordered
levels and categories, and three in five rows have gaps. Which cells are missing, what are they filled with, and how far
can that be trusted?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from emkit import EMImputer
from emkit.datasets import load_acs12
from emkit.plot import ConvergenceDisplay, MissingnessDisplay, OverimputationDisplay

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
rows, shown = [1, 2, 17], ["age", "income", "employment", "hrs_work", "edu"]
print(people.loc[rows, shown].to_string())
print(imputer.transform(people).loc[rows, shown].round(1).to_string())

# %%
# The second row is a child of 12, whose income was not asked. What is filled in is the income of people with such rows
# who were asked. It can stand in a table for a classifier, but it is nobody's income. An interval says how wide the
# guess is.

lower, upper = imputer.predict_interval(people, 0.9)
print(f"income of the child: {imputer.transform(people)['income'][2]:,.0f} dollars, "
      f"90 % interval {lower['income'][2]:,.0f} to {upper['income'][2]:,.0f}")  # fmt: skip

# %%
# Can it be trusted?
# ------------------
# Hide cells that are known, one at a time, and fill them. Hours of work are hard to foretell, and the intervals are as
# wide as they must be: about nine in ten cross the diagonal. Ages show where the assumption ends. Children lack most
# cells, and so the gaps give their age away; but the imputer looks only at what is observed, and takes them for adults.

figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for ax, column in zip(axes, ["hrs_work", "age"], strict=True):
    OverimputationDisplay.from_estimator(imputer, people, column, ax=ax, random_state=0)
plt.show()

# %%
# A tenth of all known cells is hidden before the fit. Numbers: the root mean squared error of what is filled in,
# relative to that of the mean of the column. Levels: the share that is wrong, beside that of the most frequent one.

hidden = (np.random.default_rng(0).random(people.shape) < 0.1) & people.notna().to_numpy()
train = people.mask(hidden)
filled = EMImputer(random_state=0).fit_transform(train)
for j, (name, column) in enumerate(people.items()):
    truth, guess, known = column[hidden[:, j]], filled.loc[hidden[:, j], name], train[name].dropna()
    if column.dtype.kind in "if":
        error, error_of_mean = (((value - truth) ** 2).mean() ** 0.5 for value in (guess, known.mean()))
        print(f"{name:13} error {error / error_of_mean:5.2f}")
    else:
        wrong, wrong_mode = (guess != truth).mean(), (truth != known.mode()[0]).mean()
        print(f"{name:13} wrong {wrong:6.1%}, most frequent {wrong_mode:6.1%}")

# %%
# Where the rest of the row knows something, it helps: for income, hours, employment, age, language and marriage. Of
# race, time to work and quarter of birth it knows next to nothing, and a mean or mode is as good.
#
# Convergence
# -----------
# The remaining gain after each step. Extrapolated steps are the drops.

ConvergenceDisplay.from_estimator(imputer)
plt.show()

# %%
# Before a classifier
# -------------------
# Who lives with a disability? The imputer is a step like any other: within cross-validation it is fitted to the
# training folds alone. ``add_indicator`` keeps what the gaps themselves tell.

X, y = people.drop(columns="disability"), people["disability"]
numbers, levels = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
one_hot = OneHotEncoder(handle_unknown="ignore")
by_em = make_pipeline(
    EMImputer(add_indicator=True, unseen="missing"),
    make_column_transformer((StandardScaler(), numbers), (one_hot, levels)),
    LogisticRegression(max_iter=1000),
)
by_column = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot), levels),
    ),
    LogisticRegression(max_iter=1000),
)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
for name, pipeline in {"EMImputer": by_em, "SimpleImputer": by_column}.items():
    scores = cross_val_score(pipeline, X, y, cv=folds, scoring="roc_auc")
    print(f"{name:13} ROC AUC {scores.mean():.3f}, standard deviation over folds {scores.std():.3f}")

# %%
# There is no difference to speak of. A classifier is often content with any value, as long as gaps look the same in
# training and later. Good values matter where someone reads them, and where an estimate is made from them: see
# :doc:`plot_pooled_regression`.
