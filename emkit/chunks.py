"""Data as the engine sees them: something that can be iterated again and again and yields chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

CHUNK_ROWS = 10_000


class RowsWithGaps(NamedTuple):
    """Rows with a missing value, as the kernels need them; the rows of a pattern lie together."""

    place: np.ndarray  # (n,): where the rows stand in their chunk
    X: np.ndarray  # (n, d) float64
    starts: np.ndarray  # (p + 1,) intp: where each pattern begins
    observed: np.ndarray  # (p, d) uint8: 1 where a pattern has a value
    weight: np.ndarray  # (n,) float64


@dataclass(frozen=True, eq=False)
class Rows:
    """A chunk: some rows of the data with their sample weights.

    Attributes
    ----------
    X : ndarray of shape (n, d), float64 or float32
        The rows; NaN is a missing value.
    weight : ndarray of shape (n,), same dtype, contiguous
        Sample weights, not negative.
    labels : ndarray of shape (n,), intp, or None
        Known components, -1 where unknown; None if none is known.
    """

    X: np.ndarray
    weight: np.ndarray
    labels: np.ndarray | None = None

    @property
    def has_missing(self) -> bool:
        return self.missing.size > 0

    @cached_property
    def missing(self) -> np.ndarray:
        """Indices of the rows with a missing value."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.sum(self.X)  # one pass without a temporary array
        if not np.isnan(total):
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(np.isnan(self.X).any(axis=1))

    @property
    def complete_part(self) -> Rows:
        """The rows without a missing value."""
        return self._complete if self.has_missing else self  # not kept: a chunk that holds itself is freed late

    @cached_property
    def _complete(self) -> Rows:
        keep = np.ones(len(self.X), dtype=bool)
        keep[self.missing] = False
        return self.take(np.flatnonzero(keep))

    @cached_property
    def gaps(self) -> RowsWithGaps:
        """The rows with a missing value, sorted by what is missing."""
        X = self.X[self.missing].astype(np.float64)
        keys = np.packbits(~np.isnan(X), axis=1)
        patterns, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(group.ravel(), minlength=len(patterns)))])
        return RowsWithGaps(
            place=self.missing[order],
            X=X[order],
            starts=starts.astype(np.intp),
            observed=np.unpackbits(patterns, axis=1, count=X.shape[1]),
            weight=self.weight[self.missing][order].astype(np.float64),
        )

    @cached_property
    def _parts(self) -> dict[bytes, Rows]:
        return {}

    def part(self, columns: np.ndarray) -> Rows:
        """Some columns (c,); kept, since what follows from where they have gaps is dear."""
        key = columns.tobytes()
        if key not in self._parts:
            self._parts[key] = Rows(np.ascontiguousarray(self.X[:, columns]), self.weight)
        return self._parts[key]

    def take(self, index: np.ndarray) -> Rows:
        """Some rows, by their places (m,)."""
        return Rows(self.X[index], self.weight[index], None if self.labels is None else self.labels[index])

    def reweighted(self, weight: np.ndarray) -> Rows:
        """The same rows with other weights, (n,)."""
        return Rows(self.X, np.ascontiguousarray(weight, dtype=self.X.dtype), self.labels)

    def __len__(self) -> int:
        return len(self.X)


def joined(chunks: Iterable[Rows]) -> Rows:
    """Chunks one after the other, as one."""
    pieces = list(chunks)
    if len(pieces) == 1:
        return pieces[0]
    labels = [piece.labels for piece in pieces if piece.labels is not None]  # of all chunks of a source, or of none
    return Rows(
        np.concatenate([piece.X for piece in pieces]),
        np.concatenate([piece.weight for piece in pieces]),
        np.concatenate(labels) if labels else None,
    )


def split(X: np.ndarray, weight: np.ndarray | None, labels: np.ndarray | None = None) -> Iterator[Rows]:
    """Views of at most `CHUNK_ROWS` rows; without weights all chunks share one array of ones."""
    ones = np.ones(min(len(X), CHUNK_ROWS), dtype=X.dtype)
    for start in range(0, len(X), CHUNK_ROWS):
        here = slice(start, start + CHUNK_ROWS)
        piece = X[here]
        yield Rows(
            piece, ones[: len(piece)] if weight is None else weight[here], None if labels is None else labels[here]
        )


def in_one(parts: list[np.ndarray]) -> np.ndarray:
    """What was computed block by block, one after the other; not copied if there is one block."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class ArraySource:
    """Chunks of an array in memory or of a memory map: views, made once."""

    def __init__(self, X: np.ndarray, weight: np.ndarray | None, labels: np.ndarray | None = None) -> None:
        self.dtype = X.dtype
        self.n_features = X.shape[1]
        self.has_labels = labels is not None
        self.description: Any = None  # once it has been taken; see `emkit.description`
        self._chunks = list(split(X, weight, labels))

    def __iter__(self) -> Iterator[Rows]:
        return iter(self._chunks)

    def converted(self, dtype: Any) -> ArraySource:
        """The same in another type."""
        rows = joined(self._chunks)
        return ArraySource(rows.X.astype(dtype), rows.weight.astype(dtype), rows.labels)


def block_error(number: int, what: str) -> ValueError:
    """Of a block that cannot be read."""
    return ValueError(f"block {number} of X (from 0) {what}")


def read_named(read: Callable[[Any], Any], number: int, block: Any) -> Any:
    """The table that a block is; an error tells which block."""
    try:
        return read(block)
    except ValueError as error:
        raise block_error(number, f"is refused: {error}") from error


def weighty(chunks: Iterable[Any]) -> Iterator[Any]:
    """The units of positive weight, in chunks that are not empty."""
    for chunk in chunks:
        kept = chunk if chunk.weight.all() else chunk.take(np.flatnonzero(chunk.weight))
        if len(kept):
            yield kept


def chunks_named(
    split: Callable[[Any, np.ndarray | None], Iterator[Any]], number: int, X: Any, weight: np.ndarray | None
) -> Iterator[Any]:
    """Chunks of the table that a block is; an error on the way to one tells which block."""
    try:
        yield from weighty(split(X, weight))
    except ValueError as error:
        raise block_error(number, f"is refused: {error}") from error


class BlockSource:
    """Chunks of the blocks that a function yields each time it is called; nothing is kept.

    `read` makes a table of a block, `split` makes chunks of a table and its weights.
    """

    has_labels = False

    def __init__(
        self,
        blocks: Callable[[], Iterable[object]],
        read: Callable[[object], Any],
        weight: np.ndarray | None,
        dtype: np.dtype,
        n_features: int,
        split: Callable[[Any, np.ndarray | None], Iterator[Any]] = split,
    ) -> None:
        self.dtype = dtype
        self.n_features = n_features
        self._blocks = blocks
        self._read = read
        self._split = split
        self._weight = weight
        self._n_rows: int | None = None

    def __iter__(self) -> Iterator[Any]:
        start = 0
        for number, block in enumerate(self._blocks()):
            X = read_named(self._read, number, block)
            n = X.shape[0]
            weight = None
            if self._weight is not None:
                weight = self._weight[start : start + n]
                if len(weight) < n:
                    raise ValueError(f"sample_weight has {len(self._weight)} values, but the blocks have more rows")
            start += n
            yield from chunks_named(self._split, number, X, weight)
        if start == 0:
            raise ValueError("X yielded no rows; it must be a function that returns a new iterator at each call")
        if self._n_rows not in (None, start):
            raise ValueError(f"X yielded {start} rows, but {self._n_rows} at an earlier call; it must be the same rows")
        self._n_rows = start
        if self._weight is not None and start != len(self._weight):
            raise ValueError(f"sample_weight has {len(self._weight)} values, but the blocks have {start} rows")

    def resplit(self, split: Callable[[Any, np.ndarray | None], Iterator[Any]], n_features: int) -> BlockSource:
        """The same rows in other chunks."""
        other = copy(self)
        other._split, other.n_features = split, n_features
        return other


class Source(Protocol):
    """Chunks that can be iterated again and again."""

    @property
    def dtype(self) -> np.dtype: ...
    @property
    def n_features(self) -> int: ...
    @property
    def has_labels(self) -> bool: ...
    def __iter__(self) -> Iterator[Any]: ...
