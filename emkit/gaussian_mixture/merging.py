"""A Gaussian mixture of one component less: the two components that lose least by it become one.

References
----------
.. [1] Runnalls, A. R. (2007). Kullback-Leibler approach to Gaussian mixture reduction. IEEE Trans. Aerosp. Electron.
   Syst. 43(3), 989-999. Equation (21).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..families.covariance import Covariance
from ..families.degenerate import NEVER_NARROWER, at_floor
from ..families.gaussian import GaussianFamily, GaussianParams, Moments
from ..mixture.model import MixtureModel, MixtureParams, MixtureStats
from ..mixture.noise import gaussians_of, with_gaussians


def one_fewer(model: MixtureModel, params: MixtureParams, stats: MixtureStats) -> tuple[MixtureModel, MixtureParams]:
    """The model with a component less, and its parameters after one M-step; `stats` were taken under `params`."""
    family = gaussians_of(model.family)
    k = family.n_components
    pair = pair_to_merge(family, params.components, stats.counts[:k])
    smaller = with_gaussians(model.family, n_components=k - 1)
    before, moments = merged(family, params.components, Moments(*stats.moments), pair)
    components = gaussians_of(smaller).m_step(moments, before)
    counts = _added(stats.counts, pair)
    return replace(model, family=smaller), MixtureParams(counts / counts.sum(), components)


def pair_to_merge(family: GaussianFamily, params: GaussianParams, counts: np.ndarray) -> tuple[int, int]:
    """Two components i > j: the pair of least cost, of those with a degenerate one if there is any."""
    costs = merging_costs(family.covariance, params, counts)
    floor = max(family.floor, NEVER_NARROWER)
    degenerate = (counts <= 0) | at_floor(family, params, counts, floor)
    if degenerate.any():
        costs = np.where(degenerate[:, None] | degenerate, costs, np.inf)
    k = len(counts)
    i, j = np.tril_indices(k, -1)
    best = int(np.argmin(costs[i, j]))
    return int(i[best]), int(j[best])


def merging_costs(covariance: Covariance, params: GaussianParams, counts: np.ndarray) -> np.ndarray:
    """An upper bound on the log-likelihood that merging components costs ([1]_), (k, k); natural log.

    The merged component has the mean and the covariance of the two together, as far as the type allows.
    """
    k, d = params.means.shape
    matrices = covariance.dense(params.covariances, k, d)
    own = 0.5 * counts * np.linalg.slogdet(matrices)[1]
    costs = np.empty((k, k))
    for i in range(k):
        both = counts[i] + counts
        share = np.where(both > 0, counts[i] / np.where(both > 0, both, 1), 0.5)[:, None, None]
        apart = params.means - params.means[i]
        between = share * (1 - share) * apart[:, :, None] * apart[:, None, :]
        together = _of_type(covariance, share * matrices[i] + (1 - share) * matrices + between)
        costs[i] = 0.5 * both * np.linalg.slogdet(together)[1] - own[i] - own
    return costs


def _of_type(covariance: Covariance, matrices: np.ndarray) -> np.ndarray:
    """Covariance matrices (k, d, d) without what a diagonal or isotropic type does not have."""
    k, d = matrices.shape[:2]
    if covariance.isotropic:
        return np.trace(matrices, axis1=1, axis2=2)[:, None, None] / d * np.eye(d)
    is_diagonal = covariance.zero_scatter(k, d).ndim == 2
    return matrices * np.eye(d) if is_diagonal else matrices


def merged(
    family: GaussianFamily, params: GaussianParams, moments: Moments, pair: tuple[int, int]
) -> tuple[GaussianParams, Moments]:
    """Parameters and moments (about their means) without the first of a pair; its rows are now those of the second."""
    share = moments.counts[[*pair]]
    share = share / share.sum() if share.any() else np.full(2, 0.5)
    means = params.means.copy()
    means[[*pair]] = share @ means[[*pair]]
    counts, sums, scatter = family.recentre(moments, params, params._replace(means=means))
    if len(scatter) == len(counts):  # else it is that of all components together
        scatter = _added(scatter, pair)
    is_left = np.arange(len(counts)) != pair[0]
    covariances = params.covariances if family.covariance.shared else params.covariances[is_left]
    smaller = replace(family, n_components=len(counts) - 1)
    return smaller.params(means[is_left], covariances), Moments(_added(counts, pair), _added(sums, pair), scatter)


def _added(values: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Values of components (k, ...) without the first of a pair, whose value is added to that of the second."""
    first, second = pair
    total = values.copy()
    total[second] += values[first]
    return np.delete(total, first, axis=0)
