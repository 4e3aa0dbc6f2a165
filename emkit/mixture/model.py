"""The mixture as an EM model: parameters, statistics and the two steps, for components of any family.

References
----------
.. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. The steps are its equations (2.28) to (2.31);
   for Gaussians (3.3), (3.5) and (3.6); with sample weights.
.. [2] Celeux, G. and Govaert, G. (1992). A classification EM algorithm for clustering and two stochastic versions.
   Comput. Stat. Data Anal. 14(3), 315-332. Hard assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..chunks import Rows, joined
from ..engine import Stats, UnusableStartError
from ..families.base import Family, Sums, log, posterior
from .weights import MostLikely, Weighting


class MixtureParams(NamedTuple):
    """Parameters of the mixture."""

    weights: np.ndarray  # (k,), sum to one
    components: Any  # as the family has them
    counts: Any = None  # (k,) expected rows of each, where the weights have a prior


@dataclass(frozen=True)
class MixtureStats(Stats):
    """Expected sufficient statistics.

    Attributes
    ----------
    counts : ndarray of shape (k,)
        Weight of the rows in each component: sum of w r.
    moments : Sums
        Of the family, under w r.
    """

    counts: np.ndarray
    moments: Sums


@dataclass(frozen=True, eq=False)
class MixtureModel:
    """Hyper-parameters and the two steps; pure. See :class:`emkit.engine.EMModel`. Chunks are `Rows`.

    Attributes
    ----------
    family : Family
        The components' densities.
    hard : bool
        Give each row to its most probable component (classification EM, [2]_).
    fixed : frozenset of str
        "weights" and names of the family's parameters that the M-step leaves as they are.
    weighting : Weighting
        How weights are estimated: by maximum likelihood, or under a prior.
    """

    family: Family
    hard: bool = False
    fixed: frozenset[str] = frozenset()
    weighting: Weighting = field(default_factory=MostLikely)

    monotone = True

    @property
    def can_accelerate(self) -> bool:
        """Hard assignment moves in jumps: nothing to extrapolate."""
        return not self.hard and self.family.has_vector

    def init_params(self, chunks: Iterable[Rows], rng: np.random.Generator) -> MixtureParams:
        """A start from k-means on all rows."""
        from .starts import Starts  # starts use the model

        rows = joined(chunks)
        return self.start(Starts(self, rows).draw("kmeans", rng), float(rows.weight.sum(dtype=np.float64)))

    def start(self, params: MixtureParams, weight: float) -> MixtureParams:
        """Parameters of weights and components, for data of a total weight."""
        weights, counts = self.weighting.start(params.weights, weight)
        return MixtureParams(weights, params.components, counts)

    def e_step(self, params: MixtureParams, chunk: Rows) -> MixtureStats:
        """Responsibilities ([1]_, equation 2.30) of a chunk and the moments under them."""
        log_weights = self.weighting.log_weights(params.weights, params.counts)
        objective, counts, moments = self.family.e_step(params.components, log_weights, chunk, self.hard)
        return MixtureStats(objective, float(chunk.weight.sum(dtype=np.float64)), counts, Sums(moments))

    def m_step(self, stats: MixtureStats, params: MixtureParams) -> MixtureParams:
        """Weights come from the counts ([1]_, equation 2.31, if there is no prior); the family does the rest."""
        is_fixed = "weights" in self.fixed
        weights, counts = (params.weights, params.counts) if is_fixed else self.weighting.estimate(stats.counts)
        return MixtureParams(weights, self.family.m_step(stats.moments, params.components, self.fixed), counts)

    def log_prior(self, params: MixtureParams) -> float:
        return self.family.log_prior(params.components) + self.weighting.log_prior(params.counts)

    def n_free(self, params: MixtureParams) -> int:
        return (self.family.n_components - 1) * ("weights" not in self.fixed) + self.family.n_free(self.fixed)

    def rounding(self, params: MixtureParams) -> float:
        return self.family.rounding(params.components)

    def log_joint(self, params: MixtureParams, chunk: Rows) -> np.ndarray:
        """log weight_k + log p(x; k), (n, k); under a prior, with the mean of the weights."""
        density = self.family.log_density(params.components, chunk)
        joint: np.ndarray = density + log(params.weights).astype(density.dtype)
        return joint

    def resp(self, params: MixtureParams, chunk: Rows) -> np.ndarray:
        """Responsibilities of a chunk, (n, k)."""
        return posterior(self.log_joint(params, chunk))[1]

    def recentre(self, stats: MixtureStats, params: MixtureParams, new_params: MixtureParams) -> MixtureStats:
        """The same statistics, as if taken under `new_params`."""
        moments = self.family.recentre(stats.moments, params.components, new_params.components)
        return replace(stats, moments=Sums(moments))

    def to_vector(self, params: MixtureParams) -> np.ndarray:
        """Log weights (or counts), then the family's vector; fixed parameters are left out."""
        head = [] if "weights" in self.fixed else [self.weighting.to_vector(params.weights, params.counts)]
        return np.concatenate([*head, self.family.to_vector(params.components, self.fixed)])

    def from_vector(self, vector: np.ndarray, params: MixtureParams) -> MixtureParams | None:
        """Back again; None where the vector is out of range."""
        weights, counts = params.weights, params.counts
        if not np.isfinite(vector).all():
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            if "weights" not in self.fixed:
                k = len(weights)
                (weights, counts), vector = self.weighting.from_vector(vector[:k], counts), vector[k:]
            try:
                components = self.family.from_vector(vector, params.components, self.fixed)
            except (UnusableStartError, np.linalg.LinAlgError):
                return None
        return MixtureParams(weights, components, counts)
