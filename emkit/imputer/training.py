"""What a model is fitted to: rows of codes in memory, or made anew in each pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..chunks import ArraySource, Source
from .columns import Column
from .scales import Linear, MakeScale, Scale
from .tallies import Moments, Ranks, tallied

WIDEST = 1e153  # so that a variance is a float


class Chunker(Protocol):
    """How codes become chunks of a model."""

    def chunks(self, codes: np.ndarray, weight: np.ndarray) -> Iterable[Any]: ...


class Data(Protocol):
    """Rows of weight, in columns that have a value."""

    @property
    def columns(self) -> tuple[Column, ...]: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def source(self) -> Source:
        """Chunks of codes (n, q)."""

    def chunks(self, chunker: Chunker) -> Any:
        """Chunks of a model, for many passes."""


@dataclass(frozen=True, eq=False)
class Training:
    """`Data` in memory."""

    columns: tuple[Column, ...]
    codes: np.ndarray  # (n, q)
    weight: np.ndarray  # (n,) float64

    @property
    def n_rows(self) -> int:
        return len(self.codes)

    @property
    def source(self) -> ArraySource:
        return ArraySource(self.codes, self.weight)

    def chunks(self, chunker: Chunker) -> Any:
        return chunker.chunks(self.codes, self.weight)


class Measured(NamedTuple):
    """What one pass over data tells."""

    scales: tuple[Scale, ...]
    weight: float  # of all rows
    known: np.ndarray  # (q,): of those in which a column has a value

    @property
    def log_units(self) -> float:
        """What to add to the log density of the coordinates of all rows, so that it is that of the columns."""
        return float(self.known @ units(self.scales))


def measured(data: Data, make_scale: MakeScale) -> Measured:
    """The scales of the columns.

    Raises
    ------
    ValueError
        For a column of numbers whose variance, or its inverse, would leave the range of floats.
    """
    scalings = [make_scale(column) for column in data.columns]
    found = tallied([scaling.tally for scaling in scalings], data.source)
    for column, tally in zip(data.columns, found.by_column, strict=True):
        if isinstance(tally, Moments | Ranks) and column.is_numeric:
            _check_range(column, tally.low, tally.high)
    pairs = zip(scalings, found.by_column, strict=True)
    return Measured(tuple(scaling.scale(tally) for scaling, tally in pairs), found.weight, found.known)


def _check_range(column: Column, low: float, high: float) -> None:
    largest = max(abs(low), abs(high))
    spread = high - low if largest <= WIDEST else np.inf
    if not (spread == 0 or 1 / WIDEST < spread <= 2 * WIDEST):
        raise ValueError(
            f"column {column.name!r} has values up to {largest:g} that spread over {spread:g}, but values must be "
            f"below {WIDEST:g} and spread over more than {1 / WIDEST:g}; multiply the column by a constant"
        )


def units(scales: Iterable[Scale]) -> np.ndarray:
    """What each column adds to a log density of coordinates if it is to be one of the columns, (q,)."""
    return np.array([-np.log(scale.scale) if isinstance(scale, Linear) else 0.0 for scale in scales])


class Learned(NamedTuple):
    """What the rows of weight tell before a model is chosen."""

    columns: tuple[Column, ...]  # all of the table
    kept: np.ndarray  # (p,) bool: those with a value
    gaps: np.ndarray  # (p,) bool: those with a missing cell
    data: Data  # of the columns with a value
    example: Any  # a table of these columns
