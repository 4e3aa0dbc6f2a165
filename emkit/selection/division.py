"""Which components to divide in two, and how.

A component is divided across the direction in which its rows are least like those of a normal law, by the statistic of
Jarque and Bera ([1]_): weight times (skewness^2 / 6 + excess kurtosis^2 / 24), the local misfit times the weight. The
component of the largest spread is tried too.

References
----------
.. [1] Jarque, C. M. and Bera, A. K. (1987). A test for normality of observations and regression residuals. Int. Stat.
   Rev. 55(2), 163-172.
.. [2] Ueda, N., Nakano, R., Ghahramani, Z. and Hinton, G. E. (2000). SMEM algorithm for mixture models. Neural
   Computation 12(9), 2109-2128. Candidates for a split in the order of a criterion, a few steps of EM for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_BY_MISFIT = 2
SURE = 0.9  # share of a row that goes to its own half, so that EM can move it
MOST_COLUMNS = 50


class Axis(NamedTuple):
    """A direction through a component."""

    component: int
    misfit: float
    spread: float
    position: np.ndarray  # (n,), 0 at the mean of the component


def divided(resp: np.ndarray, weight: np.ndarray, features: Callable[[int], list[np.ndarray]]) -> list[np.ndarray]:
    """Responsibilities (n, k + 1) for each of the divisions worth a try; the halves are the last two.

    `features` gives for a component the tables by which its rows may be told apart, (n, m) each, without missing
    values; each table has axes of its own.
    """
    axes = [
        axis
        for k in range(resp.shape[1])
        for table in features(k)
        for axis in _axes(k, resp[:, k] * weight, _narrow(table))
    ]
    if not axes:
        return []
    best_of_each = {axis.component: axis for axis in sorted(axes, key=lambda axis: axis.misfit)}
    chosen = sorted(best_of_each.values(), key=lambda axis: -axis.misfit)[:N_BY_MISFIT]
    widest = max(axes, key=lambda axis: axis.spread)
    if not any(axis is widest for axis in chosen):
        chosen.append(widest)
    return [_halved(resp, axis) for axis in chosen]


def _narrow(table: np.ndarray) -> np.ndarray:
    """Many columns seen from a few directions, always the same."""
    if table.shape[1] <= MOST_COLUMNS:
        return table
    directions = np.random.default_rng(0).standard_normal((table.shape[1], MOST_COLUMNS))
    narrow: np.ndarray = table @ (directions / np.sqrt(MOST_COLUMNS))
    return narrow


def _axes(component: int, weight: np.ndarray, table: np.ndarray) -> list[Axis]:
    """The principal axes of the rows under some weights; none where fewer than two rows are."""
    total = weight.sum()
    if total < 2:
        return []
    centred = table - weight @ table / total
    variances, directions = np.linalg.eigh((centred * weight[:, None]).T @ centred / total)
    is_wide = variances > 1e-9 * max(variances[-1], 1e-300)
    positions = centred @ directions[:, is_wide]
    z = positions / np.sqrt(variances[is_wide])
    cubes = z * z * z  # a power of floats is many times as slow
    skewness, kurtosis = weight @ cubes / total, weight @ (cubes * z) / total - 3
    misfit = total * (skewness**2 / 6 + kurtosis**2 / 24)
    spread = total * variances[is_wide]
    return [Axis(component, *values) for values in zip(misfit, spread, positions.T, strict=True)]


def _halved(resp: np.ndarray, axis: Axis) -> np.ndarray:
    above = np.where(axis.position > 0, SURE, 1 - SURE)
    own = resp[:, axis.component]
    return np.column_stack([np.delete(resp, axis.component, axis=1), own * above, own * (1 - above)])


def standardised(table: np.ndarray) -> np.ndarray:
    """Columns in units of their standard deviations, a missing value at the mean; float64."""
    table = np.asarray(table, dtype=np.float64)
    known = ~np.isnan(table)
    n = np.maximum(known.sum(axis=0), 1)
    centred = table - np.where(known, table, 0).sum(axis=0) / n
    centred = np.where(known, centred, 0)
    deviation = np.sqrt((centred**2).sum(axis=0) / n)
    return centred / np.where(deviation > 0, deviation, 1)
