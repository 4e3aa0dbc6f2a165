"""Dask arrays and frames as blocks of rows: their partitions. Nothing here imports dask before it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from .chunks import block_error

MEND_SIZES = "call X.compute_chunk_sizes() first (of a frame: X.to_dask_array(lengths=True))"


def is_collection(X: Any) -> bool:
    """Whether X is a dask array or a dask frame. ValueError for another object of dask."""
    if type(X).__module__.partition(".")[0] not in ("dask", "dask_expr"):
        return False
    if not isinstance(getattr(X, "ndim", None), int):
        raise ValueError(f"a dask array or frame is needed, but got a dask {type(X).__name__}")
    return True


def refuse_collection(X: Any) -> None:
    """ValueError for a collection, where what would come of it has no place for each row."""
    if is_collection(X):
        raise ValueError(
            f"X must be in memory here, but is a dask collection ({type(X).__name__}); X.compute() brings it there"
        )


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
        """A block of one row, of the same columns and dtypes, made up: zeros, which are counts and symbols too."""
        X = self.collection
        if not is_array(X):
            row = X._meta_nonempty.iloc[:1]
            return row.mask(np.array([[getattr(dtype, "kind", "O") in "iuf" for dtype in row.dtypes]]), 0)
        row = np.full((1, X.shape[1]), "0" if X.dtype.kind in "US" else 0, dtype=X.dtype)
        return sp.csr_array(row) if sp.issparse(X._meta) else row


class Aligned(Partitions):
    """Partitions of X with what else belongs to their rows: a block is a tuple.

    `beside` are lists with a part for each partition, as of :func:`aligned_parts`.
    """

    def __init__(self, X: Any, *beside: list[Any]) -> None:
        super().__init__(X)
        self._beside = beside

    @property
    def delayed(self) -> list[Any]:
        import dask

        together = dask.delayed(_as_tuple)
        return [together(*parts) for parts in zip(super().delayed, *self._beside, strict=True)]


def _as_tuple(*parts: Any) -> tuple[Any, ...]:
    return parts


def delayed_parts(collection: Any) -> list[Any]:
    """A `Delayed` for each partition of an array or frame of one or two dimensions."""
    return list(np.ravel(collection.to_delayed()))


def aligned_parts(name: str, values: Any, row_counts: Sequence[float]) -> list[Any]:
    """What holds the values of the rows of each partition of X, of which row counts may be NaN; None where none are.

    A dask collection must have the partitions of X; an array whose chunks are known is cut as X is.

    Raises
    ------
    ValueError
        Where values cannot be cut like X.
    """
    if values is None:
        return [None] * len(row_counts)
    are_known = not np.isnan(row_counts).any()
    if is_collection(values):
        if are_known and is_array(values) and values.shape[:1] == (sum(row_counts),):
            values = values.rechunk((tuple(row_counts), *values.shape[1:]))
        parts = delayed_parts(values)
        if len(parts) != len(row_counts):
            raise ValueError(
                f"{name} must have the partitions of X, which are {len(row_counts)}, but has shape {values.shape} and "
                f"{len(parts)} partitions"
            )
        return parts
    check_known(name, row_counts)
    if _num_samples(values) != sum(row_counts):
        raise ValueError(f"{name} has {_num_samples(values)} values, but X has {int(sum(row_counts))} rows")
    ends = np.cumsum(row_counts).astype(int)
    return [_safe_indexing(values, slice(*ends)) for ends in pairwise([0, *ends])]


def check_known(name: str, row_counts: Sequence[float]) -> None:
    """ValueError if it is not known how many rows the partitions of X have."""
    if np.isnan(row_counts).any():
        raise ValueError(
            f"{name} must be a dask collection with the partitions of X, as the sizes of these are not known; or "
            f"{MEND_SIZES}"
        )


def is_array(X: Any) -> bool:
    return hasattr(X, "numblocks")
