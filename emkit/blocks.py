"""Data that are read block by block: which inputs these are, and how their blocks are iterated.

Where a method takes blocks of rows, they are one of these:

- a list or tuple of tables: arrays, frames or, for topics, sparse matrices;
- a function without arguments that returns, at each call, a new iterator over such tables, as from the parts of a file;
- a dask array or frame, whose partitions are the blocks.

One block is in memory at a time. A generator is refused: it can be read once, and EM reads the data many times. Where
there is a response, each block is a pair (X, y). :doc:`The guide </user_guide/larger_than_memory>` has examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ._weights import check_sample_weight
from .chunks import BlockSource, Source, split
from .distributed import RemoteSource, active_client
from .partitions import Partitions, is_collection

Blocks = Callable[[], Iterable[Any]]


def blocks_of(X: Any, *, pairs: bool = False) -> Blocks | None:
    """A function that returns the blocks of X anew at each call; None if X is one table.

    A function is taken as it is. A list or tuple of tables is one too, or of pairs (table, responses) if `pairs`. The
    blocks of a dask array or frame are its partitions.

    Raises
    ------
    ValueError
        For a generator or another iterator: it can be read once, and EM reads the data many times. For a dask array
        whose rows are cut into pieces.
    """
    if hasattr(X, "__next__"):
        what = "pairs (X, y)" if pairs else "blocks of rows"
        raise ValueError(
            f"X is an iterator ({type(X).__name__}), which can be read only once; pass a function that returns a new "
            f"iterator over {what} at each call, or a list of them"
        )
    if is_collection(X):
        return Partitions(X)
    if callable(X):
        return X
    if isinstance(X, list | tuple) and len(X) > 0 and all(is_table(_inputs(block) if pairs else block) for block in X):
        return lambda: X
    return None


def _inputs(pair: Any) -> Any:
    return pair[0] if isinstance(pair, tuple) and len(pair) == 2 else None


def is_table(value: Any) -> bool:
    """An array, a frame or a sparse matrix of two dimensions."""
    return len(getattr(value, "shape", ())) == 2


def iterate(blocks: Blocks) -> Iterator[Any]:
    """What a call of the user's function yields."""
    required = "X is a function, so each call must return an iterable of blocks of rows"
    try:
        found: Any = blocks()
    except TypeError as error:
        raise ValueError(f"{required}, but raised TypeError: {error}") from error
    if is_table(found):
        raise ValueError(
            f"{required} (tables of two dimensions), but returned one {type(found).__name__} of shape {found.shape}"
        )
    if not isinstance(found, Iterable):
        raise ValueError(f"{required}, but returned {found!r}")
    return iter(found)


def with_weights(
    blocks: Iterable[Any], weight: np.ndarray | None, n_rows_of: Callable[[Any], int]
) -> Iterator[tuple[Any, np.ndarray | None]]:
    """Blocks that have rows, and the weights of these, of the weights (n,) of all rows; for one pass."""
    start = 0
    for block in blocks:
        n = n_rows_of(block)
        own = None if weight is None else weight[start : start + n]
        if own is not None and len(own) < n:
            raise ValueError("sample_weight has fewer values than the blocks have rows")
        start += n
        if n:
            yield block, own
    if start == 0:
        raise ValueError("X yielded no rows; it must be a function that returns a new iterator at each call")
    if weight is not None and start != len(weight):
        raise ValueError(f"sample_weight has {len(weight)} values, but the blocks have {start} rows")


def first_block(blocks: Blocks) -> Any:
    """The first block with rows, or one that dask makes up of the same columns; ValueError if there is none."""
    if isinstance(blocks, Partitions):
        return blocks.example
    for block in iterate(blocks):
        if block is None:
            raise ValueError("X is a function that yields None, but each block must be a table of rows")
        if not is_empty(block):
            return block
    raise ValueError("X is a function that yields no block of rows (n_samples=0)")


def is_empty(block: Any) -> bool:
    shape = getattr(block, "shape", None)
    if shape is None:
        return hasattr(block, "__len__") and len(block) == 0
    return len(shape) > 0 and shape[0] == 0


def source_of(
    blocks: Blocks,
    read: Callable[[Any], Any],
    sample_weight: Any,
    dtype: np.dtype,
    n_features: int,
    split: Callable[[Any, np.ndarray | None], Iterator[Any]] = split,
) -> Source:
    """Chunks of blocks: where they are, if they are partitions of a dask collection and a cluster is there to work.

    `read` makes a table of a block, `split` makes chunks of a table and its weights.
    """
    if isinstance(blocks, Partitions):
        client = active_client()
        if client is not None:
            return RemoteSource(client, blocks, read, sample_weight, dtype, n_features, split)
    weight = check_sample_weight(sample_weight, None, dtype)
    return BlockSource(lambda: iterate(blocks), read, weight, dtype, n_features, split)
