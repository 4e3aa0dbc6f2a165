"""Rows as seeds of a start: drawn by weight, far from each other.

Rows are expected in sorted order, so that a draw by the inverse of the cumulative weight depends neither on the order
of the data nor on whether a weight is written as repetition.

References
----------
.. [1] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA, 1027-1035.
   Section 2.2; several candidates for each seed as in their section 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from .executors import each

if TYPE_CHECKING:
    from .testing import Units

U = TypeVar("U", bound="Units")

ALL_ROWS = 10_000  # below this number of rows, starts and fences use them all


def draw_row(weight: np.ndarray, place: float | np.ndarray) -> np.ndarray:
    """Index at a place in [0, 1) of the cumulative weight."""
    ends = np.cumsum(weight)
    last = len(weight) - 1 - np.argmax(weight[::-1] > 0)
    return np.minimum(np.searchsorted(ends, place * ends[-1], side="right"), last)


def draw_columns(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row of shares (n, k), which add up to about one, a column with the chance of its share, (n,)."""
    ends = np.cumsum(shares, axis=1)
    drawn: np.ndarray = (rng.random((len(shares), 1)) * ends[:, -1:] > ends).sum(axis=1)
    return drawn


def careful_seeds(z: np.ndarray, weight: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows, each far from those before ([1]_): of some candidates, the one that lowers the inertia most."""
    n_candidates = 2 + int(np.log(k))
    seeds = np.empty((k, z.shape[1]))
    nearest = np.ones(len(z))  # the first seed is drawn by weight alone
    for index in range(k):
        potential = weight * nearest
        if not potential.any():  # fewer distinct rows than seeds
            potential = weight
        candidates = z[draw_row(potential, rng.random(n_candidates if index else 1))]
        candidates = np.where(np.isnan(candidates), 0.0, candidates)
        distances = squared_distances(z, candidates)
        if index:
            distances = np.minimum(distances, nearest[:, None])
        best = int(np.argmin(weight @ distances))
        seeds[index], nearest = candidates[best], distances[:, best]
    return seeds


KMEANS_STEPS = 10  # a start needs no more: EM goes on from there


def partition(z: np.ndarray, weight: np.ndarray, k: int, method: str, rng: np.random.Generator) -> np.ndarray:
    """A part for each row (n,), by the nearest of k seeds; NaN is a missing value.

    Seeds are careful ones ("k-means++"), random rows ("rows"), or the means of parts after some steps ("kmeans").
    """
    order = np.lexsort(z.T[::-1])
    sorted_z, sorted_weight = z[order], weight[order]
    means = (distinct_rows if method == "rows" else careful_seeds)(sorted_z, sorted_weight, k, rng)
    for _ in range(KMEANS_STEPS if method == "kmeans" else 0):
        means = _centroids(sorted_z, sorted_weight, squared_distances(sorted_z, means).argmin(axis=1), means)
    return squared_distances(z, means).argmin(axis=1)


def _centroids(z: np.ndarray, weight: np.ndarray, labels: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Weighted means of parts over what is observed; those of empty parts stay."""
    share = (labels == np.arange(len(before))[:, None]) * weight
    observed = ~np.isnan(z)
    total = share @ observed
    return np.where(total > 0, (share @ np.where(observed, z, 0.0)) / np.where(total > 0, total, 1.0), before)


def squared_distances(z: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of rows (n, d) from points (m, d), over the observed features, scaled up to all; (n, m)."""
    square = cdist(z, points, "sqeuclidean")
    incomplete = np.flatnonzero(np.isnan(square[:, 0]))
    if len(incomplete):
        observed = ~np.isnan(z[incomplete])
        difference = np.where(observed[:, None], z[incomplete, None] - points, 0.0)
        n_observed = np.maximum(observed.sum(axis=1), 1)
        square[incomplete] = (difference**2).sum(axis=2) * (z.shape[1] / n_observed)[:, None]
    return square


def distinct_rows(z: np.ndarray, weight: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows drawn by weight, distinct as long as there are distinct ones."""
    z, weight = np.nan_to_num(z), weight.copy()
    rows = np.empty((k, z.shape[1]))
    for index in range(k):
        rows[index] = z[draw_row(weight, rng.random())]
        others = weight * (z != rows[index]).any(axis=1)
        weight = others if others.any() else weight
    return rows


def names_of_parts(labels: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    """For each of k parts the component (k,) that most of its rows are known to be; -1 in `known` is unknown."""
    agreement = np.zeros((k, k))
    is_known = known >= 0
    np.add.at(agreement, (labels[is_known], known[is_known]), 1)
    names: np.ndarray = linear_sum_assignment(-agreement)[1]
    return names


def draw_units(chunks: Iterable[U], weight: float, n: int, rng: np.random.Generator) -> list[U]:
    """`n` units drawn in proportion to their weights, of total `weight`, in two passes; of weight 1 each, in order."""
    places = np.sort(rng.random(n)) * weight
    befores = accumulate(each(_total_weight, chunks), initial=0.0)
    return list(each(partial(_units_at, places), chunks, list(befores)))


def _total_weight(chunk: Units) -> float:
    return float(np.cumsum(chunk.weight, dtype=np.float64)[-1])


def _units_at(places: np.ndarray, chunk: U, before: float) -> U:
    """Those of a chunk at places of the cumulative weight, which is `before` where the chunk begins."""
    ends = before + np.cumsum(chunk.weight, dtype=np.float64)
    here = places[(places >= before) & (places < ends[-1])]
    index = np.searchsorted(ends, here, side="right")
    return chunk.take(index).reweighted(np.ones(len(index)))
