"""Sample weights from raw user input: of a table, of a block, and of the partitions of a dask collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .partitions import aligned_parts, check_known, is_collection

MOST_WEIGHT = {np.dtype(np.float64): 1e200, np.dtype(np.float32): 1e30}


def check_sample_weight(
    sample_weight: Any, n_rows: int | None, dtype: np.dtype, most: float | None = None
) -> np.ndarray | None:
    """Weights of the rows, (n,), or None for ones; finite, not negative, not all zero, at most `most`."""
    if sample_weight is None:
        return None
    weight = check_block_weight(sample_weight, n_rows, dtype, most)
    if not weight.any():
        raise ValueError(f"sample_weight is zero for all rows (as {dtype}), but at least one weight must be positive")
    return weight


def check_block_weight(
    sample_weight: Any, n_rows: int | None, dtype: np.dtype, most: float | None = None
) -> np.ndarray:
    """The same of a block of rows, which may all have weight zero."""
    weight = _as_numbers(sample_weight)
    if weight.ndim == 0 and n_rows is not None:
        weight = np.full(n_rows, weight)
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar: sample_weight has shape {weight.shape}")
    if n_rows is not None and len(weight) != n_rows:
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected {(n_rows,)}: one weight for each row of X")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight must be finite and not negative, but sample_weight[{bad.argmax()}] is {weight[bad][0]}"
        )
    most = MOST_WEIGHT[np.dtype(dtype)] if most is None else most
    if weight.size and weight.max() > most:
        raise ValueError(
            f"sample_weight must be at most {most:g} as {dtype}, so that sums are finite, but "
            f"sample_weight[{weight.argmax()}] is {weight.max()}"
        )
    return np.ascontiguousarray(weight, dtype=dtype)


def _as_numbers(sample_weight: Any) -> np.ndarray:
    """float64; ValueError for what is no number, of which NumPy may make one all the same."""
    try:
        given = np.asarray(sample_weight)
        if given.dtype.kind in "cmM":
            raise ValueError(f"weights of type {given.dtype}")
        return np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"sample_weight must be an array of numbers, but got {sample_weight!r}") from error


def weight_parts(sample_weight: Any, row_counts: Sequence[float]) -> list[Any]:
    """What holds the weights of each partition of X, of which row counts may be NaN: unchecked, or None for ones.

    See :func:`emkit.partitions.aligned_parts`.
    """
    if is_collection(sample_weight):
        if sample_weight.ndim != 1:
            raise ValueError(f"sample_weight must have one dimension, but has shape {sample_weight.shape}")
    elif sample_weight is not None:
        check_known("sample_weight", row_counts)
        sample_weight = check_sample_weight(sample_weight, int(sum(row_counts)), np.dtype(np.float64))
    return aligned_parts("sample_weight", sample_weight, row_counts)
