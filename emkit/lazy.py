"""Methods of fitted estimators on dask collections: lazy arrays, worked out partition by partition."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np

from ._weights import check_block_weight, weight_parts
from .partitions import Aligned, Partitions, aligned_parts, delayed_parts, is_collection


def lazy_for_dask(
    method: Callable[..., Any] | None = None, *, beside: tuple[str, ...] = (), refused: tuple[str, ...] = ()
) -> Any:
    """A method of X that gives an array with a row for each row; of a dask collection it gives a lazy dask array.

    The array belongs to the fit as it is at the call. `beside` are names of arguments that have a value for each row of
    X, and are cut as X is; `refused` are those that may not come with a collection.
    """
    if method is None:
        return partial(lazy_for_dask, beside=beside, refused=refused)
    signature = inspect.signature(method)

    @wraps(method)
    def of_array_or_collection(self: Any, X: Any, *args: Any, **options: Any) -> Any:
        if not is_collection(X):
            return method(self, X, *args, **options)
        _, _, *given = signature.bind(self, X, *args, **options).arguments.items()
        told = {name: value for name, value in given if value is not None}
        for name in refused:
            if name in told:
                raise ValueError(f"{name} must be None where X is a dask collection")
        by_row = {name: told.pop(name) for name in beside if name in told}
        return _lazily(method, copy.copy(self), X, by_row, told)  # a later fit of `self` leaves the copy as it is

    return of_array_or_collection


def _lazily(method: Callable[..., Any], fitted: Any, X: Any, by_row: dict[str, Any], options: dict[str, Any]) -> Any:
    import dask

    counts = Partitions(X).row_counts
    blocks = Aligned(X, *(aligned_parts(name, values, counts) for name, values in by_row.items()))
    example = method(lenient(fitted), blocks.example, **options)
    if isinstance(example, tuple):
        raise ValueError(f"{method.__name__} gives one lazy array of a dask collection, but got {options}")
    empty = np.asarray(example)[:0]
    work = dask.delayed(partial(_of_block, method, fitted, tuple(by_row), options, empty))
    return joined_lazily([work(block) for block in blocks.delayed], counts, empty)


def lenient(fitted: Any) -> Any:
    """A copy that takes levels that are made up, as those of an example are."""
    other = copy.copy(fitted)
    if hasattr(other, "unseen"):
        other.unseen = "missing"
    return other


def _of_block(
    method: Callable[..., Any],
    fitted: Any,
    names: tuple[str, ...],
    options: dict[str, Any],
    empty: np.ndarray,
    block: tuple[Any, ...],
) -> np.ndarray:
    X, *values = block
    if X.shape[0] == 0:
        return empty
    by_row = dict(zip(names, values, strict=True))
    return np.asarray(method(fitted, X, **by_row, **options)).astype(empty.dtype, copy=False)


def joined_lazily(parts: list[Any], row_counts: Sequence[float], empty: np.ndarray) -> Any:
    """A dask array of a `Delayed` for each partition, which has the shape and type of `empty` but for its rows."""
    import dask.array as da

    arrays = [
        da.from_delayed(part, shape=(n, *empty.shape[1:]), dtype=empty.dtype, meta=empty)
        for part, n in zip(parts, row_counts, strict=True)
    ]
    return da.concatenate(arrays, allow_unknown_chunksizes=True)


def total_lazily(parts: list[Any]) -> Any:
    """A dask array without dimensions: the sum of a `Delayed` number for each partition."""
    import dask
    import dask.array as da

    return da.from_delayed(dask.delayed(sum)(parts), shape=(), dtype=np.float64)


def weighted_mean(scores: Any, sample_weight: Any) -> float:
    """Of a lazy array of scores (n,) under weights (n,) or None; only sums leave the partitions."""
    total, weight = weighted_sums(scores, sample_weight)
    return total / weight


def weighted_sums(scores: Any, sample_weight: Any) -> tuple[float, float]:
    """Of weight times score, and of weight."""
    import dask

    weights = weight_parts(sample_weight, scores.chunks[0])
    sums = [dask.delayed(_sums)(part, weight) for part, weight in zip(delayed_parts(scores), weights, strict=True)]
    total, weight = np.sum(dask.compute(*sums), axis=0)
    if sample_weight is None and not weight > 0:
        raise ValueError("X has no rows (n_samples=0): all its partitions are empty")
    if not weight > 0:
        raise ValueError("sample_weight is zero for all rows, but at least one weight must be positive")
    return float(total), float(weight)


def _sums(scores: np.ndarray, values: Any) -> tuple[float, float]:
    """Of weight times score, and of weight."""
    weight = np.ones(len(scores)) if values is None else check_block_weight(values, len(scores), np.dtype(np.float64))
    return float(weight @ scores.astype(np.float64)), float(weight.sum())
