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
# People in work, of the American Community Survey. All of them told all, so gaps are made: older people keep their
# income to themselves more often, and a fifth skips each of hours, education and sex. The whole table has the answer.

people = load_acs12().frame.drop(columns="birth_qrtr")
earns = (people["employment"] == "employed") & (people["income"] >= 1000)
whole = people[earns].drop(columns="employment").reset_index(drop=True)
whole["income"] = np.log(whole["income"])  # what is to be linear later should be so in the imputer
table, rng = whole.copy(), np.random.default_rng(0)
table.loc[rng.random(len(table)) < np.where(table["age"] > 45, 0.4, 0.15), "income"] = np.nan
for column in ["hrs_work", "edu", "gender"]:
    table.loc[rng.random(len(table)) < 0.2, column] = np.nan


def regression(table):
    """Columns and target: log income on hours, age, sex and education."""
    columns = {"ten hours a week": table["hrs_work"] / 10, "ten years of age": table["age"] / 10}
    levels = {"female": "gender", "college": "edu", "grad": "edu"}
    columns |= {level: table[column] == level for level, column in levels.items()}
    return pd.DataFrame(columns).astype(float), table["income"]


# %%
# ``impute`` draws each missing cell from its distribution given the rest of the row, for each table with the parameters
# of another bootstrap sample of the rows. ``fmi`` is the fraction of missing information: for how much of the
# uncertainty the gaps are to blame. Rows with gaps are two in three here, but the rest of a row tells of its gaps.

tables = EMImputer(random_state=0).fit(table).impute(table, 20)
pooled = pool(LinearRegression(), [regression(one) for one in tables])
print(pd.DataFrame(pooled.summary()).round(3).to_string(index=False))

# %%
# Complete rows are no biased sample here, since gaps do not depend on income itself once age is known. But they are
# few, and their intervals a third wider or more. Those of the imputed tables are still wider than those of the whole
# table: what was not told is not known. Nothing varies between two copies of one table, so ``pool`` gives its ordinary
# standard errors.

complete = table.dropna(subset=["income", "hrs_work", "edu", "gender"])
fits = {"whole table": whole, f"{len(complete)} of {len(table)} rows, complete": complete}
fits = {name: pool(LinearRegression(), [regression(one)] * 2) for name, one in fits.items()}
fits["20 imputed tables"] = pooled
names, places = list(regression(whole)[0]), np.arange(5)
plt.figure(figsize=(7, 4), layout="constrained")
for shift, (name, fit) in zip((-0.2, 0, 0.2), fits.items(), strict=True):
    reach = np.abs(fit.conf_int().T - fit.coef_)
    plt.errorbar(fit.coef_, places + shift, xerr=reach, fmt="o", label=name)
plt.axvline(0, color="0.8", zorder=0)
plt.yticks(places, names)
plt.gca().invert_yaxis()
plt.xlabel("change of log income, with 95 % confidence interval")
plt.legend(loc="lower left")
plt.show()
