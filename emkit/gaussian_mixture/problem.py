"""A Gaussian mixture and its data, as `emkit.restarts` sees them: where starts come from and what a flaw is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist

from ..chunks import ArraySource, Source
from ..description import Description
from ..engine import EMResult
from ..executors import Executor
from ..families.degenerate import collapsed, flaws, seed_anew
from ..families.gaussian import GaussianParams
from .model import GaussianMixtureModel, GaussianMixtureParams, GaussianMixtureStats
from .starts import Starts

SAME = 0.02  # standard deviations of a feature, share of the rows, or log of a width
Result = EMResult[GaussianMixtureParams, GaussianMixtureStats]


@dataclass(frozen=True)
class GivenStart:
    """The parts of a start that the user gave; None where nothing was given."""

    weights: np.ndarray | None = None  # (k,)
    means: np.ndarray | None = None  # (k, d)
    covariances: np.ndarray | None = None  # Covariance.shape(k, d)
    responsibilities: np.ndarray | None = None  # (n, k)

    @property
    def is_certain(self) -> bool:
        """Nothing is left to chance, so one start is enough."""
        return self.means is not None or self.responsibilities is not None


class MixtureProblem:
    """See :class:`emkit.restarts.Problem`. Start i is drawn by method i, and again from the first after the last."""

    def __init__(
        self,
        model: GaussianMixtureModel,
        source: Source,
        given: GivenStart,
        description: Description,
        methods: tuple[str, ...],
        rng: np.random.Generator,
    ) -> None:
        self.model = model
        self.source = source
        self._given = given
        self._description = description
        self._methods = methods
        self._rng = rng.spawn(1)[0]

    @cached_property
    def _starts(self) -> Starts:
        return Starts(self.model, self._description, self.source, self._rng)

    @cached_property
    def sample(self) -> Source:
        if self._starts.has_all_rows:
            return self.source
        return ArraySource(self._starts.rows.X, self._starts.rows.weight)

    def draw(self, number: int, rng: np.random.Generator) -> GaussianMixtureParams:
        given = self._given
        if given.weights is not None and given.means is not None and given.covariances is not None:
            return self.complete(given.weights, given.means, given.covariances)
        if given.means is not None:
            drawn = self._starts.around(given.means)
        elif given.responsibilities is not None:
            drawn = self._starts.from_responsibilities(self.source, given.responsibilities)
        else:
            drawn = self._starts.draw(self._methods[number % len(self._methods)], rng)
        return self.complete(
            drawn.weights if given.weights is None else given.weights,
            drawn.gaussians.means if given.means is None else given.means,
            drawn.gaussians.covariances if given.covariances is None else given.covariances,
        )

    def complete(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> GaussianMixtureParams:
        """Parameters of these parts, which the floor allows (unless they are held fixed)."""
        floor = 0.0 if "covariances" in self.model.fixed else None
        return GaussianMixtureParams(weights, self.model.family.params(means, covariances, floor))

    def carry_over(
        self, params: GaussianMixtureParams, rng: np.random.Generator, executor: Executor
    ) -> GaussianMixtureParams:
        return params

    def flaw(self, result: Result) -> str:
        stats = result.stats
        return flaws(self.model.family, result.params.gaussians, stats.counts, stats.weight, self.model.fixed)

    def is_same(self, params: GaussianMixtureParams, other: GaussianMixtureParams) -> bool:
        """Each component has a counterpart of about the same mean, weight and volume."""
        one, two = params.gaussians, other.gaussians
        distances = cdist(one.means / self.model.family.scale, two.means / self.model.family.scale)
        match = distances.argmin(axis=1)
        differences = (
            distances.min(axis=1),
            params.weights - other.weights[match],
            (one.log_norms - two.log_norms[match]) / self.model.family.n_features,
        )
        return len(set(match)) == len(match) and all(np.abs(part).max() < SAME for part in differences)

    def repair(self, result: Result, rng: np.random.Generator) -> GaussianMixtureParams | None:
        family, (weights, gaussians), stats = self.model.family, result.params, result.stats
        which = collapsed(family, gaussians, stats.counts, stats.weight)
        if not which.any() or self.model.fixed & {"means", "covariances"}:
            return None  # nothing that new seeds would mend, or the user's own choice
        rows = np.array([self._starts.random_row(rng) for _ in range(which.sum())])
        if "weights" not in self.model.fixed:
            weights = np.where(which, 1 / len(weights), weights)
        return GaussianMixtureParams(weights / weights.sum(), seed_anew(family, gaussians, which, rows))


def rebuild(
    model: GaussianMixtureModel, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, factors: np.ndarray
) -> GaussianMixtureParams:
    """Parameters from fitted attributes; what the densities need is taken from the factors alone."""
    family = model.family
    k, d = means.shape
    factors = family.covariance.kernel_factors(factors, k, d).astype(np.float64)
    log_norms = family.covariance.log_det_factors(factors) - 0.5 * d * np.log(2 * np.pi)
    gaussians = GaussianParams(
        means.astype(np.float64), covariances.astype(np.float64), factors, np.broadcast_to(log_norms, k), np.empty(0)
    )
    return GaussianMixtureParams(weights.astype(np.float64), gaussians)
