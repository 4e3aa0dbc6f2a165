"""Chunks of incomplete rows, arranged so that rows of one pattern lie together, and patterns of one size too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

CHUNK_CELLS = 65_536  # so that a chunk and what is computed of it stay in the cache


class Patterns(NamedTuple):
    """Where the rows of each pattern begin, (p + 1,) intp, and what is known in it, (p, d) uint8."""

    starts: np.ndarray
    observed: np.ndarray


@dataclass(frozen=True, eq=False)
class Factors:
    """What is known of coordinates that are not known exactly, all (n, d) float64: see `kernels.complete_cells`.

    Attributes
    ----------
    lower, upper : ndarray
        Bounds of cells; NaN where there is none.
    tau, nu : ndarray
        Precision, and precision times mean, of the Gaussian factor of each coordinate: given where `lower` is NaN,
        else where expectation propagation ended at the last call, and is to start at the next.
    """

    lower: np.ndarray
    upper: np.ndarray
    tau: np.ndarray
    nu: np.ndarray

    def take(self, index: np.ndarray) -> Factors:
        return Factors(*(part[index] for part in (self.lower, self.upper, self.tau, self.nu)))


@dataclass(frozen=True, eq=False)
class IncompleteRows:
    """Some rows of d coordinates.

    Attributes
    ----------
    values : ndarray of shape (n, d), float64
        The coordinates that are known exactly; zero elsewhere.
    exact : ndarray of shape (n, d), uint8
        Where they are.
    weight : ndarray of shape (n,), float64
    factors : Factors or None
        What is known of the others; None if nothing.
    """

    values: np.ndarray
    exact: np.ndarray
    weight: np.ndarray
    factors: Factors | None = None

    @cached_property
    def patterns(self) -> Patterns:
        """Those of rows that lie together."""
        changes = np.flatnonzero((self.exact[1:] != self.exact[:-1]).any(axis=1)) + 1
        starts = np.concatenate([[0], changes, [len(self)]]).astype(np.intp)
        return Patterns(starts, np.ascontiguousarray(self.exact[starts[:-1]]))

    def take(self, index: np.ndarray) -> IncompleteRows:
        factors = None if self.factors is None else self.factors.take(index)
        return IncompleteRows(self.values[index], self.exact[index], self.weight[index], factors)

    def reweighted(self, weight: np.ndarray) -> IncompleteRows:
        """The same rows with other weights, (n,)."""
        return IncompleteRows(self.values, self.exact, np.ascontiguousarray(weight, np.float64), self.factors)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Arranged:
    """Chunks to iterate over; `order` (n,) is the place in the table of each of their rows, one after the other."""

    chunks: Sequence[IncompleteRows]
    order: np.ndarray

    def __iter__(self) -> Iterator[IncompleteRows]:
        return iter(self.chunks)

    def in_order(self, pieces: Sequence[np.ndarray]) -> np.ndarray:
        """What was computed of each chunk, in the order of the table."""
        joined = np.concatenate(pieces)
        out = np.empty_like(joined)
        out[self.order] = joined
        return out


def arrange(rows: IncompleteRows) -> Arranged:
    """Rows sorted by pattern, patterns by size; rows with factors by the number of coordinates that are not known."""
    group = _groups(rows.exact)
    size = rows.exact.sum(axis=1, dtype=np.intp)
    d = rows.exact.shape[1]
    side = 2 * size < d if rows.factors is None else np.zeros(len(rows), dtype=bool)
    frequency = np.bincount(group)[group]
    order = np.lexsort((group, frequency, size, side))
    step = max(CHUNK_CELLS // max(d, 1), 64)
    chunks = [rows.take(order[start : start + step]) for start in range(0, len(rows), step)]
    return Arranged(chunks, order)


def _groups(exact: np.ndarray) -> np.ndarray:
    """Number of the pattern of each row, (n,)."""
    n, d = exact.shape
    words = np.zeros((n, -(-d // 64) * 8), dtype=np.uint8)
    bits = np.packbits(exact, axis=1)
    words[:, : bits.shape[1]] = bits
    keys = words.view(np.uint64)
    group = np.zeros(n, dtype=np.intp)
    for column in keys.T:  # 64 coordinates at a time
        pairs = np.unique(column, return_inverse=True)[1].ravel()
        group = np.unique(group * (pairs.max(initial=0) + 1) + pairs, return_inverse=True)[1].ravel()
    return group


def condensed(arranged: Arranged) -> Arranged:
    """Fewer rows of the same likelihood, whatever the parameters: the second moments of each pattern are enough.

    A pattern of o known coordinates with more than 2 o rows becomes 2 o rows: its mean plus and minus the columns of a
    square root of its covariance, times the square root of o. Rows must not have factors.
    """
    joined = _joined(arranged.chunks)
    starts, observed = joined.patterns
    pieces = [
        _condensed_pattern(joined.take(np.arange(start, stop)), np.flatnonzero(seen))
        for start, stop, seen in zip(starts[:-1], starts[1:], observed, strict=True)
        if stop - start > 2 * seen.sum()
    ]
    if not pieces:
        return arranged
    few = np.repeat(np.diff(starts) <= 2 * observed.sum(axis=1, dtype=np.intp), np.diff(starts))
    return arrange(_joined([joined.take(np.flatnonzero(few)), *pieces]))


def _condensed_pattern(rows: IncompleteRows, seen: np.ndarray) -> IncompleteRows:
    weight, o = rows.weight.sum(), len(seen)
    if o == 0 or weight == 0:  # nothing is known; only the weight counts
        first = rows.take(np.arange(1))
        return first.reweighted(np.array([weight]))
    values = rows.values[:, seen]
    mean = rows.weight @ values / weight
    centred = values - mean
    eigenvalues, vectors = np.linalg.eigh(centred.T @ (centred * rows.weight[:, None]) / weight)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0) * o)).T
    few = np.zeros((2 * o, rows.values.shape[1]))
    few[:, seen] = mean + np.concatenate([root, -root])
    return IncompleteRows(few, np.repeat(rows.exact[:1], 2 * o, axis=0), np.full(2 * o, weight / (2 * o)))


def _joined(chunks: Sequence[IncompleteRows]) -> IncompleteRows:
    return IncompleteRows(
        np.concatenate([chunk.values for chunk in chunks]),
        np.concatenate([chunk.exact for chunk in chunks]),
        np.concatenate([chunk.weight for chunk in chunks]),
    )
