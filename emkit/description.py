"""What one pass over the data tells: how many rows, where they are and how wide. It adds over chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from .chunks import ArraySource, Rows, Source
from .executors import Executor, Serial, executor_for


@dataclass(frozen=True, eq=False)
class Description:
    """Weighted moments of each feature about one of its values; missing values are left out.

    Attributes
    ----------
    n_rows : int
    weight : float
    origin : ndarray of shape (d,)
        An observed value of each feature, about which the moments are taken so that they do not cancel.
    counts, sums, squares : ndarray of shape (d,)
        Weight of the observed values, and the weighted sums of their distance from `origin` and of its square.
    largest : ndarray of shape (d,)
        Largest absolute value.
    varies : ndarray of shape (d,), bool
        Whether there are two values, even where their squared distance underflows.
    """

    n_rows: int
    weight: float
    origin: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    largest: np.ndarray
    varies: np.ndarray

    @property
    def n_features(self) -> int:
        return len(self.origin)

    def of(self, columns: np.ndarray) -> Description:
        """That of some features (c,)."""
        own = {
            name: value[columns] if isinstance(value, np.ndarray) else value
            for name, value in ((field.name, getattr(self, field.name)) for field in fields(self))
        }
        return replace(self, **own)

    @cached_property
    def mean(self) -> np.ndarray:
        mean: np.ndarray = self.origin + self.sums / self.counts
        return mean

    @cached_property
    def scale(self) -> np.ndarray:
        """Standard deviations; of a constant column 1e-8 of its size (not less than 1e-15), or 1 if it is zero."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean_square, mean = self.squares / self.counts, self.sums / self.counts
            variance = np.maximum(mean_square - mean**2, 0.0)
        constant = np.where(self.largest > 0, np.maximum(1e-8 * self.largest, 1e-15), 1.0)
        return np.where(self.varies, np.sqrt(variance), constant)

    def __add__(self, other: Description) -> Description:
        """Of the rows of both, about the origin of the first."""
        is_new = np.isnan(self.origin)
        origin = np.where(is_new, other.origin, self.origin)
        shift = np.where(is_new | np.isnan(other.origin), 0.0, other.origin - origin)
        return Description(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            origin,
            self.counts + other.counts,
            self.sums + (other.sums + other.counts * shift),
            self.squares + (other.squares + shift * (2 * other.sums + other.counts * shift)),
            np.maximum(self.largest, other.largest),
            self.varies | other.varies | (shift != 0),
        )

    @property
    def unobserved(self) -> list[int]:
        """Features without a value."""
        return np.flatnonzero(np.isnan(self.origin)).tolist()


def describe(
    chunks: Iterable[Rows], n_features: int, before: Description | None = None, executor: Executor | None = None
) -> Description:
    """Describe the rows of positive weight; `before` are rows seen earlier."""
    executor = executor or Serial()
    if not isinstance(chunks, ArraySource) or before is not None:
        return _described(chunks, n_features, before, executor)
    kept: Description = chunks.description or _described(chunks, n_features, None, executor)
    chunks.description = kept
    return kept


def describe_source(source: Source, n_jobs: int | None) -> Description:
    """Describe all rows of a source, with all processors that `n_jobs` allows."""
    with executor_for(n_jobs) as executor:
        return describe(source, source.n_features, executor=executor)


def _described(chunks: Iterable[Rows], n_features: int, before: Description | None, executor: Executor) -> Description:
    description = before or _nothing(n_features)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses a scale that is not finite
        for of_chunk in executor.each(_describe_chunk, chunks):
            description = description + of_chunk
    return description


def in_one_chunk(X: np.ndarray, weight: np.ndarray | None) -> tuple[list[Rows], Description]:
    """Rows (n, d) of weights (n,) that are in memory as the only chunk, and what it tells."""
    chunks = [Rows(X, np.ones(len(X)) if weight is None else weight)]
    return chunks, describe(chunks, X.shape[1])


def _nothing(d: int) -> Description:
    zeros = np.zeros(d)
    return Description(0, 0.0, np.full(d, np.nan), zeros, zeros, zeros, zeros, np.zeros(d, dtype=bool))


@np.errstate(over="ignore", invalid="ignore")
def _describe_chunk(rows: Rows) -> Description:
    X = rows.X.astype(np.float64, copy=False)
    return _describe_gappy(X, rows) if rows.has_missing else _describe_complete(X, rows)


def _describe_complete(X: np.ndarray, rows: Rows) -> Description:
    weight = rows.weight.astype(np.float64, copy=False)
    origin, low, high = X[0].copy(), X.min(axis=0), X.max(axis=0)
    distance = X - origin
    sums = weight @ distance
    squares = weight @ np.square(distance, out=distance)
    counts = np.full(X.shape[1], weight.sum())
    return Description(
        len(X), _total(rows), origin, counts, sums, squares, np.maximum(np.abs(low), np.abs(high)), low != high
    )


def _describe_gappy(X: np.ndarray, rows: Rows) -> Description:
    observed = ~np.isnan(X)
    origin: np.ndarray = X[np.argmax(observed, axis=0), np.arange(X.shape[1])]
    weight = observed * rows.weight[:, None].astype(np.float64)
    distance = np.where(observed, X - origin, 0.0)
    largest = np.abs(np.where(observed, X, 0.0)).max(axis=0)
    sums, squares = (weight * distance).sum(axis=0), (weight * distance**2).sum(axis=0)
    varies = (distance != 0).any(axis=0)
    return Description(len(X), _total(rows), origin, weight.sum(axis=0), sums, squares, largest, varies)


def _total(rows: Rows) -> float:
    return float(rows.weight.sum(dtype=np.float64))
