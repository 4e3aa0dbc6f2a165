"""Where EM starts: a sample of the rows, seeds in it, a partition around them, and parameters of the parts.

A start depends neither on the order of the rows nor on whether a weight is written as repetition: rows are sorted, and
a row is drawn by the inverse of the cumulative weight. From `ALL_ROWS` rows on this holds for the law of the sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np

from ..chunks import ArraySource, Rows, joined
from ..description import Description
from ..engine import run_em
from ..families.base import posterior
from ..families.covariance import COVARIANCES
from ..families.gaussian import GaussianFamily
from ..seeding import careful_seeds, distinct_rows, draw_row, draw_units
from .model import GaussianMixtureModel, GaussianMixtureParams, GaussianMixtureStats

ALL_ROWS = 10_000  # below this number of rows, starts use them all
METHODS = ("kmeans", "k-means++", "random", "random_from_data")
KMEANS_STEPS = 10  # a start needs no more: EM goes on from there


class Starts:
    """Draws starting parameters for a model from a sample of its rows, or from all where these are few.

    Distances are measured in standard deviations of the features; of isotropic models in one unit for all, since
    these must not rescale a feature against another.
    """

    def __init__(
        self,
        model: GaussianMixtureModel,
        description: Description,
        chunks: Iterable[Rows],
        rng: np.random.Generator,
    ) -> None:
        self._model = replace(model, fixed=frozenset())
        self._mean, scale = description.mean, description.scale
        if model.family.covariance.isotropic:
            scale = np.full_like(scale, np.sqrt((scale**2).mean()))
        self._unit = scale
        self.has_all_rows = description.n_rows < ALL_ROWS
        n_rows = None if self.has_all_rows else _sample_size(model.family.n_components, model.family.n_features)
        self.rows = _sorted(_sample(chunks, description.weight, n_rows, rng))
        self._z = (self.rows.X.astype(np.float64) - self._mean) / self._unit
        self._weight = self.rows.weight.astype(np.float64)

    def draw(self, method: str, rng: np.random.Generator) -> GaussianMixtureParams:
        """A start by one of `METHODS`."""
        k = self._model.family.n_components
        if method == "random":
            return self.from_responsibilities([self.rows], self._random_responsibilities(rng))
        if method == "random_from_data":
            return self._around(distinct_rows(self._z, self._weight, k, rng))
        seeds = careful_seeds(self._z, self._weight, k, rng)
        return self._around(self._kmeans(seeds) if method == "kmeans" else seeds)

    def around(self, means: np.ndarray) -> GaussianMixtureParams:
        """Parameters of the parts of the rows that are nearest to each of the given means (k, d)."""
        return self._around((means - self._mean) / self._unit)

    def from_responsibilities(self, chunks: Iterable[Rows], resp: np.ndarray) -> GaussianMixtureParams:
        """Parameters of given responsibilities (n, k), of the rows in the order of the chunks."""
        params = self._centred(np.zeros((self._model.family.n_components, len(self._unit))))
        for _ in range(2):  # the second time about the right means, so that nothing cancels
            params = self._parts(params, self._stats_given(params, chunks, resp))
        return params

    def random_row(self, rng: np.random.Generator) -> np.ndarray:
        """A row of the sample, (d,); a missing value is the feature's mean."""
        row = self.rows.X[draw_row(self._weight, rng.random())].astype(np.float64)
        return np.where(np.isnan(row), self._mean, row)

    def _stats_given(self, params, chunks, resp) -> GaussianMixtureStats:
        start, pieces = 0, []
        for rows in chunks:
            pieces.append(self._model.stats_given(params, rows, resp[start : start + len(rows)]))
            start += len(rows)
        return reduce(add, pieces)

    def _random_responsibilities(self, rng: np.random.Generator) -> np.ndarray:
        """Softmax of random linear functions of the row, so that equal rows get equal responsibilities."""
        z = np.nan_to_num(self._z)
        return posterior(z @ rng.standard_normal((z.shape[1], self._model.family.n_components)))[1]

    def _kmeans(self, seeds: np.ndarray) -> np.ndarray:
        """A few steps of k-means: hard EM with equal weights and one variance, whose value does not matter."""
        k, d = seeds.shape
        family = GaussianFamily(COVARIANCES["EII"], k, np.ones(d), 1e-12, np.dtype(np.float64))
        model = GaussianMixtureModel(family, hard=True, fixed=frozenset({"weights", "covariances"}))
        start = GaussianMixtureParams(np.full(k, 1 / k), family.params(seeds, np.array(1.0)))
        source = ArraySource(self._z, self._weight)
        return run_em(model, start, source, tol=1e-3, max_iter=KMEANS_STEPS).params.gaussians.means

    def _centred(self, z_means: np.ndarray) -> GaussianMixtureParams:
        """Equal weights and one covariance, a ball in the units of the start."""
        family = self._model.family
        k = len(z_means)
        covariances = family.covariance.from_variances(self._unit**2, k)
        return GaussianMixtureParams(np.full(k, 1 / k), family.params(z_means * self._unit + self._mean, covariances))

    def _around(self, z_means: np.ndarray) -> GaussianMixtureParams:
        """Partition the sample by the nearest mean."""
        params = self._centred(z_means)
        return self._parts(params, replace(self._model, hard=True).e_step(params, self.rows))

    def _parts(self, params: GaussianMixtureParams, stats: GaussianMixtureStats) -> GaussianMixtureParams:
        counts = stats.counts
        weights = np.maximum(counts, 1e-3 * counts.mean())
        return GaussianMixtureParams(
            weights / weights.sum(), self._model.family.start_from(stats.moments, params.gaussians)
        )


def _sample_size(k: int, d: int) -> int:
    """A hundred rows for each mean and width, within reason."""
    return min(max(2_000, 100 * k * (d + 1)), ALL_ROWS)


def _sample(chunks: Iterable[Rows], weight: float, n_rows: int | None, rng: np.random.Generator) -> Rows:
    """All rows (None), or `n_rows` of them drawn in proportion to their weights, of total `weight`."""
    return joined(chunks if n_rows is None else draw_units(chunks, weight, n_rows, rng))


def _sorted(rows: Rows) -> Rows:
    return rows.take(np.lexsort(rows.X.T[::-1]))
