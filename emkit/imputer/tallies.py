"""What the scale of a column is made from, in sums that add over chunks of rows.

References
----------
.. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample variance: analysis and
   recommendations. Am. Stat. 37(3), 242-247. Equation (2.1): moments of two parts as those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add
from typing import Any

import numpy as np

from ..chunks import Rows
from ..executors import each

MOST_VALUES = 100_000  # distinct values of a column that are kept to rank others by
ENDS = 1_000  # of these, the lowest and the highest, which are always kept
GOLDEN = (5**0.5 - 1) / 2  # its multiples are spread evenly over the unit interval


@dataclass(frozen=True, eq=False)
class Moments:
    """Of known codes, about one of them, so that nothing cancels."""

    weight: float
    origin: float  # NaN if there is no code
    shift: float  # of the mean from the origin
    scatter: float  # weighted sum of squares about the mean
    low: float
    high: float

    def __add__(self, other: Moments) -> Moments:
        """By [1]_."""
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        weight = self.weight + other.weight
        share = other.weight / weight
        with np.errstate(over="ignore", invalid="ignore"):  # `check_ranges` says so
            apart = np.float64(other.origin - self.origin) + (other.shift - self.shift)
            scatter = self.scatter + other.scatter + apart**2 * self.weight * share
            shift = self.shift + apart * share
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Moments(weight, self.origin, float(shift), float(scatter), low, high)


def moments(codes: np.ndarray, weight: np.ndarray) -> Moments:
    if not len(codes):
        return Moments(0.0, np.nan, 0.0, 0.0, np.inf, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        centred, total = codes - codes[0], weight.sum()
        shift = weight @ centred / total
        scatter = weight @ (centred - shift) ** 2
    low, high = float(codes.min()), float(codes.max())
    return Moments(float(total), float(codes[0]), float(shift), float(scatter), low, high)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The weight of each distinct code, in pieces, each of rising codes; of more than `MOST_VALUES` codes a sketch.

    Where the distinct codes become more, all but the `ENDS` lowest and highest give way to fewer of equal weight, that
    lie evenly over the cumulative weight, at places that are other ones each time. The sum is the same whenever the
    chunks are. Measured, cumulative weights err by 2e-5 of the total for a million rows, by 1e-4 for thirty million.
    """

    pieces: tuple[tuple[np.ndarray, np.ndarray], ...]
    n_thinned: int = 0  # how often codes gave way

    @property
    def low(self) -> float:
        return min((float(codes[0]) for codes, _ in self.pieces if len(codes)), default=np.inf)

    @property
    def high(self) -> float:
        return max((float(codes[-1]) for codes, _ in self.pieces if len(codes)), default=-np.inf)

    def __add__(self, other: Ranks) -> Ranks:
        sums = Ranks(self.pieces + other.pieces, self.n_thinned + other.n_thinned)
        first, *others = (len(codes) for codes, _ in sums.pieces)
        return sums.joined if sum(others) > first else sums

    @cached_property
    def joined(self) -> Ranks:
        """The same in one piece."""
        if len(self.pieces) == 1:
            return self
        codes, weights = (np.concatenate(parts) for parts in zip(*self.pieces, strict=True))
        piece = _by_code(codes, weights)
        if len(piece[0]) <= MOST_VALUES:
            return Ranks((piece,), self.n_thinned)
        return Ranks((_thinned(*piece, self.n_thinned * GOLDEN % 1),), self.n_thinned + 1)


def ranks(codes: np.ndarray, weight: np.ndarray) -> Ranks:
    return Ranks((_by_code(codes, weight),))


def _by_code(codes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(codes):
        return codes, weight
    order = np.argsort(codes, kind="stable")  # which is fast where pieces are in order
    rising = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
    return rising[starts], np.add.reduceat(weight[order], starts, dtype=np.float64)


def _thinned(codes: np.ndarray, weight: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """`MOST_VALUES` at most, of the same total weight; `offset` from 0 to 1 says where between two the next lies."""
    inner = slice(ENDS, len(codes) - ENDS)
    ends = np.cumsum(weight[inner])
    n = MOST_VALUES - 2 * ENDS
    places = np.searchsorted(ends, (np.arange(n) + offset) * (ends[-1] / n), side="right").clip(0, len(ends) - 1)
    kept, counts = np.unique(places, return_counts=True)
    return (
        np.concatenate([codes[:ENDS], codes[inner][kept], codes[-ENDS:]]),
        np.concatenate([weight[:ENDS], counts * (ends[-1] / n), weight[-ENDS:]]),
    )


def level_weights(n_levels: int, codes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n_levels,)"""
    counts: np.ndarray = np.bincount(codes.astype(np.intp), weight, n_levels)
    return counts


@dataclass(frozen=True, eq=False)
class Tallies:
    """Of some rows: their weight, that of the known codes of each column (q,), and what its scale is made from."""

    weight: float
    known: np.ndarray
    by_column: tuple[Any, ...]

    def __add__(self, other: Tallies) -> Tallies:
        pairs = zip(self.by_column, other.by_column, strict=True)
        return Tallies(self.weight + other.weight, self.known + other.known, tuple(a + b for a, b in pairs))


Tally = Callable[[np.ndarray, np.ndarray], Any]  # of known codes and their weights; what it gives adds


def tallied(tallies: Sequence[Tally], source: Iterable[Rows]) -> Tallies:
    """One pass over rows of codes, (n, q); a tally for each column."""
    return reduce(add, each(partial(_tallies_of, tallies), source))


def _tallies_of(tallies: Sequence[Tally], rows: Rows) -> Tallies:
    known = ~np.isnan(rows.X)
    columns = zip(tallies, rows.X.T, known.T, strict=True)
    by_column = tuple(tally(column[here], rows.weight[here]) for tally, column, here in columns)
    return Tallies(float(rows.weight.sum()), rows.weight @ known, by_column)
