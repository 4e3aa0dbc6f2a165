"""Data that are read block by block: which inputs these are, and how their blocks are iterated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

Blocks = Callable[[], Iterable[Any]]


def blocks_of(X: Any, *, pairs: bool = False) -> Blocks | None:
    """A function that returns the blocks of X anew at each call; None if X is one table.

    A function is taken as it is. A list or tuple of tables is one too, or of pairs (table, responses) if `pairs`.

    Raises
    ------
    ValueError
        For a generator or another iterator: it can be read once, and EM reads the data many times.
    """
    if hasattr(X, "__next__"):
        what = "pairs (X, y)" if pairs else "blocks of rows"
        raise ValueError(
            f"X is an iterator ({type(X).__name__}), which can be read only once; pass a function that returns a new "
            f"iterator over {what} at each call, or a list of them"
        )
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
    try:
        return iter(blocks())
    except TypeError as error:
        raise ValueError("X is a function, so each call must return an iterable of blocks of rows") from error


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
