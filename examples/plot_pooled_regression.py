"""
A regression with missing values, pooled
========================================

What do hours, age, sex and education tell about income? With gaps in most rows, an analysis of complete rows throws
most of the data away, and one of a table that was filled once takes guesses for facts. Multiple imputation fills the
table many times, analyses each, and pools.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from emkit import EMImputer, pool
from emkit.datasets import load_acs12

# %%
# A table with gaps, and the truth
# --------------------------------
# People in work who earn at least 1,000 dollars a year, from the American Community Survey. All of them told all; so
# gaps are made: older people keep their income to themselves more often, and a fifth skips each of hours, education and
# sex. Then there is an answer to compare with: the regression on the whole table.

people = load_acs12().frame
earns = (people["employment"] == "employed") & (people["income"] >= 1000)
whole = people[earns].drop(columns=["employment", "birth_qrtr"]).reset_index(drop=True)
whole["income"] = np.log(whole["income"])

rng = np.random.default_rng(0)
table = whole.copy()
table.loc[rng.random(len(table)) < np.where(table["age"] > 45, 0.4, 0.15), "income"] = np.nan
for column in ["hrs_work", "edu", "gender"]:
    table.loc[rng.random(len(table)) < 0.2, column] = np.nan


def regression(table):
    """Columns and target: log income on hours, age, sex and education."""
    columns = {
        "ten hours a week": table["hrs_work"] / 10,
        "ten years of age": table["age"].astype(float) / 10,
        "female": (table["gender"] == "female").astype(float),
        "college": (table["edu"] == "college").astype(float),
        "graduate": (table["edu"] == "grad").astype(float),
    }
    return pd.DataFrame(columns), table["income"]


complete = table.dropna(subset=["income", "hrs_work", "edu", "gender"])
print(f"{len(table)} rows, of which {len(complete)} are complete in what the regression needs")

# %%
# Twenty completed tables
# -----------------------
# ``impute`` draws each missing cell from its distribution given the rest of the row, for each table with other
# parameters: those of a bootstrap sample of the rows. The imputer sees all columns, also those that the regression
# leaves out. Logarithms of income go in, since the regression takes them: what is to be linear later should be so here.

tables = EMImputer(random_state=0).fit(table).impute(table, 20)
pooled = pool(LinearRegression(), [regression(one) for one in tables])
print(pd.DataFrame(pooled.summary()).round(3).to_string(index=False))

# %%
# ``standard_error`` has both parts of the uncertainty: that within a table, from few rows, and that between the tables,
# from missing cells. ``fmi`` is the fraction of missing information: for how much of the uncertainty the gaps are to
# blame. Rows with gaps are two in three here, but the rest of a row tells of its gaps, so that less is lost. ``df`` are
# the degrees of freedom of the t distribution that gives intervals and p-values. They grow with the number of tables;
# at a hundred or so, more tables would hardly narrow the intervals.
#
# Compared with complete rows
# ---------------------------
# Nothing varies between two copies of one table, so ``pool`` gives its ordinary standard errors.

one_table = {"whole table": regression(whole), "complete rows": regression(complete)}
fits = {name: pool(LinearRegression(), [pair, pair]) for name, pair in one_table.items()}
fits["20 imputed tables"] = pooled
names = list(regression(whole)[0])
print(pd.DataFrame({name: fit.standard_error_ for name, fit in fits.items()}, index=names).round(3).to_string())

# %%
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
places = np.arange(len(names))
for shift, (name, fit), colour in zip((-0.22, 0, 0.22), fits.items(), ("0.4", "C1", "C0"), strict=True):
    low, high = fit.conf_int().T
    ax.errorbar(fit.coef_, places + shift, xerr=[fit.coef_ - low, high - fit.coef_], fmt="o", color=colour, label=name)
ax.axvline(0, color="0.8", zorder=0)
ax.set_yticks(places, names)
ax.invert_yaxis()
ax.set_xlabel("change of log income, with 95 % confidence interval")
ax.legend()
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Complete rows are no biased sample here, since gaps do not depend on income itself once age is known. But they are
# few, and their intervals are a third wider or more. Those of the imputed tables are still wider than those of the
# whole table, as they should be: what was not told is not known.
