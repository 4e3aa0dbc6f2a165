"""Sequences in the partitions of a dask collection, read and looked at where these are.

No sequence goes on in another partition. What comes here are numbers of rows, the ids, and the sequences of a sample.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .._validation import reader_of
from .._weights import check_block_weight, weight_parts
from ..blocks import is_empty, source_of
from ..chunks import Rows, Source
from ..distributed import kept_there
from ..executors import Changed, OneByOne, each, itself
from ..families.base import Family
from ..partitions import Aligned, Partitions, aligned_parts, check_known
from .reading import Table, as_sequences, check_lengths, check_values, numbered, read, sequence_ids
from .sequences import Sequences, in_pieces, joined, split, starts_of_pieces

T = TypeVar("T")
FLOAT = np.dtype(np.float64)
MEND = (
    "but each must lie whole within one; X.set_index(column, sorted=True) mends it where rows are sorted by sequence, "
    "else X.set_index(column), after which rows must be put in order of time within partitions"
)


@dataclass(frozen=True, eq=False)
class Partition:
    """What was read of a partition; sequences of weight zero are left out of the table."""

    table: Table
    has_ids: bool = True  # else they are numbers within the partition

    @property
    def shape(self) -> tuple[int, int]:
        return self.table.n_rows, self.table.X.shape[1]

    def __len__(self) -> int:
        return self.table.n_rows

    @property
    def weight(self) -> np.ndarray:
        """Ones, so that the partition counts as it is."""
        return np.ones(len(self))


class Found(NamedTuple):
    """What the first look at a partition tells; rows and sequences of weight zero count in `n_rows` alone."""

    n_rows: int
    lengths: np.ndarray  # (s,) of the sequences
    ids: list[Hashable]  # (s,), or none


def collected(
    estimator: Any, X: Any, *, labels: Any = None, family: Family | None = None, reset: bool, **metadata: Any
) -> Collected:
    """The sequences of a dask collection. With `reset` the features of the estimator are set from it, else checked."""
    if labels is not None:
        raise ValueError("labels must be None where X is a dask collection")
    blocks = Aligned(X, *map(kept_there, beside(estimator, X, **metadata)))
    read(estimator, blocks.example, reset=reset, min_rows=1, **told_in_example(metadata))
    return Collected(blocks, partial(read_partition, reader_of(estimator), family), estimator.n_features_in_)


class Collected:
    """The sequences of a dask collection, where its partitions are; at a row, where this stands in X.

    `read` makes a `Partition` of a block.
    """

    def __init__(self, blocks: Aligned, read: Callable[[Any], Partition], n_features: int) -> None:
        self.n_features = n_features
        self._source_of = partial(source_of, blocks, read, None, FLOAT, n_features)
        self._partitions = self._source_of(_whole)

    @cached_property
    def _found(self) -> list[Found]:
        """One pass. ValueError if a sequence is in two partitions."""
        found = list(each(_look, self._partitions))
        where: dict[Hashable, int] = {}
        for number, part in enumerate(found):
            for name in part.ids:
                if where.setdefault(name, number) != number:
                    raise ValueError(f"sequence {name!r} is in two partitions of X, {MEND}")
        if not any(len(part.lengths) for part in found):
            raise ValueError("sample_weight is zero for all rows, but at least one weight must be positive")
        return found

    def check_whole(self) -> None:
        """ValueError if a sequence is in two partitions."""
        _ = self._found

    @cached_property
    def lengths(self) -> np.ndarray:
        """Of all sequences, (s,)."""
        return np.concatenate([part.lengths for part in self._found])

    def chunks(self, chunk_rows: int) -> Source:
        """Those of the engine; chunks end where partitions do."""
        self.check_whole()
        return self._source_of(partial(_chunks, chunk_rows))

    def lengths_of_pieces(self, size: int) -> np.ndarray:
        """Of all sequences, cut into pieces of at most so many rows."""
        return np.diff(starts_of_pieces(np.cumsum([0, *self.lengths]), size))

    def taken(self, size: int, index: np.ndarray) -> Sequences:
        """Pieces brought here, by their places (i,), sorted, among those of all sequences."""
        firsts = _firsts(int((-(-part.lengths // size)).sum()) for part in self._found)
        found = each(partial(_taken, size, index), self._partitions, firsts)
        return joined([sequences for sequences in found if sequences is not None])

    def tables(self) -> Tables:
        """The tables, where they are."""
        return Tables(self._partitions, _firsts(part.n_rows for part in self._found))

    def __getitem__(self, row: int) -> int:
        """Where a row of the chunks stands in X."""
        ends = np.cumsum([part.lengths.sum() for part in self._found])
        number = int(np.searchsorted(ends, row, side="right"))
        inside = row - int(ends[number - 1]) if number else row
        wanted = [inside if index == number else None for index in range(len(ends))]
        return next(place for place in self.tables().each(_place_in, wanted) if place is not None)


class Tables(OneByOne):
    """The tables of partitions, numbered through; elsewhere if these are."""

    def __init__(self, partitions: Iterable[Partition], first_rows: list[int]) -> None:
        self._partitions, self._first_rows = partitions, first_rows

    def __iter__(self) -> Iterator[Table]:
        return self.each(itself)

    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]:
        """See `emkit.executors.Elsewhere`."""
        return each(partial(_of_table, function), self._partitions, self._first_rows, *aligned)


def rows_of(chunks: Iterable[Sequences]) -> Iterable[Rows]:
    """The rows of chunks, where these are."""
    return Changed(_rows, chunks)


def beside(
    estimator: Any, X: Any, sequence_id: Any = None, lengths: Any = None, sample_weight: Any = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """For each partition of X the ids of its rows, the lengths of its sequences, and weights; None what is not given.

    Raises
    ------
    ValueError
        If nothing tells the sequences apart, or if a sequence of `lengths` goes on in another partition.
    """
    if sequence_id is not None and lengths is not None:
        raise ValueError("sequence_id and lengths are both given, but only one of them may tell the sequences apart")
    if sequence_id is None and lengths is None and estimator.sequence is None:
        raise ValueError(
            "X is a dask collection, so something must tell its sequences apart: `sequence` of the constructor names "
            "the column or index level that holds the sequence of each row, or pass sequence_id or lengths"
        )
    counts = Partitions(X).row_counts
    ids = aligned_parts("sequence_id", sequence_id, counts)
    return ids, lengths_parts(lengths, counts), weight_parts(sample_weight, counts)


def told_in_example(metadata: dict[str, Any]) -> dict[str, Any]:
    """What tells that the one row of an example is a sequence, where `sequence` of the constructor does not."""
    is_told = any(metadata.get(name) is not None for name in ("sequence_id", "lengths"))
    return {"lengths": [1]} if is_told else {}


def lengths_parts(lengths: Any, row_counts: Sequence[float]) -> list[Any]:
    """Lengths of the sequences of each partition of X; None where they are not given."""
    if lengths is None:
        return [None] * len(row_counts)
    check_known("lengths", row_counts)
    lengths = check_lengths(lengths, int(sum(row_counts)))
    ends, borders = np.cumsum(lengths), np.cumsum(row_counts).astype(int)
    places = np.searchsorted(ends, borders[:-1], side="right")
    crossing = np.concatenate([[0], ends])[places] != borders[:-1]
    if crossing.any():
        number = int(crossing.argmax())
        raise ValueError(
            f"lengths[{places[number]}] goes on from partition {number} of X into the next, but each sequence must lie "
            "whole within a partition; X.rechunk((sizes, -1)) with sums of lengths as sizes mends it"
        )
    return np.split(lengths, places)


def read_partition(reader: Any, family: Family | None, block: tuple[Any, Any, Any, Any]) -> Partition:
    """A partition with ids, lengths and weights."""
    X, sequence_id, lengths, weight = block
    if is_empty(X):
        return Partition(_no_rows(reader, 0))
    if weight is not None:
        weight = check_block_weight(weight, len(X), FLOAT)
        if not weight.any():
            return Partition(_no_rows(reader, len(X)))
    table = read(reader, X, sequence_id=sequence_id, lengths=lengths, sample_weight=weight, reset=False)
    if family is not None:
        check_values(family, table.X, table.passed)
    return Partition(table, lengths is None)


def _no_rows(reader: Any, n_rows: int) -> Table:
    return Table(np.empty((0, reader.n_features_in_)), None, np.zeros(1, np.intp), [], None, None, None, n_rows)


def _whole(partition: Partition, weight: Any) -> Iterator[Partition]:
    yield partition


def _chunks(chunk_rows: int, partition: Partition, weight: Any) -> Iterator[Sequences]:
    yield from split(as_sequences(partition.table), chunk_rows)


def _look(partition: Partition) -> Found:
    table = partition.table
    return Found(table.n_rows, np.diff(table.starts), table.ids if partition.has_ids else [])


def _taken(size: int, index: np.ndarray, partition: Partition, first: int) -> Sequences | None:
    data = in_pieces(as_sequences(partition.table), size)
    here = index[(index >= first) & (index < first + len(data))] - first
    return data.take(here) if len(here) else None


def _of_table(function: Callable[..., T], partition: Partition, first_row: int, *values: Any) -> T:
    return function(partition.table._replace(first_row=first_row), *values)


def _place_in(table: Table, row: int | None) -> int | None:
    """Of a grouped row."""
    if row is None:
        return None
    return table.passed(row if table.order is None else int(table.order[row]))


def _rows(chunk: Sequences) -> Rows:
    return chunk.rows


def _firsts(sizes: Iterable[int]) -> list[int]:
    return list(accumulate(sizes, initial=0))[:-1]


def by_partition(
    estimator: Any, work: Callable[..., T], X: Any, sequence_id: Any, lengths: Any
) -> tuple[list[Any], Sequence[float]]:
    """A `Delayed` of ``work(fitted, block, sequence_id=..., lengths=...)`` for each partition, and the row counts.

    `work` belongs to the fit as it is at the call. A partition that goes on with a sequence of the one before is a
    ValueError once it is computed.
    """
    import dask

    told = beside(estimator, X, sequence_id, lengths)[:2]
    fitted = copy.copy(estimator)
    metadata = {"sequence_id": sequence_id, "lengths": lengths}
    read(fitted, Partitions(X).example, reset=False, **told_in_example(metadata))
    names, of_block = dask.delayed(partial(_names, estimator.sequence)), dask.delayed(partial(_of_block, work, fitted))
    blocks = Aligned(X, *told).delayed
    before = [None] * len(blocks) if lengths is not None else [None, *map(names, blocks[:-1])]
    parts = [of_block(block, ids) for block, ids in zip(blocks, before, strict=True)]
    return parts, Partitions(X).row_counts


def _names(sequence: Any, block: tuple[Any, Any, Any]) -> set[Hashable]:
    """The ids in a partition."""
    X, sequence_id, _ = block
    if is_empty(X):
        return set()
    return set(numbered("sequence_id", sequence_ids(sequence, X) if sequence_id is None else sequence_id, len(X))[1])


def _of_block(work: Callable[..., T], fitted: Any, block: tuple[Any, Any, Any], before: set[Hashable] | None) -> T:
    X, sequence_id, lengths = block
    if before is not None:
        again = before & _names(fitted.sequence, block)
        if again:
            raise ValueError(f"sequence {next(iter(again))!r} is in two partitions of X, {MEND}")
    return work(fitted, X, sequence_id=sequence_id, lengths=lengths)
