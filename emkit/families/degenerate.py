"""Gaussian components that have collapsed: how to recognise them, name them and seed them anew.

The likelihood with free covariances is unbounded: a component that shrinks onto a few rows raises it without
describing anything. With a floor under the covariances (`reg_covar`) such a component comes to rest there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .covariance import Covariance
    from .gaussian import GaussianFamily, GaussianParams

NEVER_NARROWER = 1e-10  # in units of the features' variances; where there is no floor, what counts as collapsed
TOLERANCE = 1.001
NEXT_TO_NOTHING = 1e-6


def flaws(
    family: GaussianFamily, params: GaussianParams, counts: np.ndarray, weight: float, fixed: frozenset[str]
) -> str:
    """What is wrong with a solution, "" if nothing is: components that have collapsed, or that the floor holds wide.

    The second kind has many rows, as where values are rounded or clusters far apart; its likelihood depends on the
    floor, so that it cannot be compared with others.
    """
    lost = collapsed(family, params, counts, weight)
    notes = [
        f"component {index} has collapsed onto rows of total weight {counts[index]:.3g}"
        for index in np.flatnonzero(lost)
    ]
    if family.floor > 0 and "covariances" not in fixed:
        notes += [
            f"reg_covar={family.floor:g} keeps component {index} wider than its rows (total weight {counts[index]:.3g})"
            for index in np.flatnonzero(at_floor(family, params, counts, family.floor) & ~lost)
        ]
    return "; ".join(notes)


def collapsed(family: GaussianFamily, params: GaussianParams, counts: np.ndarray, weight: float) -> np.ndarray:
    """Boolean (k,): components without rows, or at the floor with no more rows than chance puts on a spot."""
    small: np.ndarray = np.less_equal(counts, _few_rows(family, weight))
    if not small.any():  # the common case, decided without eigenvalues
        return small
    resting = at_floor(family, params, counts, max(family.floor, NEVER_NARROWER))
    lost: np.ndarray = small & (np.less_equal(counts, 0) | resting)
    return lost


def at_floor(family: GaussianFamily, params: GaussianParams, counts: np.ndarray, floor: float) -> np.ndarray:
    """Boolean (k,): components that are at the floor in a direction in which all of them together are wide."""
    k, d = params.means.shape
    values, vectors = family.covariance.widths(params.covariances, family.scale, k)
    narrow: np.ndarray = values <= TOLERANCE * floor
    if narrow.any():
        within = family.covariance.dense(params.covariances, k, d) / np.outer(family.scale, family.scale)
        shares = counts / (counts.sum() or 1.0)  # noise may have taken all rows
        total = mixture_covariance(shares, within, params.means / family.scale)
        narrow &= ((total @ vectors) * vectors).sum(axis=1) > 100 * floor  # u^T total u of each eigenvector u
    return np.logical_or.reduce(narrow, axis=1)


def mixture_covariance(shares: np.ndarray, within: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of all components together: within them and between their means."""
    centre = shares @ means
    between = (shares * (means - centre).T) @ (means - centre)
    return np.einsum("k,kij->ij", shares, within) + between


def _few_rows(family: GaussianFamily, weight: float) -> float:
    """Up to this weight a component at the floor is a fluke.

    Ten rows for each that a covariance of full rank needs, or half of an equal share if that is less; but never fewer
    than full rank needs.
    """
    rank = family.covariance.rows_of_full_rank(family.n_features)
    return max(rank, min(10 * rank, weight / (2 * family.n_components)))


def seed_anew(family: GaussianFamily, params: GaussianParams, which: np.ndarray, rows: np.ndarray) -> GaussianParams:
    """Give the components `which` (boolean (k,)) new means, `rows`, with the width of the data."""
    means, covariances = params.means.copy(), params.covariances
    means[which] = rows
    if not family.covariance.shared:
        covariances = covariances.copy()
        covariances[which] = family.covariance.from_variances(family.scale**2, len(means))[which]
        weights = np.where(which, NEXT_TO_NOTHING, 1.0)  # what is shared is that of the others
        covariances = family.covariance.nearest(covariances, weights, family.scale, 0.0)
    return family.params(means, covariances)


def too_few_rows(covariance: Covariance, d: int, counts: np.ndarray) -> np.ndarray:
    """Boolean (k,): components with a covariance of their own from so few rows that it says nothing of a new one.

    The expected Mahalanobis distance of a new row from d-dimensional rows under their own covariance, estimated from m
    of them, is d (m + 1) / (m - d - 2): an inverted Wishart matrix has no mean unless m > d + 2. Below that a gain of
    likelihood is overfitting without bound. For diagonal types the same holds for each feature, m > 3.
    """
    if covariance.shared:
        return np.zeros(len(counts), dtype=bool)
    few: np.ndarray = np.less_equal(counts, covariance.rows_of_full_rank(d) + 1)
    return few
