"""Components that have collapsed: how to recognise them, name them and seed them anew.

The likelihood of a mixture with free covariances is unbounded: a component that shrinks onto a few rows raises it
without describing anything. With a floor under the covariances (`reg_covar`) such a component comes to rest there.
"""

from __future__ import annotations

import numpy as np

from .model import GaussianMixtureModel, GaussianMixtureParams, GaussianMixtureStats

NEVER_NARROWER = 1e-10  # in units of the features' variances; where there is no floor, what counts as collapsed
TOLERANCE = 1.001


def flaws(model: GaussianMixtureModel, params: GaussianMixtureParams, stats: GaussianMixtureStats) -> str:
    """What is wrong with a solution, "" if nothing is: components that have collapsed, or that the floor holds wide.

    The second kind has many rows, as where values are rounded or clusters far apart; its likelihood depends on the
    floor, so that it cannot be compared with others.
    """
    lost = collapsed(model, params, stats)
    notes = [
        f"component {index} has collapsed onto rows of total weight {stats.counts[index]:.3g}"
        for index in np.flatnonzero(lost)
    ]
    floor = model.family.floor
    if floor > 0 and "covariances" not in model.fixed:
        notes += [
            f"reg_covar={floor:g} keeps component {index} wider than its rows (total weight {stats.counts[index]:.3g})"
            for index in np.flatnonzero(at_floor(model, params, floor) & ~lost)
        ]
    return "; ".join(notes)


def collapsed(model: GaussianMixtureModel, params: GaussianMixtureParams, stats: GaussianMixtureStats) -> np.ndarray:
    """Boolean (k,): components without rows, or at the floor with no more rows than chance puts on a spot."""
    small: np.ndarray = np.less_equal(stats.counts, _few_rows(model, stats.weight))
    if not small.any():  # the common case, decided without eigenvalues
        return small
    resting = at_floor(model, params, max(model.family.floor, NEVER_NARROWER))
    lost: np.ndarray = small & (np.less_equal(stats.counts, 0) | resting)
    return lost


def at_floor(model: GaussianMixtureModel, params: GaussianMixtureParams, floor: float) -> np.ndarray:
    """Boolean (k,): components that are at the floor in a direction in which the mixture as a whole is wide."""
    family = model.family
    k, d = params.gaussians.means.shape
    within = family.covariance.dense(params.gaussians.covariances, k, d) / np.outer(family.scale, family.scale)
    values, vectors = np.linalg.eigh(within)
    narrow: np.ndarray = values <= TOLERANCE * floor
    if narrow.any():
        total = mixture_covariance(params, within, params.gaussians.means / family.scale)
        narrow &= ((total @ vectors) * vectors).sum(axis=1) > 100 * floor  # u^T total u of each eigenvector u
    return np.logical_or.reduce(narrow, axis=1)


def mixture_covariance(params: GaussianMixtureParams, within: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of the mixture as a whole: within the components and between their means."""
    centre = params.weights @ means
    between = (params.weights * (means - centre).T) @ (means - centre)
    return np.einsum("k,kij->ij", params.weights, within) + between


def _few_rows(model: GaussianMixtureModel, weight: float) -> float:
    """Up to this weight a component at the floor is a fluke.

    Ten rows for each that a covariance of full rank needs, or half of an equal share if that is less; but never fewer
    than full rank needs.
    """
    rank = model.family.covariance.rows_of_full_rank(model.family.n_features)
    return max(rank, min(10 * rank, weight / (2 * model.family.n_components)))


def seed_anew(
    model: GaussianMixtureModel, params: GaussianMixtureParams, which: np.ndarray, rows: np.ndarray
) -> GaussianMixtureParams:
    """Give the components `which` (boolean (k,)) new means, `rows`, with the width of the data and an equal share."""
    family = model.family
    means, weights = params.gaussians.means.copy(), params.weights.copy()
    means[which] = rows
    covariances = params.gaussians.covariances
    if not family.covariance.shared:
        covariances = covariances.copy()
        covariances[which] = family.covariance.from_variances(family.scale**2, len(weights))[which]
    if "weights" not in model.fixed:
        weights[which] = 1 / len(weights)
    return GaussianMixtureParams(weights / weights.sum(), family.params(means, covariances))
