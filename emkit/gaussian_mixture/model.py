"""The Gaussian mixture as an EM model: parameters, statistics and the two steps.

References
----------
.. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Section 3.2: the steps are its equations (3.3),
   (3.5) and (3.6), with sample weights and moments about the present means.
.. [2] Celeux, G. and Govaert, G. (1992). A classification EM algorithm for clustering and two stochastic versions.
   Comput. Stat. Data Anal. 14(3), 315-332. Hard assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..chunks import Rows
from ..description import describe
from ..engine import Stats, UnusableStartError
from ..families.base import log
from ..families.gaussian import GaussianFamily, GaussianParams, Moments

PARAMETERS = ("weights", "means", "covariances")


class GaussianMixtureParams(NamedTuple):
    """Parameters of the mixture."""

    weights: np.ndarray  # (k,), sum to one
    gaussians: GaussianParams


@dataclass(frozen=True)
class GaussianMixtureStats(Stats):
    """Expected sufficient statistics.

    Attributes
    ----------
    counts : ndarray of shape (k,)
        Weight of the rows in each component: sum of w r.
    sums : ndarray of shape (k, d)
        Sum of w r (x - mean), about the mean of the parameters of the E-step.
    scatter : ndarray
        Sum of w r (x - mean)(x - mean)^T, as the covariance type needs it: (k, d, d) lower triangles for full,
        (1, d, d) for tied, (k, d) squares for the others.
    """

    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray

    @property
    def moments(self) -> Moments:
        return Moments(self.counts, self.sums, self.scatter)


@dataclass(frozen=True, eq=False)
class GaussianMixtureModel:
    """Hyper-parameters and the two steps; pure. See :class:`emkit.engine.EMModel`.

    Attributes
    ----------
    family : GaussianFamily
        The components' densities.
    hard : bool
        Give each row to its most probable component (classification EM, [2]_).
    fixed : frozenset of {"weights", "means", "covariances"}
        Parameters that the M-step leaves as they are.
    """

    family: GaussianFamily
    hard: bool = False
    fixed: frozenset[str] = frozenset()

    monotone = True

    @property
    def can_accelerate(self) -> bool:
        """Hard assignment moves in jumps: nothing to extrapolate."""
        return not self.hard

    def init_params(self, chunks: Iterable[Rows], rng: np.random.Generator) -> GaussianMixtureParams:
        """A start from k-means on a sample of the rows."""
        from .starts import Starts  # starts use the model

        return Starts(self, describe(chunks, self.family.n_features), chunks, rng).draw("kmeans", rng)

    def e_step(self, params: GaussianMixtureParams, chunk: Rows) -> GaussianMixtureStats:
        """Responsibilities ([1]_, equation 3.3) of a chunk and the moments under them."""
        objective, moments = self.family.e_step(params.gaussians, log(params.weights), chunk, self.hard)
        return GaussianMixtureStats(objective, float(chunk.weight.sum(dtype=np.float64)), *moments)

    def m_step(self, stats: GaussianMixtureStats, params: GaussianMixtureParams) -> GaussianMixtureParams:
        """Weights are shares of the counts ([1]_, equation 3.5); the family does the rest (3.6)."""
        weights = params.weights if "weights" in self.fixed else stats.counts / stats.counts.sum()
        return GaussianMixtureParams(weights, self.family.m_step(stats.moments, params.gaussians, self.fixed))

    def log_prior(self, params: GaussianMixtureParams) -> float:
        return 0.0

    def n_free(self, params: GaussianMixtureParams) -> int:
        return (self.family.n_components - 1) * ("weights" not in self.fixed) + self.family.n_free(self.fixed)

    def rounding(self, params: GaussianMixtureParams) -> float:
        return self.family.rounding(params.gaussians)

    def log_joint(self, params: GaussianMixtureParams, chunk: Rows) -> np.ndarray:
        """log weight_k + log N(x; mean_k, covariance_k), (n, k)."""
        return self.family.log_density(params.gaussians, chunk) + log(params.weights).astype(self.family.dtype)

    def stats_given(self, params: GaussianMixtureParams, chunk: Rows, resp: np.ndarray) -> GaussianMixtureStats:
        """Statistics under given responsibilities (n, k) instead of the model's own; they have no objective."""
        moments = self.family.moments(params.gaussians, chunk, resp * chunk.weight[:, None])
        return GaussianMixtureStats(0.0, float(chunk.weight.sum(dtype=np.float64)), *moments)

    def recentre(
        self, stats: GaussianMixtureStats, params: GaussianMixtureParams, new_params: GaussianMixtureParams
    ) -> GaussianMixtureStats:
        """The same statistics, about the means of `new_params`."""
        moments = self.family.recentre(stats.moments, params.gaussians, new_params.gaussians)
        return replace(stats, **moments._asdict())

    def to_vector(self, params: GaussianMixtureParams) -> np.ndarray:
        """Log weights, scaled means, log-Cholesky factors (or log variances); fixed parameters are left out."""
        head = [] if "weights" in self.fixed else [np.maximum(log(params.weights), -1e3)]
        return np.concatenate([*head, self.family.to_vector(params.gaussians, self.fixed)])

    def from_vector(self, vector: np.ndarray, params: GaussianMixtureParams) -> GaussianMixtureParams | None:
        """Back again; None where the vector is out of range."""
        weights = params.weights
        with np.errstate(over="ignore", invalid="ignore"):
            if "weights" not in self.fixed:
                weights = np.exp(vector[: len(weights)] - vector[: len(weights)].max())
                weights, vector = weights / weights.sum(), vector[len(weights) :]
            try:
                gaussians = self.family.from_vector(vector, params.gaussians, self.fixed)
            except (UnusableStartError, np.linalg.LinAlgError):
                return None
        in_range = all(np.isfinite(a).all() for a in (weights, *gaussians))
        return GaussianMixtureParams(weights, gaussians) if in_range else None
