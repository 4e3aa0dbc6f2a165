"""Where EM starts: a sample of the rows, seeds in it, a partition around them, and parameters of the parts.

A start depends neither on the order of the rows nor on whether a weight is written as repetition: rows are sorted, and
a row is drawn by the inverse of the cumulative weight. From `ALL_ROWS` rows on this holds for the law of the sample.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..chunks import ArraySource, Rows
from ..engine import run_em
from ..families.base import posterior
from ..families.covariance import COVARIANCES
from ..families.gaussian import GaussianFamily
from ..fences import outer_fences
from ..seeding import ALL_ROWS, careful_seeds, distinct_rows, draw_row, names_of_parts, squared_distances
from .model import MixtureModel, MixtureParams

METHODS = ("kmeans", "k-means++", "random", "random_from_data")
KMEANS_STEPS = 10  # a start needs no more: EM goes on from there
LEAST_SHARE = 1e-3  # of the average weight that a component starts with


class Starts:
    """Draws starting parameters for a model from a sample of its rows, or from all where these are few.

    Distances are those between the family's `features`. Known components (`labels`) belong to their part.
    """

    def __init__(self, model: MixtureModel, rows: Rows) -> None:
        self._model = model
        self.rows = rows.take(np.lexsort(rows.X.T[::-1]))
        self._weight = self.rows.weight.astype(np.float64)
        z = model.family.features(self.rows.X.astype(np.float64))
        if model.family.bears_far_rows:
            z = np.clip(z, *outer_fences(z, self._weight))
        observed = np.where(np.isnan(z), 0.0, self._weight[:, None])
        self._centre = np.average(np.nan_to_num(z), axis=0, weights=np.where(observed.any(axis=0), observed, 1.0))
        self._z = z - self._centre

    def draw(self, method: str, rng: np.random.Generator) -> MixtureParams:
        """A start by one of `METHODS`."""
        k = self._model.family.n_parts
        if method == "random":
            return self._of_sample(self._random_responsibilities(k, rng))
        if method == "random_from_data":
            return self._around(distinct_rows(self._z, self._weight, k, rng))
        seeds = careful_seeds(self._z, self._weight, k, rng)
        return self._around(self._kmeans(seeds) if method == "kmeans" else seeds)

    def around(self, means: np.ndarray) -> MixtureParams:
        """Parameters of the parts of the rows that are nearest to each of the given rows (k, d)."""
        return self._around(self._features(means))

    def from_responsibilities(self, rows: Rows, resp: np.ndarray) -> MixtureParams:
        return from_responsibilities(self._model, rows, resp)

    def weights_under(self, components: Any) -> np.ndarray:
        """Mixing weights (k,) that go with given parameters of the family."""
        even = np.ones(self._model.family.n_components)
        resp = self._model.resp(MixtureParams(even, components), self.rows)
        return _shares(resp * self._weight[:, None])

    @cached_property
    def known_weight(self) -> np.ndarray:
        """Weight (n_parts,) of the rows that are known to be of each component."""
        return self._weight @ self._one_hot(self.rows.labels)

    def from_labels(self) -> MixtureParams:
        """Parameters of the rows whose component is known, as some of each are."""
        labels: Any = self.rows.labels
        known = self.rows.take(np.flatnonzero(labels >= 0))
        return self.from_responsibilities(known, self._one_hot(known.labels))

    def random_rows(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, d) of the sample, drawn by weight."""
        X: np.ndarray = self.rows.X[draw_row(self._weight, rng.random(n))]
        return X.astype(np.float64)

    def _features(self, X: np.ndarray) -> np.ndarray:
        """Rows as points (n, f) about the centre of the sample."""
        return self._model.family.features(X.astype(np.float64)) - self._centre

    def _one_hot(self, labels: Any) -> np.ndarray:
        """Responsibilities (n, n_parts); none where a label is -1."""
        parts: np.ndarray = labels[:, None] == np.arange(self._model.family.n_parts)
        return parts.astype(np.float64)

    def _of_sample(self, resp: np.ndarray) -> MixtureParams:
        """Parameters of parts of the sample, which are named by what is known of their rows."""
        known = self.rows.labels
        if known is not None:
            names = names_of_parts(resp.argmax(axis=1), known, resp.shape[1])
            resp = np.where((known >= 0)[:, None], self._one_hot(known), resp[:, np.argsort(names)])
        return self.from_responsibilities(self.rows, resp)

    def _random_responsibilities(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """Softmax of random linear functions of the row, so that equal rows get equal responsibilities."""
        z = np.nan_to_num(self._z)
        return posterior(z @ rng.standard_normal((z.shape[1], k)))[1]

    def _kmeans(self, seeds: np.ndarray) -> np.ndarray:
        """A few steps of k-means: hard EM with equal weights and one variance, whose value does not matter."""
        k, f = seeds.shape
        family = GaussianFamily(COVARIANCES["EII"], k, np.ones(f), 1e-12, np.dtype(np.float64))
        model = MixtureModel(family, hard=True, fixed=frozenset({"weights", "covariances"}))
        start = MixtureParams(np.full(k, 1 / k), family.params(seeds, np.array(1.0)))
        source = ArraySource(self._z, self._weight)
        means: np.ndarray = run_em(model, start, source, tol=1e-3, max_iter=KMEANS_STEPS).params.components.means
        return means

    def _around(self, seeds: np.ndarray) -> MixtureParams:
        """Partition the sample by the nearest seed (k, f)."""
        nearest = squared_distances(self._z, seeds).argmin(axis=1)
        return self._of_sample(np.eye(len(seeds))[nearest])


def from_responsibilities(model: MixtureModel, rows: Rows, resp: np.ndarray) -> MixtureParams:
    """Parameters of given responsibilities (n, n_parts) of rows, without weights."""
    resp = model.family.spread(resp) * rows.weight.astype(np.float64)[:, None]
    return MixtureParams(_shares(resp), model.family.start(rows, resp))


def _shares(resp: np.ndarray) -> np.ndarray:
    """Mixing weights from responsibilities (n, k), sample weights included."""
    counts = resp.sum(axis=0)
    weights: np.ndarray = np.maximum(counts, LEAST_SHARE * counts.mean())
    return weights / weights.sum()


def sample_size(k: int, d: int) -> int:
    """A hundred rows for each mean and width, within reason."""
    return min(max(2_000, 100 * k * (d + 1)), ALL_ROWS)
