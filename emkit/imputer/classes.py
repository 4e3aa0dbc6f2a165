"""A mixture of any family, and its data as `emkit.restarts` sees them.

References
----------
.. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Equations (2.22) to (2.24).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..chunks import ArraySource, Rows, joined
from ..engine import EMResult, Stats, UnusableStartError
from ..executors import Executor
from ..families.base import Family, Sums, log, posterior
from ..seeding import draw_row, partition

METHODS = ("kmeans", "k-means++", "rows")
SAMPLE_ROWS = 10_000  # from here on, starts are compared on some of the rows
SURE = 0.9  # share of a row that goes to its own part at a start
SAME = 0.02
LEAST_LOG = -1e3  # of a weight, in a vector


class ClassParams(NamedTuple):
    weights: np.ndarray  # (k,)
    parts: Any  # of the family


@dataclass(frozen=True)
class ClassStats(Stats):
    """Statistics of the family, and the weight of the rows of each component, (k,)."""

    counts: np.ndarray
    moments: Sums


@dataclass(frozen=True, eq=False)
class ClassModel:
    """A mixture of any family."""

    family: Family

    can_accelerate = True
    monotone = True

    def init_params(self, chunks: Iterable[Rows], rng: np.random.Generator) -> ClassParams:
        return draw_start(self, joined(chunks), METHODS[0], rng)

    def log_joint(self, params: ClassParams, rows: Rows) -> np.ndarray:
        """log weight_k + log p(x; k), (n, k)."""
        joint: np.ndarray = self.family.log_density(params.parts, rows) + log(params.weights)
        return joint

    def e_step(self, params: ClassParams, chunk: Rows) -> ClassStats:
        log_likelihood, resp = posterior(self.log_joint(params, chunk))
        resp *= chunk.weight[:, None]
        moments = Sums(self.family.moments(params.parts, chunk, resp))
        weight = chunk.weight
        return ClassStats(float(weight @ log_likelihood), float(weight.sum()), resp.sum(axis=0), moments)

    def m_step(self, stats: ClassStats, params: ClassParams) -> ClassParams:
        return ClassParams(stats.counts / stats.counts.sum(), self.family.m_step(stats.moments, params.parts))

    def log_prior(self, params: ClassParams) -> float:
        return self.family.log_prior(params.parts)

    def n_free(self, params: ClassParams) -> int:
        return len(params.weights) - 1 + self.family.n_free()

    def rounding(self, params: ClassParams) -> float:
        return self.family.rounding(params.parts)

    def recentre(self, stats: ClassStats, params: ClassParams, new_params: ClassParams) -> ClassStats:
        moments = Sums(self.family.recentre(stats.moments, params.parts, new_params.parts))
        return replace(stats, moments=moments)

    def to_vector(self, params: ClassParams) -> np.ndarray:
        return np.concatenate([np.maximum(log(params.weights), LEAST_LOG), self.family.to_vector(params.parts)])

    def from_vector(self, vector: np.ndarray, params: ClassParams) -> ClassParams | None:
        k = len(params.weights)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = np.exp(vector[:k] - vector[:k].max())
            try:
                parts = self.family.from_vector(vector[k:], params.parts)
            except (UnusableStartError, np.linalg.LinAlgError):
                return None
        weights = weights / weights.sum()
        return ClassParams(weights, parts) if np.isfinite(weights).all() else None


def draw_start(model: ClassModel, rows: Rows, method: str, rng: np.random.Generator) -> ClassParams:
    """Parameters of parts of the rows, by one of `METHODS`."""
    k = model.family.n_components
    labels = partition(model.family.features(rows.X), rows.weight, k, method, rng)
    resp = (SURE * np.eye(k)[labels] + (1 - SURE) / k) * rows.weight[:, None]
    return ClassParams(resp.sum(axis=0) / resp.sum(), model.family.start(rows, resp))


class ClassProblem:
    """See :class:`emkit.restarts.Problem`. Start i is drawn by method i, and again from the first after the last."""

    def __init__(self, model: ClassModel, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self.model = model
        self._rows = Rows(X, weight)
        self._rng = rng.spawn(1)[0]
        self.source = ArraySource(X, weight)

    @cached_property
    def sample(self) -> ArraySource:
        if len(self._rows) <= SAMPLE_ROWS:
            return self.source
        chosen = self._rng.choice(len(self._rows), SAMPLE_ROWS, replace=False)
        rows = self._rows.take(np.sort(chosen))
        return ArraySource(rows.X, rows.weight)

    def draw(self, number: int, rng: np.random.Generator) -> ClassParams:
        return draw_start(self.model, joined(self.sample), METHODS[number % len(METHODS)], rng)

    def carry_over(self, params: ClassParams, rng: np.random.Generator, executor: Executor) -> ClassParams:
        return params

    def flaw(self, result: EMResult[ClassParams, ClassStats]) -> str:
        stats = result.stats
        flaw = self.model.family.flaw(result.params.parts, stats.counts, stats.weight, frozenset())
        # in words of tables: `reg_covar` is no argument here
        flaw = flaw.replace("wider than its rows", "wider than its rows, whose numbers are nearly tied")
        return flaw.replace("reg_covar=", "the least variance, relative, of ")

    def repair(self, result: EMResult[ClassParams, ClassStats], rng: np.random.Generator) -> ClassParams | None:
        """Collapsed components moved to random rows."""
        stats, params = result.stats, result.params
        rows = self._rows.take(np.lexsort(self._rows.X.T[::-1]))  # so that a draw does not hang on their order
        chosen = rows.X[draw_row(rows.weight, rng.random(len(params.weights)))]
        reseeded = self.model.family.reseed(params.parts, stats.counts, stats.weight, chosen)
        if reseeded is None:
            return None
        parts, which = reseeded
        weights = np.where(which, 1 / len(which), params.weights)
        return ClassParams(weights / weights.sum(), parts)

    def is_same(self, params: ClassParams, other: ClassParams) -> bool:
        """Each component has a counterpart of about the same weight, means and variances."""
        family = self.model.family
        one, two = (np.column_stack([p.weights, family.mean(p.parts)]) for p in (params, other))
        distance = np.abs(one[:, None] - two[None]).max(axis=2)
        match = distance.argmin(axis=1)
        if len(set(match)) < len(match) or distance.min(axis=1).max() > SAME:
            return False
        here, there = (np.sqrt(np.maximum(family.variance(p.parts), 0)) for p in (params, other))
        return bool(np.abs(here - there[match]).max() < SAME)
