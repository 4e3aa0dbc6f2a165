"""
Earthquakes: counts with a hidden state
=======================================

The number of major earthquakes in the world changes from year to year by more than a Poisson law allows, and quiet and
busy years come in spells. A hidden Markov model with Poisson counts says both: each state has a rate, and states last.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from emkit import EMHiddenMarkov
from emkit.datasets import load_earthquakes

years, counts = load_earthquakes().data.T
X = counts[:, None]

# %%
# How many states?
# ----------------
# One sequence has one first year, so free start probabilities are K - 1 parameters of which the data say next to
# nothing. With ``start="stationary"`` they follow from the transition matrix, and BIC has fewer parameters to pay for.

print("K  -log L  parameters   BIC     start stationary: -log L  parameters   BIC")
fits = {}
for k in (1, 2, 3, 4):
    shared = {"emission": "poisson", "n_init": 4, "random_state": 0}
    free = EMHiddenMarkov(k, **shared).fit(X)
    fits[k] = EMHiddenMarkov(k, start="stationary", **shared).fit(X)
    values = [f"{-m.objective_:.2f}     {m.n_parameters_:2d}      {m.bic(X):.1f}" for m in (free, fits[k])]
    print(f"{k}  {values[0]}                       {values[1]}")

# %%
# States and what comes next
# --------------------------
# ``decode`` gives the most probable path of states, ``forecast`` the mean and variance of the years to come.

model = min(fits.values(), key=lambda m: m.bic(X))
rates, path = model.rates_[:, 0], model.decode(X)[1]
ahead = model.forecast(X, 12)
mean, sd = ahead.mean[0, :, 0], ahead.variance[0, :, 0] ** 0.5
for k in np.argsort(rates):
    years_in = f"{model.expected_durations_[k]:.0f} years"
    print(f"rate {rates[k]:.1f} a year, a stay of {years_in:8s} on average, {(path == k).sum()} years decoded")
print(f"2007: {mean[0]:.1f} expected, sd {sd[0]:.1f}; in the long run {model.stationary_distribution_ @ rates:.1f}")

# %%
# Do the counts look like the model's?
# ------------------------------------
# The mixture of Poisson laws with the stationary weights is as wide as the histogram; one Poisson law is too narrow.

figure, axes = plt.subplot_mosaic([["series"], ["law"]], figsize=(9, 6.5), layout="constrained")
axes["series"].plot(years, counts, "o", color="0.6", markersize=4, label="earthquakes")
axes["series"].step(years, rates[path], where="mid", color="C0", label="rate of decoded state")
future = years[-1] + 1 + np.arange(len(mean))
axes["series"].plot(future, mean, color="C1", label="forecast, ± 1 standard deviation")
axes["series"].fill_between(future, mean - sd, mean + sd, color="C1", alpha=0.25, linewidth=0)
axes["series"].set(xlabel="year", ylabel="magnitude 7 or more", ylim=(0, 52))
axes["series"].legend(ncols=3, loc="upper left")
n = np.arange(46)
axes["law"].hist(counts, bins=n[::3] - 0.5, density=True, color="0.85", label="share of years")
axes["law"].plot(n, poisson.pmf(n[:, None], rates) @ model.stationary_distribution_, "o-", markersize=3, label="model")
axes["law"].plot(n, poisson.pmf(n, counts.mean()), "--", color="0.3", label="one Poisson law")
axes["law"].set(xlabel="earthquakes in a year", ylabel="probability")
axes["law"].legend()
plt.show()
