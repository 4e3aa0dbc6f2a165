"""Dask arrays and frames as blocks of rows: their partitions. Nothing here imports dask before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from .chunks import block_error

MEND_SIZES = "call X.compute_chunk_sizes() first (of a frame: X.to_dask_array(lengths=True))"


def is_collection(X: Any) -> bool:
    """Whether X is a dask array or a dask frame."""
    return type(X).__module__.partition(".")[0] in ("dask", "dask_expr") and hasattr(X, "ndim")


class Partitions:
    """The partitions of a dask collection of two dimensions. A call computes them one after the other.

    Raises
    ------
    ValueError
        If X has another number of dimensions, or if rows are cut into pieces.
    """

    def __init__(self, X: Any) -> None:
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions, but is a dask {type(X).__name__} of {X.ndim}")
        if is_array(X) and X.numblocks[1] != 1:
            raise ValueError(
                f"X is a dask array whose rows are cut into {X.numblocks[1]} chunks of columns; X.rechunk({{1: -1}}) "
                "makes them whole"
            )
        if np.isnan(X.shape[1]):
            raise ValueError(f"X is a dask array of an unknown number of columns; {MEND_SIZES}")
        self.collection = X

    def __call__(self) -> Iterator[Any]:
        for number, part in enumerate(self.delayed):
            try:
                block = part.compute()
            except Exception as error:  # of the user's graph: whatever it is, the block is named
                raise block_error(number, f"could not be computed: {error!r}") from error
            yield block

    @property
    def delayed(self) -> list[Any]:
        """A `Delayed` for each partition."""
        return delayed_parts(self.collection)

    @property
    def row_counts(self) -> tuple[float, ...]:
        """Rows of each partition; NaN where they are not known."""
        X = self.collection
        return tuple(X.chunks[0]) if is_array(X) else (np.nan,) * X.npartitions

    @property
    def example(self) -> Any:
        """A block of one row, of the same columns and dtypes, made up."""
        X = self.collection
        if not is_array(X):
            return X._meta_nonempty.iloc[:1]
        row = np.ones((1, X.shape[1]), dtype=X.dtype)
        return sp.csr_array(row) if sp.issparse(X._meta) else row


def delayed_parts(collection: Any) -> list[Any]:
    """A `Delayed` for each partition of an array or frame of one or two dimensions."""
    return list(np.ravel(collection.to_delayed()))


def is_array(X: Any) -> bool:
    return hasattr(X, "numblocks")
