"""Rows as seeds of a start: drawn by weight, far from each other.

Rows are expected in sorted order, so that a draw by the inverse of the cumulative weight depends neither on the order
of the data nor on whether a weight is written as repetition.

References
----------
.. [1] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA, 1027-1035.
   Section 2.2; several candidates for each seed as in their section 6.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist


def draw_row(weight: np.ndarray, place: float | np.ndarray) -> np.ndarray:
    """Index at a place in [0, 1) of the cumulative weight."""
    ends = np.cumsum(weight)
    last = len(weight) - 1 - np.argmax(weight[::-1] > 0)
    return np.minimum(np.searchsorted(ends, place * ends[-1], side="right"), last)


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
