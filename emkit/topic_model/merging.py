"""Fewer topics from many: of topics that say the same, one.

EM does not leave a solution in which one topic stands for two and two others say the same. With more topics than are
asked for, few are missed; then the two whose union costs the least likelihood become one, until their number is right.

References
----------
.. [1] Slonim, N. and Tishby, N. (1999). Agglomerative information bottleneck. NIPS, 617-623. The cost of a merger is
   the weighted Jensen-Shannon divergence of the two distributions.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

N_NEAREST = 2  # topics most like another, of which one may be merged with it


def merged(counts: np.ndarray, n_topics: int, n_held: int = 0) -> np.ndarray:
    """Expected counts (V, m), columns added in pairs until there are `n_topics`; the first `n_held` stay."""
    topics = dict(enumerate(counts.T.copy()))
    spread = {number: _spread(column) for number, column in topics.items()}
    likeness = _likeness(counts)
    costs: dict[tuple[int, int], float] = {}
    while len(topics) > n_topics:
        for pair in _pairs(likeness, list(topics), n_held):
            if pair not in costs:
                costs[pair] = spread[pair[0]] + spread[pair[1]] - _spread(topics[pair[0]] + topics[pair[1]])
        one, other = min((cost, pair) for pair, cost in costs.items())[1]
        topics[one] = topics[one] + topics.pop(other)
        spread[one] = _spread(topics[one])
        costs = {pair: cost for pair, cost in costs.items() if not {one, other} & set(pair)}
        union = topics[one] / max(np.linalg.norm(topics[one]), 1e-300)
        for number, column in topics.items():
            likeness[one, number] = likeness[number, one] = union @ column / max(np.linalg.norm(column), 1e-300)
    return np.stack(list(topics.values()), axis=1)


def _likeness(counts: np.ndarray) -> np.ndarray:
    """Cosines of the columns, (m, m)."""
    unit = counts / np.maximum(np.linalg.norm(counts, axis=0), 1e-300)
    cosines: np.ndarray = unit.T @ unit
    return cosines


def _pairs(likeness: np.ndarray, present: list[int], n_held: int) -> set[tuple[int, int]]:
    """Each topic with those most like it; the lower number first."""
    free = [number for number in present if number >= n_held]
    among = likeness[np.ix_(free, free)].copy()
    np.fill_diagonal(among, -1)
    nearest = np.argsort(-among, axis=1, kind="stable")[:, : min(N_NEAREST, len(free) - 1)]
    return {(min(a, free[b]), max(a, free[b])) for a, row in zip(free, nearest, strict=True) for b in row}


def _spread(column: np.ndarray) -> float:
    """Log-likelihood of a topic's tokens under its own distribution: sum of n log(n / N)."""
    total = float(column.sum())
    return float(xlogy(column, column).sum() - xlogy(total, total))
