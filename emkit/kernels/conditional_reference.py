"""Plain NumPy twins of the kernels of incomplete rows: what each computes, row by row.

A row z of d coordinates is Gaussian with the given mean, precision K (and covariance K^-1). `deviations` is z - mean
where z is known and zero elsewhere, `pulls` is ``deviations @ K`` and `squares` the row sums of ``pulls * deviations``.

References
----------
.. [1] Minka, T. P. (2001). Expectation propagation for approximate Bayesian inference. UAI, 362-369. Section 3.2.
.. [2] Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press. Equations
   (3.53) to (3.59) and (3.65).
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr

__all__ = ["complete_cells", "complete_rows", "truncated"]

LOG_2PI = np.log(2 * np.pi)


def complete_rows(
    starts, observed, weight, pulls, squares, precision, covariance, log_det, deviations, log_density, variances, spread
):
    """Fill the gaps of each row with their conditional means, in `deviations`.

    Rows ``starts[p]`` to ``starts[p + 1]`` have the pattern ``observed[p]``. Also the log density of what is observed
    (n,), the conditional variances of the gaps (n, d) unless None, and, added to the lower triangle of `spread` (d, d)
    unless None, the conditional covariances times the weights.
    """
    for p, pattern in enumerate(observed):
        seen, gaps = np.flatnonzero(pattern), np.flatnonzero(pattern == 0)
        inner = covariance[np.ix_(seen, seen)]
        slope = np.linalg.solve(inner, covariance[np.ix_(seen, gaps)])
        left = covariance[np.ix_(gaps, gaps)] - covariance[np.ix_(gaps, seen)] @ slope
        for i in range(starts[p], starts[p + 1]):
            x = deviations[i, seen]
            log_density[i] = -0.5 * (len(seen) * LOG_2PI + np.linalg.slogdet(inner)[1] + x @ np.linalg.solve(inner, x))
            deviations[i, gaps] = x @ slope
            if variances is not None:
                variances[i, gaps] = left.diagonal()
            if spread is not None:
                spread[np.ix_(gaps, gaps)] += np.tril(weight[i] * left)


def truncated(mean, variance, lower, upper):
    """Log mass, mean and variance of a Gaussian on an interval; standard formulas, of no use far out in a tail."""
    sd = np.sqrt(variance)
    a, b = (lower - mean) / sd, (upper - mean) / sd
    log_mass = log_ndtr(b) + np.log1p(-np.exp(log_ndtr(a) - log_ndtr(b))) if a < 0 else np.log(ndtr(-a) - ndtr(-b))
    at_a, at_b = (np.exp(-0.5 * x * x - log_mass) / np.sqrt(2 * np.pi) for x in (a, b))
    first = at_a - at_b
    second = (a * at_a if np.isfinite(a) else 0.0) - (b * at_b if np.isfinite(b) else 0.0)
    return log_mass, mean + sd * first, variance * (1 + second - first**2)


def complete_cells(
    exact,
    weight,
    pulls,
    squares,
    precision,
    log_det,
    mean,
    lower,
    upper,
    n_sweeps,
    tol,
    tau,
    nu,
    deviations,
    log_density,
    variances,
    spread,
):
    """The same for rows of which coordinates are known exactly (`exact`), or to lie between `lower` and `upper`.

    Expectation propagation ([1]_, [2]_): a Gaussian factor ``exp(-tau z^2 / 2 + nu z)`` stands in for each cell. Where
    `lower` is NaN, tau and nu are given: zeros where nothing is known, else a normalised Gaussian N(nu / tau, 1 / tau).
    Factors start from `tau` and `nu` (n, d), and what they were updated to is left there. Returns the largest number
    of sweeps of a row.
    """
    most = 0
    for i in range(len(deviations)):
        free = np.flatnonzero(exact[i] == 0)
        K = precision[np.ix_(free, free)]
        is_cell = ~np.isnan(lower[i, free])
        low, high = lower[i, free] - mean[free], upper[i, free] - mean[free]
        t, v = tau[i, free].copy(), nu[i, free] - tau[i, free] * mean[free]
        step, before, sweep = 1.0, np.inf, 0
        while True:
            posterior = np.linalg.inv(K + np.diag(t))
            centre = posterior @ (v - pulls[i, free])
            new_t, new_v, log_z = _updated(posterior.diagonal(), centre, t, v, low, high, is_cell)
            scale = posterior.diagonal()
            change = max([0.0, *np.abs(new_t - t) * scale, *np.abs(new_v - v) * np.sqrt(scale)])
            sweep += change > tol
            if change <= tol or sweep >= n_sweeps:
                break
            if change > before:
                step = 0.5 * step if step > 0.3 else step
            before = change
            t, v = t + step * (new_t - t), v + step * (new_v - v)
        most = max(most, sweep)
        constant = (len(mean) - len(free)) * LOG_2PI + log_det + np.linalg.slogdet(K + np.diag(t))[1]
        log_density[i] = -0.5 * (constant + squares[i] - (v - pulls[i, free]) @ centre) + log_z
        deviations[i, free] = centre
        tau[i, free], nu[i, free] = new_t, new_v + new_t * mean[free]
        if variances is not None:
            variances[i, free] = posterior.diagonal()
        if spread is not None:
            spread[np.ix_(free, free)] += np.tril(weight[i] * posterior)
    return most


def _updated(variance, centre, tau, nu, low, high, is_cell):
    """New factors of a row, and what the cells contribute to its log-likelihood."""
    new_tau, new_nu, log_z = tau.copy(), nu.copy(), 0.0
    for j in range(len(tau)):
        if not is_cell[j]:
            log_z += 0.5 * (np.log(tau[j]) - LOG_2PI - nu[j] ** 2 / tau[j]) if tau[j] > 0 else 0.0
            continue
        cavity = 1 / (1 / variance[j] - tau[j])
        mean = cavity * (centre[j] / variance[j] - nu[j])
        log_mass, m, v = truncated(mean, cavity, low[j], high[j])
        new_tau[j], new_nu[j] = 1 / v - 1 / cavity, m / v - mean / cavity
        log_z += log_mass + 0.5 * np.log1p(tau[j] * cavity)
        log_z -= 0.5 * ((nu[j] + mean / cavity) ** 2 / (tau[j] + 1 / cavity) - mean**2 / cavity)
    return new_tau, new_nu, log_z
