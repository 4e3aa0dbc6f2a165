"""Batches of data for passes of stepwise EM: rows of a table, or blocks gathered until they are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _num_samples

from ._weights import check_sample_weight
from .blocks import Blocks, blocks_of, iterate, with_weights
from .partitions import Aligned, Partitions, aligned_parts, is_collection


class Batch(NamedTuple):
    """What `partial_fit` is given: X, and by name what else there is for each row."""

    X: Any
    metadata: dict[str, Any]


class TableBatches:
    """Of about equal size. Rows in memory come in a random order, a new one each time; those of a memory map in theirs.

    Attributes
    ----------
    y : object
        Responses of the table, which is what `responses` yields.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, batch_rows: int, rng: np.random.Generator) -> None:
        n_rows = _num_samples(X)
        weight = check_sample_weight(sample_weight, n_rows, np.dtype(np.float64))
        by_row = {"y": y, "sample_weight": weight}
        self._X = X
        self._by_row = {name: values for name, values in by_row.items() if values is not None}
        for name, values in self._by_row.items():
            if _num_samples(values) != n_rows:
                raise ValueError(f"{name} has {_num_samples(values)} values, but X has {n_rows} rows")
        self._rows = np.arange(n_rows) if weight is None else np.flatnonzero(weight)
        self._n_batches = max(1, -(-len(self._rows) // batch_rows))
        self._rng = rng

    def __iter__(self) -> Iterator[Batch]:
        in_file = isinstance(self._X, np.memmap)
        rows = self._rows if in_file else self._rng.permutation(self._rows)
        for index in np.array_split(rows, self._n_batches):
            yield Batch(
                _safe_indexing(self._X, index),
                {name: _safe_indexing(values, index) for name, values in self._by_row.items()},
            )

    def responses(self) -> Iterator[Any]:
        yield self._by_row["y"]


class BlockBatches:
    """Blocks of at least `batch_rows` rows, but for the last; of several blocks a batch is a function in turn."""

    def __init__(self, blocks: Blocks, sample_weight: Any, batch_rows: int, *, pairs: bool) -> None:
        self._blocks = blocks
        self._weight = check_sample_weight(sample_weight, None, np.dtype(np.float64))
        self._batch_rows = batch_rows
        self._pairs = pairs

    def __iter__(self) -> Iterator[Batch]:
        gathered: list[tuple[Any, np.ndarray | None]] = []
        n_rows = 0
        for block, weight in with_weights(iterate(self._blocks), self._weight, self._size):
            if weight is not None and not weight.any():
                continue
            if self._size(block) >= self._batch_rows:
                yield self._batch([(block, weight)])
                continue
            gathered.append((block, weight))
            n_rows += self._size(block)
            if n_rows >= self._batch_rows:
                yield self._batch(gathered)
                gathered, n_rows = [], 0
        if gathered:
            yield self._batch(gathered)

    def _batch(self, gathered: list[tuple[Any, np.ndarray | None]]) -> Batch:
        blocks = [block for block, _ in gathered]
        weights = [weight for _, weight in gathered if weight is not None]
        metadata = {"sample_weight": np.concatenate(weights)} if weights else {}
        if len(blocks) == 1 and not self._pairs:
            return Batch(blocks[0], metadata)
        return Batch(lambda: blocks, metadata)

    def _size(self, block: Any) -> int:
        if not self._pairs:
            return _n_rows(block)
        if not isinstance(block, tuple | list) or len(block) != 2:
            raise ValueError(f"X must yield pairs of blocks (X, y), but yields {type(block).__name__}")
        return _n_rows(block[0])

    def responses(self) -> Iterator[Any]:
        for block in iterate(self._blocks):
            if self._size(block):
                yield block[1]


def batches_of(
    estimator: Any, X: Any, y: Any, sample_weight: Any, batch_rows: int, rng: np.random.Generator
) -> TableBatches | BlockBatches:
    """Of a table, or of blocks, which are pairs if the estimator needs responses; a new pass at each iteration.

    Beside a dask collection the responses are cut as it is.
    """
    if not (callable(X) or hasattr(X, "shape") or isinstance(X, Sequence | Iterator)):  # an iterator is refused below
        raise ValueError(
            f"X must be a table, a list of blocks, or a function that yields blocks, but got a {type(X).__name__}"
        )
    pairs = get_tags(estimator).target_tags.required
    if pairs and y is not None and is_collection(X):
        blocks: Blocks | None = Aligned(X, aligned_parts("y", y, Partitions(X).row_counts))
        y = None
    else:
        blocks = blocks_of(X, pairs=pairs)
    if blocks is not None:
        if pairs and y is not None:
            raise ValueError("X is read block by block, as pairs (X, y), so y must be None")
        return BlockBatches(blocks, sample_weight, batch_rows, pairs=pairs)
    if pairs and y is None:
        raise ValueError("y is None, but responses are needed; where X is read block by block, in pairs (X, y)")
    return TableBatches(X, y if pairs else None, sample_weight, batch_rows, rng)


def _n_rows(block: Any) -> int:
    """Rows of a table, or of all tables in a list."""
    if hasattr(block, "shape"):
        return int(block.shape[0])
    return sum(_n_rows(table) for table in block) if isinstance(block, list | tuple) else 1
