"""What a Gaussian says of the missing features of a row, given the observed ones: exact, for each component.

References
----------
.. [1] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach. NIPS 6,
   120-127. Section 3: both the conditional mean and the conditional covariance enter the M-step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Conditional(NamedTuple):
    """k Gaussians seen through a pattern of o observed and m missing features, d = o + m."""

    observed: np.ndarray  # (o,)
    missing: np.ndarray  # (m,)
    means: np.ndarray  # (k, d)
    lower: np.ndarray  # (k, o, o): Cholesky factors of the observed part of the covariances
    regression: np.ndarray  # (k, m, o): of the missing features on the observed ones
    covariances: np.ndarray  # (k, m, m): of the missing features given the observed ones

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """log density of the observed features x (n, o), (n, k)."""
        difference = x - self.means[:, None, self.observed]
        whitened = np.linalg.solve(self.lower, difference.swapaxes(1, 2))
        log_det = np.log(np.diagonal(self.lower, axis1=1, axis2=2)).sum(axis=1)
        square = np.minimum((whitened**2).sum(axis=1), 1e300)
        return -0.5 * (square.T + len(self.observed) * math.log(2 * math.pi)) - log_det

    def differences(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """For each component, the expected rows minus its mean, (n, d)."""
        for mean, regression in zip(self.means, self.regression, strict=True):
            out = np.empty((len(x), len(mean)))
            out[:, self.observed] = x - mean[self.observed]
            out[:, self.missing] = out[:, self.observed] @ regression.T
            yield out

    def spreads(self) -> Iterator[np.ndarray]:
        """For each component, the covariance of a row given its observed part, (d, d)."""
        for covariance in self.covariances:
            out = np.zeros((self.means.shape[1], self.means.shape[1]))
            out[np.ix_(self.missing, self.missing)] = covariance
            yield out


def conditional(means: np.ndarray, covariances: np.ndarray, observed: np.ndarray) -> Conditional:
    """Condition k Gaussians (means (k, d), covariances (k, d, d)) on the features `observed`; O(k d^3)."""
    missing = np.setdiff1d(np.arange(means.shape[1]), observed)
    within = covariances[:, observed[:, None], observed]
    across = covariances[:, missing[:, None], observed]
    lower = np.linalg.cholesky(within)
    half = np.linalg.solve(lower, across.swapaxes(1, 2))  # (k, o, m)
    regression = np.linalg.solve(lower.swapaxes(1, 2), half).swapaxes(1, 2)
    given = covariances[:, missing[:, None], missing] - half.swapaxes(1, 2) @ half
    return Conditional(observed, missing, means, lower, regression, given)
