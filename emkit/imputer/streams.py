"""Tables that are read block by block: what `fit` learns of them, and their codes, made anew in each pass.

Two passes come before those of EM. The first finds the kinds and the levels of the columns, the second their scales;
then each E-step reads the blocks again. Of all blocks only sums are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import _safe_indexing

from .._validation import reader_of
from ..blocks import Blocks, first_block, is_empty, source_of
from ..chunks import BlockSource, Source, split
from ..distributed import RemoteSource
from ..executors import each, itself
from .columns import Column
from .digests import Digest, column_of, digest
from .reading import as_table
from .tables import Request, cells_of, open_table, read, requests_of
from .training import Chunker, Learned

if TYPE_CHECKING:
    from .estimator import EMImputer

FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class Survey:
    """What the rows of weight of a block tell of its columns; adds over blocks. It stands for them as a chunk.

    Attributes
    ----------
    weight : ndarray of shape (n,)
        Of the rows of this block, which have weight; empty in a sum.
    n_rows : int
    n_known : ndarray of shape (p,), intp
        Rows in which a column has a value.
    digests : tuple of Digest
    """

    weight: np.ndarray
    n_rows: int
    n_known: np.ndarray
    digests: tuple[Digest, ...]

    def __len__(self) -> int:
        return self.n_rows

    def __add__(self, other: Survey) -> Survey:
        digests = tuple(map(add, self.digests, other.digests))
        return Survey(np.empty(0), self.n_rows + other.n_rows, self.n_known + other.n_known, digests)


def learn(estimator: EMImputer, blocks: Blocks, sample_weight: Any) -> Learned:
    """The columns of all blocks, and a source of their codes."""
    example = as_table(estimator, first_block(blocks), reset=True)
    requests = requests_of(estimator.columns, open_table(example).names)
    tables = table_source(estimator, blocks, sample_weight)
    surveys = tables.resplit(partial(_surveys, requests, estimator.missing_values), len(requests))
    found = reduce(add, each(itself, surveys))
    columns = tuple(column_of(*pair) for pair in zip(found.digests, requests, strict=True))
    kept = found.n_known > 0
    coder = Coder(columns, kept, estimator.missing_values)
    data = Stream(tuple(c for c, keep in zip(columns, kept, strict=True) if keep), coder, surveys, found.n_rows)
    return Learned(columns, kept, found.n_known < found.n_rows, data, example)


def table_source(estimator: EMImputer, blocks: Blocks, sample_weight: Any) -> BlockSource | RemoteSource:
    """Blocks, which are checked for the columns that the estimator knows; how they become chunks is to be said."""
    read_table = partial(_as_table, reader_of(estimator))
    source = source_of(blocks, read_table, sample_weight, FLOAT64, estimator.n_features_in_)
    assert isinstance(source, BlockSource | RemoteSource)
    return source


def _as_table(reader: EMImputer, block: Any) -> Any:
    """A block as a table; one without rows as an array."""
    return np.empty((0, reader.n_features_in_)) if is_empty(block) else as_table(reader, block, reset=False)


def _surveys(requests: list[Request], marker: Any, table: Any, weight: np.ndarray | None) -> Iterator[Survey]:
    """The only chunk of a block."""
    table, weight = rows_of_weight(table, weight)
    if not len(table):
        return
    n_known, digests = [], []
    for (cells, missing, dtype), request in zip(cells_of(table, marker), requests, strict=True):
        n_known.append(len(table) - int(missing.sum()))
        digests.append(digest(cells, missing, dtype, request))
    yield Survey(weight, len(table), np.array(n_known), tuple(digests))


@dataclass(frozen=True, eq=False)
class Coder:
    """Codes of tables like those of the survey."""

    columns: tuple[Column, ...]
    kept: np.ndarray  # (p,) bool
    missing_values: Any
    unseen: str = "error"

    def codes(self, table: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Of the columns with a value, (n, q), and the weights of the rows that have any."""
        table, weight = rows_of_weight(table, weight)
        codes = read(table, self.columns, self.missing_values, self.unseen)
        return codes[:, self.kept], weight

    def chunks(self, chunker: Chunker, table: Any, weight: np.ndarray | None) -> Iterator[Any]:
        """Of a model."""
        if len(table) and (weight is None or weight.any()):
            yield from chunker.chunks(*self.codes(table, weight))


class Codes:
    """Codes as they are, as chunks."""

    def chunks(self, codes: np.ndarray, weight: np.ndarray) -> Iterator[Any]:
        return split(codes, weight)


@dataclass(frozen=True, eq=False)
class Stream:
    """`emkit.imputer.training.Data` that are read anew in each pass."""

    columns: tuple[Column, ...]
    coder: Coder
    tables: BlockSource | RemoteSource
    n_rows: int = 0  # of weight; not counted where no model is chosen

    @property
    def source(self) -> Source:
        return self.chunks(Codes())

    def chunks(self, chunker: Chunker) -> BlockSource | RemoteSource:
        return self.tables.resplit(partial(self.coder.chunks, chunker), len(self.columns))


def rows_of_weight(table: Any, weight: np.ndarray | None) -> tuple[Any, np.ndarray]:
    """The rows of positive weight, and their weights, float64."""
    if weight is None:
        return table, np.ones(len(table))
    if weight.all():
        return table, weight
    rows = np.flatnonzero(weight)
    return _safe_indexing(table, rows), weight[rows]
