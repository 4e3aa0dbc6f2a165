"""Sequences that are read block by block: those that a function yields at each call, or a memory map in pieces.

A block is one sequence, a list of sequences, or a table with the column or index level that holds the ids. No sequence
goes on in a later block. Work memory is that of a block and of a chunk, and a set of the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from .._validation import check_sample_weight
from ..blocks import blocks_of, iterate
from ..chunks import CHUNK_ROWS
from ..families.base import Family
from .reading import Table, as_sequences, check_values, grouped_already, read, weight_of_sequences
from .sequences import Sequences, borders, rechunked

MEMORY_MAP_ROWS = CHUNK_ROWS  # a smaller one is read whole


class Block(NamedTuple):
    """What is read at a time, and the lengths and ids of its sequences; None if X itself tells them apart."""

    X: Any
    lengths: np.ndarray | None = None
    ids: list[Hashable] | None = None


@dataclass(eq=False)
class SequenceSource:
    """Chunks of the sequences of all blocks, those of the engine: a new pass at each call of `blocks`.

    Attributes
    ----------
    estimator : EMHiddenMarkov
        Knows the features, and `sequence`.
    blocks : callable
        Returns an iterable of `Block`.
    weight : ndarray of shape (n_sequences,) or None
        Those of weight zero are left out of the chunks.
    chunk_rows : int
        Rows of a chunk.
    family : Family or None
        By which each value is checked, if it is given.
    n_rows, n_sequences : int
        Of all blocks, of whatever weight; -1 before the first pass.
    """

    estimator: Any
    blocks: Callable[[], Iterable[Block]]
    weight: np.ndarray | None
    chunk_rows: int
    family: Family | None = None
    n_rows: int = -1
    n_sequences: int = -1

    def checked_by(self, family: Family) -> SequenceSource:
        """The same source, whose values are checked at each pass."""
        return replace(self, family=family)

    @property
    def n_positive(self) -> int:
        """Sequences of positive weight."""
        return self.n_sequences if self.weight is None else int(np.count_nonzero(self.weight))

    def __iter__(self) -> Iterator[Sequences]:
        return rechunked((sequences for sequences, _ in self.weighted()), self.chunk_rows)

    def weighted(self) -> Iterator[tuple[Sequences, np.ndarray]]:
        """The sequences of each block with their weights, and where their rows stand in all that the user passed."""
        for table in self.tables():
            sequences, places = as_sequences(table), table.first_row + np.arange(len(table.X))
            places = places if table.order is None else places[table.order]
            if not sequences.weight.all():
                places = places[sequences.rows.weight > 0]
                sequences = sequences.take(np.flatnonzero(sequences.weight))
            if self.family is not None:
                check_values(self.family, sequences.rows.X, places.item)
            if len(sequences):
                yield sequences, places

    def tables(self) -> Iterator[Table]:
        """The blocks that have rows, one after the other, with weights."""
        n_rows, ids = 0, _Ids(self.weight)
        for block in self.blocks():
            if _is_empty(block.X):
                continue
            table = read(self.estimator, block.X, lengths=block.lengths, reset=False)
            own = table.ids if _has_ids(self.estimator, block) else block.ids
            sequences = slice(ids.n, ids.n + len(table.ids))
            table = table._replace(first_row=n_rows, ids=ids.add(own, len(table.ids)))
            if self.weight is not None:
                table = table._replace(weight=np.repeat(self.weight[sequences], np.diff(table.starts)))
            n_rows += len(table.X)
            yield table
        if n_rows == 0:
            raise ValueError("X yielded no rows; it must be a function that returns a new iterator at each call")
        ids.check_end()
        self._check_size(n_rows, ids.n)
        self.n_rows, self.n_sequences = n_rows, ids.n

    def _check_size(self, n_rows: int, n_sequences: int) -> None:
        if self.n_rows not in (-1, n_rows) or self.n_sequences not in (-1, n_sequences):
            raise ValueError(
                f"X yielded {n_rows} rows in {n_sequences} sequences, but {self.n_rows} in {self.n_sequences} at an "
                "earlier call; they must be the same at each call"
            )


class _Ids:
    """Ids of the sequences of a pass: numbers where the user gave none."""

    def __init__(self, weight: np.ndarray | None) -> None:
        self.n = 0
        self._n_weights = None if weight is None else len(weight)
        self._seen: set[Hashable] = set()

    def add(self, ids: list[Hashable] | None, n: int) -> list[Hashable]:
        """Those of one more block; ValueError if a block before had one of them."""
        first, self.n = self.n, self.n + n
        if self._n_weights is not None and self.n > self._n_weights:
            raise ValueError(f"sample_weight has {self._n_weights} values, but the blocks have more sequences")
        if ids is None:
            return list(range(first, self.n))
        again = [name for name in ids if name in self._seen]
        if again:
            raise ValueError(f"sequence {again[0]!r} is in two blocks of X, but each block must hold whole sequences")
        self._seen.update(ids)
        return ids

    def check_end(self) -> None:
        if self._n_weights not in (None, self.n):
            raise ValueError(f"sample_weight has {self._n_weights} values, but the blocks have {self.n} sequences")


def source_of(
    estimator: Any,
    X: Any,
    chunk_rows: int = CHUNK_ROWS,
    *,
    sequence_id: Any = None,
    lengths: Any = None,
    sample_weight: Any = None,
    labels: Any = None,
    reset: bool,
) -> SequenceSource | None:
    """The sequences of X, if it is to be read block by block; else None.

    `sample_weight` has one weight for each sequence if X is a function, else one for each row. With `reset` the
    features of the estimator are set from the first block, else checked.
    """
    if callable(X) or hasattr(X, "__next__"):
        for name, value in {"sequence_id": sequence_id, "lengths": lengths, "labels": labels}.items():
            if value is not None:
                raise ValueError(
                    f"{name} must be None where X is read block by block; there a block is one sequence, a list of "
                    "sequences, or has the column or index level that the constructor's `sequence` names"
                )
        function = blocks_of(X) or X
        weight = check_sample_weight(sample_weight, None, np.dtype(np.float64))

        def blocks() -> Iterator[Block]:
            return map(Block, iterate(function))

    else:
        pieces = None if labels is not None else _pieces(estimator, X, sequence_id, lengths)
        if pieces is None:
            return None
        weight = None if sample_weight is None else weight_of_sequences(sample_weight, pieces.starts)
        blocks = pieces.blocks
    if reset:
        first = next((block for block in blocks() if not _is_empty(block.X)), None)
        if first is None:
            raise ValueError("X is a function that yields no block of rows (n_samples=0)")
        read(estimator, first.X, lengths=first.lengths, reset=True, min_rows=1)
    return SequenceSource(estimator, blocks, weight, chunk_rows)


class _Pieces(NamedTuple):
    """A memory map in which the rows of a sequence lie together; `starts` and `ids` as in `Table`."""

    X: np.ndarray
    starts: np.ndarray
    ids: list[Hashable]

    def blocks(self) -> Iterator[Block]:
        for first, end in borders(self.starts, CHUNK_ROWS):
            rows = slice(self.starts[first], self.starts[end])
            yield Block(self.X[rows], np.diff(self.starts[first : end + 1]), self.ids[first:end])


def _pieces(estimator: Any, X: Any, sequence_id: Any, lengths: Any) -> _Pieces | None:
    """None for what is no large memory map, and where ids interleave, so that a copy in order is needed."""
    if not isinstance(X, np.memmap) or X.ndim != 2 or X.dtype.kind not in "fiu" or len(X) <= MEMORY_MAP_ROWS:
        return None
    grouped = grouped_already(estimator, X, sequence_id, lengths)
    return None if grouped is None else _Pieces(X, *grouped)


def _has_ids(estimator: Any, block: Block) -> bool:
    return block.lengths is None and estimator.sequence is not None and not isinstance(block.X, list | tuple)


def _is_empty(block: Any) -> bool:
    if issparse(block):
        return False  # which is refused by name
    return len(block) == 0 if hasattr(block, "__len__") else False
