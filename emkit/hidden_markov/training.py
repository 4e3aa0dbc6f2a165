"""What a fit needs of its data, be they one table or read block by block: chunks, a sample, what the rows look like.

A sample stands for many rows: starts are compared on it, and the family sees it, with the rows that have the largest
and the smallest value of a column, in the place of all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..chunks import ArraySource, Rows
from ..chunks import joined as joined_rows
from ..description import Description, describe
from .partitioned import Collected, rows_of
from .reading import Table, as_sequences, to_row_order
from .sequences import Sequences, in_pieces, joined, split
from .streams import SequenceSource

SAMPLE_ROWS = 10_000  # from here on, starts are compared on some of the sequences
PIECE = 1_000  # rows of a stretch that stands for a long sequence


class Places(Protocol):
    """Where rows stand in what the user passed."""

    def __getitem__(self, row: int) -> Any: ...


class Training(NamedTuple):
    """The data of a fit.

    Attributes
    ----------
    source, sample : iterable of Sequences
        All chunks, and chunks of some sequences; the same where these are all.
    rows, described, places
        Chunks of the rows that the family is to see, what they look like, and where each stands in what the user passed
        (None if they stand there as here).
    tables : callable
        Gives the tables that were read, anew at each call.
    n_rows, n_sequences : int
    unobserved : list of int
        Columns without a value.
    labels : ndarray of shape (n_rows,) or None
        Known states, -1 where unknown.
    """

    source: Iterable[Sequences]
    sample: Iterable[Sequences]
    rows: Iterable[Rows]
    described: Description
    places: Places | None
    tables: Callable[[], Iterable[Table]]
    n_rows: int
    n_sequences: int
    unobserved: list[int]
    labels: np.ndarray | None = None


def training_of_table(table: Table, chunk_rows: int, cuts: bool, rng: np.random.Generator) -> Training:
    """All rows are in memory. `cuts` says whether stretches of a sequence may stand for it."""
    data = as_sequences(table)
    source = split(data, chunk_rows)
    rows = ArraySource(table.X, None if table.weight is None else to_row_order(table.weight, table))
    described = describe(rows, rows.n_features)
    # labels: few may be known, and these matter
    sample = source if data.labels is not None or len(data.rows) <= SAMPLE_ROWS else _some(data, cuts, rng)
    n_rows, n_sequences, unobserved = len(table.X), len(data), described.unobserved
    return Training(
        source, sample, rows, described, table.kept, lambda: [table], n_rows, n_sequences, unobserved, data.labels
    )


def training_of_blocks(source: SequenceSource, cuts: bool, rng: np.random.Generator) -> Training:
    """One pass; few rows are then kept in memory, of many a sample."""
    drawn, extremes = _Drawn(rng), _Extremes()
    n_rows = n_sequences = 0
    for sequences, places in source.weighted():
        n_rows, n_sequences = n_rows + len(sequences.rows), n_sequences + len(sequences)
        drawn.add(in_pieces(sequences, PIECE) if cuts else sequences, places)
        extremes.add(sequences.rows, places)
    what: tuple[Any, ...] = (source.tables, n_rows, n_sequences, extremes.unobserved)
    if n_rows <= SAMPLE_ROWS:
        chunks = list(source)
        return Training(chunks, chunks, *_of_family(joined(chunks).rows), drawn.places, *what)
    rows = drawn.sequences.rows
    seen = joined_rows([Rows(rows.X, rows.weight * (n_rows / len(rows))), extremes.rows])
    places = np.concatenate([drawn.places, extremes.places])
    return Training(source, split(drawn.sequences, SAMPLE_ROWS), *_of_family(seen), places, *what)


def training_of_partitions(collected: Collected, chunk_rows: int, cuts: bool, rng: np.random.Generator) -> Training:
    """Some passes, in which a sample comes here; or all rows, if these are few."""
    lengths = collected.lengths
    source: Iterable[Sequences] = collected.chunks(chunk_rows)
    if lengths.sum() <= SAMPLE_ROWS:
        chunks = split(joined(list(source)), chunk_rows)
        rows, described = _of_family(joined(chunks).rows)
        return _of_partitions(collected, chunks, chunks, rows, described)
    size = PIECE if cuts else int(lengths.max())
    some = collected.taken(size, _some_places(collected.lengths_of_pieces(size), rng))
    seen = rows_of(source)
    described = describe(seen, collected.n_features)
    return _of_partitions(collected, source, split(some, SAMPLE_ROWS), seen, described)


def _of_partitions(
    collected: Collected,
    source: Iterable[Sequences],
    sample: Iterable[Sequences],
    rows: Iterable[Rows],
    described: Description,
) -> Training:
    n_rows, n_sequences, unobserved = int(collected.lengths.sum()), len(collected.lengths), described.unobserved
    return Training(source, sample, rows, described, collected, collected.tables, n_rows, n_sequences, unobserved)


def _of_family(rows: Rows) -> tuple[ArraySource, Description]:
    """What a family is to see of rows that are here."""
    source = ArraySource(rows.X, rows.weight)
    return source, describe(source, source.n_features)


def _some(data: Sequences, cuts: bool, rng: np.random.Generator) -> list[Sequences]:
    if cuts:
        data = in_pieces(data, PIECE)
    return split(data.take(_some_places(data.lengths, rng)), SAMPLE_ROWS)


def _some_places(lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places, sorted, of some sequences of the given lengths (s,) that have `SAMPLE_ROWS` rows, or of all."""
    order = rng.permutation(len(lengths))
    n = int(np.searchsorted(np.cumsum(lengths[order]), SAMPLE_ROWS)) + 1
    return np.sort(order[:n])


class _Piece(NamedTuple):
    """A sequence that was drawn; those of the largest keys leave first."""

    negative_key: float
    number: int
    sequence: Sequences
    places: np.ndarray


class _Drawn:
    """Sequences drawn in one pass, each with the same chance, until they have `SAMPLE_ROWS` rows.

    Each gets a random key; those of the smallest keys stay.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._heap: list[_Piece] = []
        self._n_rows = self._n_seen = 0

    def add(self, data: Sequences, places: np.ndarray) -> None:
        keys = self._rng.random(len(data))
        order = np.argsort(keys)
        n = int(np.searchsorted(np.cumsum(data.lengths[order]), SAMPLE_ROWS)) + 1
        for index in order[:n]:
            if self._is_full and keys[index] >= -self._heap[0].negative_key:
                break
            rows = slice(data.starts[index], data.starts[index + 1])
            piece = _Piece(-keys[index], self._n_seen + index, data.take(np.array([index])), places[rows].copy())
            heappush(self._heap, piece)
            self._n_rows += len(piece.places)
            while self._n_rows - len(self._heap[0].places) >= SAMPLE_ROWS:
                self._n_rows -= len(heappop(self._heap).places)
        self._n_seen += len(data)

    @property
    def _is_full(self) -> bool:
        return self._n_rows >= SAMPLE_ROWS

    @property
    def _in_order(self) -> list[_Piece]:
        return sorted(self._heap, key=lambda piece: piece.number)

    @property
    def sequences(self) -> Sequences:
        """In the order of the data."""
        return joined([piece.sequence for piece in self._in_order])

    @property
    def places(self) -> np.ndarray:
        """Where their rows stand in what the user passed."""
        return np.concatenate([piece.places for piece in self._in_order])


class _Extremes:
    """A row with the largest and one with the smallest value of each column."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[float, np.ndarray, float, int]] = {}  # of -j - 1 for the smallest of column j

    def add(self, rows: Rows, places: np.ndarray) -> None:
        self.n_features = rows.X.shape[1]
        largest = zip(range(self.n_features), np.fmax.reduce(rows.X), strict=True)
        smallest = zip(range(-1, -self.n_features - 1, -1), -np.fmin.reduce(rows.X), strict=True)
        for key, value in (*largest, *smallest):
            if value > (self._found[key][0] if key in self._found else -np.inf):
                column, sign = (key, 1) if key >= 0 else (-key - 1, -1)
                row = int((rows.X[:, column] == sign * value).argmax())
                self._found[key] = float(value), rows.X[row].copy(), float(rows.weight[row]), int(places[row])

    @property
    def unobserved(self) -> list[int]:
        return [column for column in range(self.n_features) if column not in self._found]

    @property
    def rows(self) -> Rows:
        _, X, weight, _ = zip(*self._found.values(), strict=True)
        return Rows(np.array(X), np.array(weight))

    @property
    def places(self) -> np.ndarray:
        return np.array([place for *_, place in self._found.values()])
