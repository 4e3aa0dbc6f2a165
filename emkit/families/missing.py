"""What a Gaussian says of the missing features of a row, given the observed ones: exact, for each component.

References
----------
.. [1] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach. NIPS 6,
   120-127. Section 3: both the conditional mean and the conditional covariance enter the M-step.
"""

from __future__ import annotations

import math
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

    def expected_differences(self, x: np.ndarray) -> np.ndarray:
        """Expected rows minus the component's mean, (k, n, d)."""
        out = np.empty((len(self.means), len(x), self.means.shape[1]))
        difference = x - self.means[:, None, self.observed]
        out[:, :, self.observed] = difference
        out[:, :, self.missing] = difference @ self.regression.swapaxes(1, 2)
        return out

    def spread(self) -> np.ndarray:
        """Covariance of a row given its observed part, (k, d, d)."""
        k, d = self.means.shape
        out = np.zeros((k, d, d))
        out[:, self.missing[:, None], self.missing] = self.covariances
        return out


def conditional(means: np.ndarray, covariances: np.ndarray, observed: np.ndarray) -> Conditional:
    """Condition k Gaussians (means (k, d), covariances (k, d, d)) on the features `observed`; O(k d^3)."""
    is_missing = np.ones(means.shape[1], dtype=bool)
    is_missing[observed] = False
    missing = np.flatnonzero(is_missing)
    within = covariances[:, observed[:, None], observed]
    across = covariances[:, observed[:, None], missing]
    lower = np.linalg.cholesky(within)
    half = np.linalg.solve(lower, across)  # (k, o, m)
    regression = np.linalg.solve(lower.swapaxes(1, 2), half).swapaxes(1, 2)
    given = covariances[:, missing[:, None], missing] - half.swapaxes(1, 2) @ half
    return Conditional(observed, missing, means, lower, regression, given)
