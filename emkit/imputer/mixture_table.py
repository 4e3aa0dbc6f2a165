"""A mixture behind a table: in each component numbers are Gaussian and levels independent of all else.

With columns of levels alone this is latent class analysis.

References
----------
.. [1] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach. NIPS 6,
   120-127. Section 3.
.. [2] Linzer, D. A. and Lewis, J. B. (2011). poLCA: an R package for polytomous variable latent class analysis.
   J. Stat. Softw. 42(10). Equations (3) to (7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..chunks import ArraySource, Rows
from ..engine import EMResult, Stats, UnusableStartError
from ..executors import Executor
from ..families.base import Family, Sums, log
from ..families.gaussian import posterior
from ..seeding import draw_row, partition
from .latent import FullCore, latent_params
from .layout import CellPrior
from .prediction import Prediction
from .rows import IncompleteRows
from .scales import Scale

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
        (rows,) = chunks
        return draw_start(self, rows, METHODS[0], rng)

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
        chunks = list(self.sample)
        X, weight = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("X", "weight"))
        return draw_start(self.model, Rows(X, weight), METHODS[number % len(METHODS)], rng)

    def carry_over(self, params: ClassParams, rng: np.random.Generator, executor: Executor) -> ClassParams:
        return params

    def flaw(self, result: EMResult[ClassParams, ClassStats]) -> str:
        stats = result.stats
        return self.model.family.flaw(result.params.parts, stats.counts, stats.weight, frozenset())

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
        widths = np.sqrt(family.variance(params.parts)), np.sqrt(family.variance(other.parts)[match])
        return bool(np.abs(widths[0] - widths[1]).max() < SAME)


@dataclass(frozen=True, eq=False)
class MixtureTable:
    """Fitted components of the columns of a table; codes (n, p) in, NaN where missing.

    Attributes
    ----------
    scales : tuple of scales
        `Linear` for the columns that are Gaussian, `Symbols` for the others.
    weights : ndarray of shape (k,)
    means, covariances : ndarray of shape (k, g), (k, g, g)
        Of the Gaussian columns, in the units of their scales.
    tables : tuple of ndarray of shape (k, n_levels)
        Probabilities of the levels of the other columns.
    """

    scales: tuple[Scale, ...]
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    tables: tuple[np.ndarray, ...]

    @property
    def n_components(self) -> int:
        return len(self.weights)

    @property
    def _gaussian(self) -> list[int]:
        return [j for j, scale in enumerate(self.scales) if scale.n_coordinates]

    @property
    def _symbols(self) -> list[int]:
        return [j for j, scale in enumerate(self.scales) if not scale.n_coordinates]

    @property
    def _cores(self) -> list[FullCore]:
        return [FullCore(latent_params(*part)) for part in zip(self.means, self.covariances, strict=True)]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (g,) and covariance (g, g) of the Gaussian columns, over all components."""
        mean = self.weights @ self.means
        centred = self.means - mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return mean, within + (centred * self.weights[:, None]).T @ centred

    def log_likelihood(self, codes: np.ndarray) -> np.ndarray:
        return posterior(self._log_joint(codes))[0]

    def responsibilities(self, codes: np.ndarray) -> np.ndarray:
        return posterior(self._log_joint(codes))[1]

    def predict(self, codes: np.ndarray, prior: CellPrior | None = None, with_spread: bool = True) -> Prediction:
        resp, rows = self.responsibilities(codes), self._rows(codes)
        mean = np.zeros((len(codes), self.n_components, len(self.scales)))
        sd = np.zeros_like(mean)
        for c, core in enumerate(self._cores if self._gaussian else []):
            done = core.complete(rows)
            mean[:, c, self._gaussian], sd[:, c, self._gaussian] = done.mean, np.sqrt(np.maximum(done.variance, 0))
        categories = {}
        for j, table in zip(self._symbols, self.tables, strict=True):
            known = ~np.isnan(codes[:, j])
            categories[j] = resp @ table
            categories[j][known] = np.eye(table.shape[1])[codes[known, j].astype(np.intp)]
        return Prediction(self.scales, resp, mean, sd, categories)

    def draw(self, codes: np.ndarray, rng: np.random.Generator, prior: CellPrior | None = None) -> np.ndarray:
        """Codes with the missing ones drawn: a component for each row, then its columns."""
        codes = codes.copy()
        rising = np.cumsum(self.responsibilities(codes), axis=1)
        component = (rng.random((len(codes), 1)) > rising[:, :-1]).sum(axis=1)
        rows = self._rows(codes)
        drawn = np.zeros_like(rows.values)
        for c, core in enumerate(self._cores if self._gaussian else []):
            own = np.flatnonzero(component == c)
            if len(own):
                drawn[own] = core.draw(rows.take(own), rng)
        for place, j in enumerate(self._gaussian):
            missing, scale = np.isnan(codes[:, j]), self.scales[j]
            codes[missing, j] = scale.from_latent(drawn[missing, place])  # type: ignore[union-attr]
        for j, table in zip(self._symbols, self.tables, strict=True):
            missing = np.isnan(codes[:, j])
            steps = np.cumsum(table, axis=1)[component[missing], :-1]
            codes[missing, j] = (rng.random((missing.sum(), 1)) > steps).sum(axis=1)
        return codes

    def _rows(self, codes: np.ndarray) -> IncompleteRows:
        """The Gaussian columns."""
        z = self.points(codes)[:, self._gaussian]
        known = ~np.isnan(z)
        return IncompleteRows(np.where(known, z, 0.0), known.astype(np.uint8), np.ones(len(codes)))

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, p) as the family takes them."""
        return points(self.scales, codes)

    def _log_joint(self, codes: np.ndarray) -> np.ndarray:
        joint = np.repeat(log(self.weights)[None], len(codes), axis=0)
        if self._gaussian:
            rows = self._rows(codes)
            joint += np.column_stack([core.log_density(rows) for core in self._cores])
        for j, table in zip(self._symbols, self.tables, strict=True):
            known = ~np.isnan(codes[:, j])
            joint[known] += log(table).T[codes[known, j].astype(np.intp)]
        return joint


def points(scales: tuple[Scale, ...], codes: np.ndarray) -> np.ndarray:
    """Codes (n, p) as a family takes them: numbers in units of their scales, levels as they are."""
    columns = [
        scale.to_latent(codes[:, j]) if scale.n_coordinates else codes[:, j]  # type: ignore[union-attr]
        for j, scale in enumerate(scales)
    ]
    return np.column_stack(columns)
