"""Cases in the partitions of a dask collection, read where these are: X, and beside it y, offset and exposure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .._validation import reader_of
from .._weights import check_block_weight, weight_parts
from ..blocks import is_empty, source_of
from ..chunks import Source
from ..distributed import kept_there
from ..executors import OneByOne, each
from ..lazy import lazy_for_dask
from ..partitions import Aligned, Partitions, aligned_parts
from . import responses
from .cases import Cases, Scalings, split
from .reading import Extras, Views, arrange, read_X

T = TypeVar("T")
FLOAT = np.dtype(np.float64)
BESIDE = ("y", "offset", "exposure")  # what has a value, or a row of them, for each row of X


lazy_by_row = lazy_for_dask(beside=BESIDE, refused=("block_id",))


@dataclass(frozen=True, eq=False)
class Part:
    """Cases of a partition, without weights; None where it has no rows."""

    cases: Cases | None

    @property
    def shape(self) -> tuple[int]:
        return (0 if self.cases is None else self.cases.n_rows,)


@dataclass(frozen=True, eq=False)
class Responses:
    """Those of a partition as the user gave them, which are of any weight."""

    y: Any

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    @property
    def weight(self) -> np.ndarray:
        return np.ones(len(self))


class Collected:
    """The cases of a dask collection.

    Parameters
    ----------
    estimator : MixtureOfExperts
        Whose `fit` it is.
    X : dask array or frame
    y : array-like or dask collection
    extras : Extras

    Raises
    ------
    ValueError
        For what all rows in one place would be needed for.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, extras: Extras) -> None:
        responses.require(estimator, y)
        _refuse(estimator, extras)
        self._estimator, self._weight = estimator, extras.sample_weight
        counts = Partitions(X).row_counts
        values = {"y": y, "offset": extras.offset, "exposure": extras.exposure}
        parts = (kept_there(aligned_parts(name, values[name], counts)) for name in BESIDE)
        self._blocks = Aligned(X, *parts)
        self.head = read_X(estimator, self._blocks.example, reset=True, anything=estimator._chooses_inputs())

    def labels(self) -> Iterator[np.ndarray]:
        """The classes in each partition."""
        return each(_labels, source_of(self._blocks, _read_responses, None, FLOAT, 1, _whole))

    def scaled(self, views: Views, scalings: Scalings | None) -> Source:
        """Chunks of cases in some units."""
        reader = reader_of(self._estimator)
        if hasattr(self._estimator, "classes_"):
            reader.classes_ = self._estimator.classes_
        read = partial(_read, reader, views)
        n_features = self._estimator.n_features_in_
        return source_of(self._blocks, read, self._weight, FLOAT, n_features, partial(_chunks, scalings))


@dataclass(frozen=True, eq=False)
class PartitionedCases(OneByOne):
    """Chunks of cases, where these are; see `Collected`."""

    collected: Collected
    views: Views

    def scaled(self, scalings: Scalings) -> Source:
        return self.collected.scaled(self.views, scalings)

    def __iter__(self) -> Iterator[Cases]:
        return iter(self.collected.scaled(self.views, None))

    def each(self, function: Callable[..., T], *aligned: Any) -> Iterator[T]:
        """See `emkit.executors.Elsewhere`."""
        return each(function, self.collected.scaled(self.views, None), *aligned)


def _refuse(estimator: Any, extras: Extras) -> None:
    """ValueError for what needs all rows in one place."""
    refuse_block_id(extras.block_id)
    if not isinstance(estimator.expert, str):
        raise ValueError(f"expert must be a name where X is a dask collection, but got {estimator.expert!r}")
    for name in ("expert_features", "gate_features"):
        value = getattr(estimator, name)
        if hasattr(value, "transform") and hasattr(value, "fit"):
            raise ValueError(
                f"{name} must be None or a list of columns where X is a dask collection, but got {value!r}; transform "
                "X before"
            )


def refuse_block_id(block_id: Any) -> None:
    if block_id is not None:
        raise ValueError("block_id must be None where X is a dask collection")


def by_partition(fitted: Any, function: Callable[..., T], X: Any, y: Any, extras: Extras) -> list[tuple[T, float]]:
    """Of each partition with rows ``function(fitted, y, predicted, weight)``, and its weight."""
    import dask

    refuse_block_id(extras.block_id)
    counts = Partitions(X).row_counts
    values = {"y": y, "offset": extras.offset, "exposure": extras.exposure}
    parts = (aligned_parts(name, values[name], counts) for name in BESIDE)
    work = dask.delayed(partial(_of_predicted, fitted, function))
    blocks = Aligned(X, *parts, weight_parts(extras.sample_weight, counts))
    found = [of_part for of_part in dask.compute(*map(work, blocks.delayed)) if of_part is not None]
    if not sum(weight for _, weight in found) > 0:
        raise ValueError("X has no rows of positive weight")
    return found


def _of_predicted(fitted: Any, function: Callable[..., T], block: tuple[Any, ...]) -> tuple[T, float] | None:
    X, y, offset, exposure, weight = block
    if is_empty(X):
        return None
    weight = np.ones(len(X)) if weight is None else check_block_weight(weight, len(X), FLOAT)
    given = {name: value for name, value in (("offset", offset), ("exposure", exposure)) if value is not None}
    return function(fitted, y, fitted.predict(X, **given), weight), float(weight.sum())


def _read(reader: Any, views: Views, block: tuple[Any, ...]) -> Part:
    X, y, offset, exposure = block
    if is_empty(X):
        return Part(None)
    tables = views.tables(read_X(reader, X, reset=False, anything=reader._chooses_inputs()))
    numbers = reader._read_responses(y, len(tables[0]))
    return Part(arrange(tables, numbers, None, Extras(offset=offset, exposure=exposure), drop=True).cases)


def _chunks(scalings: Scalings | None, part: Part, weight: np.ndarray | None) -> Iterator[Cases]:
    """The cases of positive weight."""
    cases = part.cases
    if cases is None:
        return
    if scalings is not None:
        cases = replace(cases, scalings=scalings)
    if weight is not None:
        cases = cases.reweighted(weight)
        cases = cases if weight.all() else cases.take(np.flatnonzero(weight))
    if len(cases):
        yield from split(cases)


def _read_responses(block: tuple[Any, ...]) -> Responses:
    return Responses(block[1])


def _whole(found: Responses, weight: Any) -> Iterator[Responses]:
    yield found


def _labels(found: Responses) -> np.ndarray:
    return responses.labels_of(found.y)
