"""Documents as the engine sees them: chunks of a document-term matrix in CSR, and what is kept of each document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from ..chunks import CHUNK_ROWS

N_CHUNKS = 4
ENTRIES_PER_TERM = 10  # in a chunk at least; below it, the work is in adding the topics' counts up


@dataclass(frozen=True, eq=False)
class Documents:
    """A chunk: some documents with their sample weights.

    Attributes
    ----------
    starts : ndarray of shape (n + 1,), intp
        Where the entries of each document begin.
    terms : ndarray of shape (m,), int32
        Column of each entry.
    counts : ndarray of shape (m,), float64 or float32
        Count of each entry; not negative, fractions allowed.
    weight : ndarray of shape (n,), dtype of `counts`
        Sample weights, not negative.
    n_terms : int
        Columns of the table, V.
    place : int or None
        Which chunk of the data this is; what is kept of its documents from pass to pass goes by it. None for documents
        of which nothing is kept.
    """

    starts: np.ndarray
    terms: np.ndarray
    counts: np.ndarray
    weight: np.ndarray
    n_terms: int
    place: int | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def dtype(self) -> np.dtype:
        return self.counts.dtype

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each document, (n,) float64."""
        return np.asarray(self.table.sum(axis=1, dtype=np.float64)).ravel()

    @cached_property
    def term_counts(self) -> np.ndarray:
        """Weighted tokens of each term, (V,) float64."""
        by_entry = self.counts * np.repeat(self.weight.astype(np.float64), np.diff(self.starts))
        return np.bincount(self.terms, weights=by_entry, minlength=self.n_terms)

    @property
    def table(self) -> sp.csr_array:
        """The same as a SciPy array, sharing memory."""
        return sp.csr_array((self.counts, self.terms, self.starts), shape=(len(self), self.n_terms))

    def take(self, index: np.ndarray) -> Documents:
        """Some documents, of which nothing is kept."""
        return documents_of(self.table[index], self.weight[index])

    def reweighted(self, weight: np.ndarray) -> Documents:
        """The same documents with other weights, (n,)."""
        return replace(self, weight=np.ascontiguousarray(weight, dtype=self.dtype))


def documents_of(table: sp.csr_array, weight: np.ndarray | None = None, place: int | None = None) -> Documents:
    """A chunk of a CSR array or matrix; counts keep their dtype, and no weights are ones."""
    counts = np.ascontiguousarray(table.data)
    if weight is None:
        weight = np.ones(table.shape[0], dtype=counts.dtype)
    return Documents(
        np.ascontiguousarray(table.indptr, dtype=np.intp),
        np.ascontiguousarray(table.indices, dtype=np.int32),
        counts,
        np.ascontiguousarray(weight, dtype=counts.dtype),
        table.shape[1],
        place,
    )


def split(table: sp.csr_array, weight: np.ndarray | None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Documents]:
    """Chunks of at most `chunk_rows` documents, of which nothing is kept; without copies."""
    ones = np.ones(min(table.shape[0], chunk_rows), dtype=table.dtype)
    for start in range(0, table.shape[0], chunk_rows):
        starts = np.ascontiguousarray(table.indptr[start : start + chunk_rows + 1], dtype=np.intp)
        entries = slice(starts[0], starts[-1])
        n = len(starts) - 1
        yield Documents(
            starts - starts[0],
            np.ascontiguousarray(table.indices[entries], dtype=np.int32),
            np.ascontiguousarray(table.data[entries]),
            ones[:n] if weight is None else np.ascontiguousarray(weight[start : start + n], dtype=table.dtype),
            table.shape[1],
        )


def as_chunks(table: sp.csr_array, weight: np.ndarray | None) -> list[Documents]:
    """A table in memory as chunks that have places; their number depends on the table alone."""
    n, n_terms = table.shape
    n_chunks = int(np.clip(table.nnz // (ENTRIES_PER_TERM * n_terms), 1, N_CHUNKS))
    rows = min(-(-n // n_chunks), CHUNK_ROWS)
    return [replace(chunk, place=place) for place, chunk in enumerate(split(table, weight, rows))]


def joined(chunks: Iterable[Documents]) -> Documents:
    """All documents in one chunk, of which nothing is kept."""
    chunks = list(chunks)
    if len(chunks) == 1:
        return replace(chunks[0], place=None)
    ends = np.cumsum([0, *(chunk.starts[-1] for chunk in chunks)])
    return Documents(
        np.concatenate([np.zeros(1, np.intp), *(c.starts[1:] + end for c, end in zip(chunks, ends, strict=False))]),
        np.concatenate([chunk.terms for chunk in chunks]),
        np.concatenate([chunk.counts for chunk in chunks]),
        np.concatenate([chunk.weight for chunk in chunks]),
        chunks[0].n_terms,
    )


class Kept:
    """What is kept of the documents from pass to pass, by the place of their chunk. A sum holds the chunks of both."""

    def __init__(self, by_place: Mapping[int, np.ndarray] | None = None) -> None:
        self.by_place = dict(by_place or {})

    def of(self, chunk: Documents) -> np.ndarray | None:
        return None if chunk.place is None else self.by_place.get(chunk.place)

    def __add__(self, other: Kept) -> Kept:
        return Kept({**self.by_place, **other.by_place})

    def __mul__(self, factor: float) -> Kept:
        """A multiple of statistics is of the same documents."""
        return self
