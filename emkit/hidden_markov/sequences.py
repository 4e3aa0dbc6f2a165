"""Sequences as the engine sees them: chunks that never cut a sequence in two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..chunks import Rows
from ..chunks import joined as joined_rows


@dataclass(frozen=True, eq=False)
class Sequences:
    """A chunk: whole sequences, one after the other.

    Attributes
    ----------
    rows : Rows
        The rows of all sequences and their weights; the weight is constant within a sequence.
    starts : ndarray of shape (s + 1,), intp
        Where each sequence begins; the last is the number of rows. No sequence is empty.
    labels : ndarray of shape (n,), intp, or None
        The known state of each row, or -1; None if no state is known in this chunk.
    """

    rows: Rows
    starts: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of rows of each sequence, (s,)."""
        return np.diff(self.starts)

    @property
    def weight(self) -> np.ndarray:
        """Weight of each sequence, (s,)."""
        return self.rows.weight[self.starts[:-1]]

    def take(self, index: np.ndarray) -> Sequences:
        """The sequences at `index`, in that order; one may come several times."""
        lengths = self.lengths[index]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
        place = np.arange(starts[-1]) + np.repeat(self.starts[:-1][index] - starts[:-1], lengths)
        labels = None if self.labels is None else known(self.labels[place])
        return Sequences(self.rows.take(place), starts, labels)

    def reweighted(self, weight: np.ndarray) -> Sequences:
        """The same sequences with other weights, (s,)."""
        by_row = np.repeat(np.asarray(weight, dtype=np.float64), self.lengths)
        return Sequences(Rows(self.rows.X, by_row), self.starts, self.labels)


def in_pieces(data: Sequences, size: int) -> Sequences:
    """Sequences of more than `size` rows cut into stretches, each a sequence by itself."""
    return Sequences(data.rows, starts_of_pieces(data.starts, size), data.labels)


def starts_of_pieces(starts: np.ndarray, size: int) -> np.ndarray:
    """Where the pieces begin of sequences that begin at `starts` (s + 1,); the last is the end again."""
    pieces = [np.arange(start, end, size) for start, end in pairwise(starts)]
    return np.concatenate([*pieces, starts[-1:]]).astype(np.intp)


def known(labels: np.ndarray) -> np.ndarray | None:
    """The labels, or None if all are -1."""
    return labels if (labels >= 0).any() else None


def split(sequences: Sequences, chunk_rows: int) -> list[Sequences]:
    """Consecutive sequences of together at most `chunk_rows` rows, as views; a longer one is a chunk of its own."""
    return [_between(sequences, first, end) for first, end in borders(sequences.starts, chunk_rows)]


def borders(starts: np.ndarray, chunk_rows: int) -> Iterator[tuple[int, int]]:
    """The first sequence of each chunk and that after its last."""
    first = 0
    while first < len(starts) - 1:
        end = int(np.searchsorted(starts, starts[first] + chunk_rows, side="right")) - 1
        end = max(end, first + 1)
        yield first, end
        first = end


def rechunked(blocks: Iterable[Sequences], chunk_rows: int) -> Iterator[Sequences]:
    """The chunks of `split`, as if the blocks were one; of these no more than two are in memory, and a chunk."""
    waiting: list[Sequences] = []
    n_rows = 0
    for block in blocks:
        if waiting and n_rows + block.lengths[0] > chunk_rows:  # so a long sequence is not copied
            yield joined(waiting)
            waiting, n_rows = [], 0
        waiting.append(block)
        n_rows += len(block.rows)
        if n_rows > chunk_rows:
            *full, last = split(joined(waiting), chunk_rows)
            yield from full
            waiting, n_rows = [last], len(last.rows)
    if waiting:
        yield joined(waiting)


def joined(chunks: Sequence[Sequences]) -> Sequences:
    """Chunks one after the other, as one."""
    if len(chunks) == 1:
        return chunks[0]
    ends = np.cumsum([0] + [len(chunk.rows) for chunk in chunks])
    starts = [chunk.starts[:-1] + end for chunk, end in zip(chunks, ends, strict=False)]
    labels = None
    if any(chunk.labels is not None for chunk in chunks):
        unknown = (np.full(len(c.rows), -1) if c.labels is None else c.labels for c in chunks)
        labels = np.concatenate(list(unknown))
    rows = joined_rows(chunk.rows for chunk in chunks)
    return Sequences(rows, np.concatenate([*starts, ends[-1:]]).astype(np.intp), labels)


def _between(sequences: Sequences, first: int, end: int) -> Sequences:
    starts = sequences.starts[first : end + 1]
    part = slice(starts[0], starts[-1])
    rows, labels = sequences.rows, sequences.labels
    return Sequences(
        Rows(rows.X[part], rows.weight[part]), starts - starts[0], None if labels is None else known(labels[part])
    )
