"""Rubin's rules ([1]_): the variance within the tables plus that between them; degrees of freedom of [2]_.

References
----------
.. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley. Section 3.1.
.. [2] Barnard, J. and Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation. Biometrika 86(4),
   948-955.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True, eq=False)
class Rubin:
    """Estimates pooled over m tables.

    Attributes
    ----------
    estimate : ndarray of shape (c,)
    covariance : ndarray of shape (c, c)
    df, relative_increase, fmi : ndarray of shape (c,)
        Degrees of freedom, relative increase in variance and fraction of missing information.
    complete_df : float
        Degrees of freedom if nothing were missing.
    """

    estimate: np.ndarray
    covariance: np.ndarray
    df: np.ndarray
    relative_increase: np.ndarray
    fmi: np.ndarray
    complete_df: float

    @property
    def standard_error(self) -> np.ndarray:
        return np.sqrt(np.diag(self.covariance))

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (c,) each; infinite without a degree of freedom."""
        certain = self.df > 0
        quantile = np.where(certain, student.ppf((1 + level) / 2, np.where(certain, self.df, 1)), np.inf)
        half = quantile * self.standard_error
        return self.estimate - half, self.estimate + half

    def p_values(self) -> np.ndarray:
        """Two-sided p-values, (c,); 1 without a degree of freedom or for an estimate of 0, however certain."""
        certain = self.df > 0
        size = np.abs(self.estimate)
        with np.errstate(divide="ignore", over="ignore"):
            statistic = np.divide(size, self.standard_error, where=size > 0, out=np.zeros_like(size))
        return np.where(certain, 2 * student.sf(statistic, np.where(certain, self.df, 1)), 1.0)


def combine(estimates: np.ndarray, within: np.ndarray, complete_df: float) -> Rubin:
    """Pool estimates (m, c) of covariances (m, c, c)."""
    m = len(estimates)
    distance = estimates - estimates[0]  # equal tables then have no variance, not even of rounding
    mean = distance.mean(axis=0)
    W = within.mean(axis=0)  # 3.1.3 of Rubin (1987)
    B = (distance - mean).T @ (distance - mean) / (m - 1)  # 3.1.4
    T = W + (1 + 1 / m) * B  # 3.1.5
    inside, between = np.diag(W), (1 + 1 / m) * np.diag(B)
    varies = between > 0
    increase = np.divide(between, inside, where=varies & (inside > 0), out=np.where(varies, np.inf, 0.0))  # 3.1.7
    total = np.where(varies, np.diag(T), 1.0)
    share, rest = between / total, np.where(varies, inside / total, 1.0)
    return Rubin(
        estimates[0] + mean,  # 3.1.2
        T,
        degrees_of_freedom(m, share, rest, complete_df),
        increase,
        _missing_information(m, share, rest),
        complete_df,
    )


def degrees_of_freedom(m: int, share: np.ndarray, rest: np.ndarray, complete: float) -> np.ndarray:
    r"""Those of Barnard and Rubin (1999), from :math:`\lambda` and :math:`1 - \lambda`."""
    observed = complete * (1 - 2 / (complete + 3)) * rest
    with np.errstate(divide="ignore"):
        return np.where(share > 0, 1 / (share**2 / (m - 1) + 1 / observed), complete)


def _missing_information(m: int, share: np.ndarray, rest: np.ndarray) -> np.ndarray:
    r"""Rubin (1987), p. 77: :math:`(r + 2 / (\nu_m + 3)) / (r + 1)`, where r / (r + 1) is the share."""
    inverse = share**2 / (m - 1)  # 1 / nu_m, equation 3.1.6
    return share + rest * 2 * inverse / (1 + 3 * inverse)
