"""Methods of fitted estimators on dask collections: lazy arrays, worked out partition by partition."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np

from ._weights import check_block_weight, weight_parts
from .partitions import Partitions, delayed_parts, is_collection


def lazy_for_dask(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of X that gives an array with a row for each row; of a dask collection it gives a lazy dask array.

    The array belongs to the fit as it is at the call.
    """

    @wraps(method)
    def of_array_or_collection(self: Any, X: Any, **options: Any) -> Any:
        if not is_collection(X):
            return method(self, X, **options)
        partitions = Partitions(X)
        fitted = copy.copy(self)  # a later fit of `self` leaves it as it is
        example = method(lenient(fitted), partitions.example, **options)
        if isinstance(example, tuple):
            raise ValueError(f"{method.__name__} gives one lazy array of a dask collection, but got {options}")
        example = np.asarray(example)
        work = partial(_of_block, method, fitted, options, example[:0])
        return _mapped(work, partitions, example)

    return of_array_or_collection


def lenient(fitted: Any) -> Any:
    """A copy that takes levels that are made up, as those of an example are."""
    other = copy.copy(fitted)
    if hasattr(other, "unseen"):
        other.unseen = "missing"
    return other


def _of_block(
    method: Callable[..., Any], fitted: Any, options: dict[str, Any], empty: np.ndarray, block: Any
) -> np.ndarray:
    if block.shape[0] == 0:
        return empty
    return np.asarray(method(fitted, block, **options)).astype(empty.dtype, copy=False)


def _mapped(work: Callable[[Any], np.ndarray], partitions: Partitions, example: np.ndarray) -> Any:
    """A dask array of what `work` makes of each partition."""
    import dask
    import dask.array as da

    work = dask.delayed(work)
    parts = [
        da.from_delayed(work(part), shape=(n, *example.shape[1:]), dtype=example.dtype, meta=example[:0])
        for part, n in zip(partitions.delayed, partitions.row_counts, strict=True)
    ]
    return da.concatenate(parts, allow_unknown_chunksizes=True)


def weighted_mean(scores: Any, sample_weight: Any) -> float:
    """Of a lazy array of scores (n,) under weights (n,) or None; only sums leave the partitions."""
    import dask

    weights = weight_parts(sample_weight, scores.chunks[0])
    sums = [dask.delayed(_sums)(part, weight) for part, weight in zip(delayed_parts(scores), weights, strict=True)]
    total, weight = np.sum(dask.compute(*sums), axis=0)
    if not weight > 0:
        raise ValueError("sample_weight is zero for all rows, but at least one weight must be positive")
    return float(total / weight)


def _sums(scores: np.ndarray, values: Any) -> tuple[float, float]:
    """Of weight times score, and of weight."""
    weight = np.ones(len(scores)) if values is None else check_block_weight(values, len(scores), np.dtype(np.float64))
    return float(weight @ scores.astype(np.float64)), float(weight.sum())
