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

shared = {"emission": "poisson", "start": "stationary", "n_init": 4, "random_state": 0}
fits = [EMHiddenMarkov(k, **shared).fit(X) for k in (1, 2, 3, 4)]
for fit in fits:
    print(f"{fit.n_components} states: log-likelihood {fit.objective_:.2f}, BIC {fit.bic(X):.1f}")
model = min(fits, key=lambda fit: fit.bic(X))

# %%
# States and what comes next
# --------------------------
# ``decode`` gives the most probable path of states, ``forecast`` the mean and variance of the years to come. The
# mixture of Poisson laws with the stationary weights is as wide as the histogram; one Poisson law is too narrow.

rates, stationary = model.rates_[:, 0], model.stationary_distribution_
path, ahead = model.decode(X)[1], model.forecast(X, 12)
mean, sd, future = ahead.mean[0, :, 0], ahead.variance[0, :, 0] ** 0.5, np.arange(2007, 2019)
for k in np.argsort(rates):
    print(
        f"rate {rates[k]:.1f} a year, a stay lasts {model.expected_durations_[k]:.0f} years on average"
    )
print(f"2007: {mean[0]:.1f} expected, sd {sd[0]:.1f}; in the long run {stationary @ rates:.1f}")

figure, (series, law) = plt.subplots(2, figsize=(9, 6.5), layout="constrained")
series.plot(years, counts, "o", color="0.6", markersize=4, label="earthquakes")
series.step(years, rates[path], where="mid", label="rate of decoded state")
series.plot(future, mean, label="forecast, ± 1 standard deviation")
series.fill_between(future, mean - sd, mean + sd, color="C1", alpha=0.25, linewidth=0)
series.set(xlabel="year", ylabel="magnitude 7 or more", ylim=(0, 52))
series.legend(ncols=3, loc="upper left")
n = np.arange(46)
law.hist(counts, bins=n[::3] - 0.5, density=True, color="0.85", label="share of years")
law.plot(n, poisson.pmf(n[:, None], rates) @ stationary, "o-", markersize=3, label="model")
law.plot(n, poisson.pmf(n, counts.mean()), "--", color="0.3", label="one Poisson law")
law.set(xlabel="earthquakes in a year", ylabel="probability")
law.legend()
plt.show()
