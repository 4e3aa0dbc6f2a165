"""Columns of a table, of whatever library: their kinds, and the codes that stand for their values.

A code is a float64: the number itself for numeric kinds, the place among the levels for the others, NaN if missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Complex, Integral, Real
from typing import Any

import numpy as np

from .._validation import NUMBERS_OF_TIMES

KINDS = ("continuous", "count", "ordinal", "nominal")
MOST_LEVELS = 20  # integers of more distinct values are counts
MOST_SHOWN = 10  # levels in a message
DATES = (date, time, timedelta, np.datetime64, np.timedelta64)
SORTS = {"b": "boolean", "i": "integer", "u": "integer", "f": "float"}  # of NumPy's kinds of numbers


@dataclass(frozen=True, eq=False)
class Column:
    """What was learned of one column of the training table."""

    name: Hashable  # in a frame, or the position in an array
    kind: str  # one of KINDS
    levels: tuple[Any, ...]  # ordinal and nominal: the values for codes 0, 1, ... in order; () if none was observed
    restore: Any  # the dtype in the training table, for new tables in which another dtype cannot hold the values
    nearest: bool = False  # whether a number that is no level counts as the nearest one

    @property
    def is_numeric(self) -> bool:
        return self.kind in ("continuous", "count")

    @property
    def has_numbers(self) -> bool:
        """Whether all values are numbers, be they levels or not; booleans are numbers."""
        return self.is_numeric or all(isinstance(level, Real) for level in self.levels)

    @property
    def has_integers(self) -> bool:
        if self.is_numeric:
            return self.kind == "count"
        return self.has_numbers and all(float(level).is_integer() for level in self.levels)

    @property
    def can_be_bounded(self) -> bool:
        """Whether values are numbers that may be large or small: truth values are not."""
        return self.is_numeric or (self.has_numbers and not any(isinstance(v, bool | np.bool_) for v in self.levels))

    @property
    def has_booleans(self) -> bool:
        return not self.is_numeric and all(level in (False, True) for level in self.levels)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Values (n,) for codes (n,) without NaN: of a dtype for numbers or booleans, or objects."""
        if self.kind == "continuous":
            return codes
        if self.kind == "count":
            return np.rint(codes) + 0.0  # no -0.0
        levels = _level_array(self.levels)
        return levels[np.clip(np.rint(codes), 0, len(levels) - 1).astype(np.intp)]

    def decode_objects(self, codes: np.ndarray) -> np.ndarray:
        """The same as Python objects."""
        values = self.decode(codes)
        if self.kind == "count":
            return _objects([int(value) for value in values])
        return values.astype(object)

    def _nearest_levels(self, numbers: np.ndarray) -> np.ndarray:
        """Codes of the nearest levels of numbers (n,); of two that are equally near the lower one."""
        levels = np.array(self.levels, dtype=np.float64)
        return np.searchsorted((levels[1:] + levels[:-1]) / 2, numbers).astype(np.float64)

    def encode(self, cells: RawColumn, missing: np.ndarray, unseen: str = "error", hint: str = "") -> np.ndarray:
        """Codes (n,) of cells; a value without a code is an error or becomes missing."""
        if self.is_numeric:
            return cells.numbers(missing)
        values, codes = cells.distinct(missing)
        place = {level: code for code, level in enumerate(self.levels)}
        found = np.array([place.get(value, np.nan) for value in values] + [np.nan])
        if self.nearest and self.levels and all(isinstance(value, Real) for value in values):
            numbers = np.array(values, dtype=np.float64)
            found[:-1] = np.where(np.isnan(found[:-1]), self._nearest_levels(numbers), found[:-1])
        if unseen == "error" and np.isnan(found[:-1]).any():
            raise ValueError(
                f"Column {self.name!r} has the value {values[np.isnan(found).argmax()]!r}, "
                f"but its known values are {_shown(self.levels)}" + hint
            )
        return found[np.where(np.isnan(codes), len(values), codes).astype(np.intp)]


def make_column(
    cells: RawColumn, missing: np.ndarray, restore: Any, request: str | tuple[Any, ...] | None = None
) -> tuple[Column, np.ndarray]:
    """A column and its codes; `request` is a kind, the ordered levels, or None to go by the data."""
    if isinstance(request, tuple):
        given = Column(cells.name, "ordinal", request, restore)
        codes = given.encode(cells, missing)
        return (given if not missing.all() else Column(cells.name, "ordinal", (), restore)), codes
    kind = request or cells.default_kind(missing)
    if kind in ("continuous", "count"):
        return Column(cells.name, kind, (), restore), cells.numbers(missing)
    levels, codes = cells.distinct(missing)
    nearest = request is None and cells.sort == "integer"
    return Column(cells.name, kind, levels, restore, nearest), codes


class RawColumn(ABC):
    """One column of a table as its library holds it; what is common to numbers and to all else."""

    name: Hashable
    sort: str  # "float", "integer", "boolean", "ordered", "category", "string" or "object"

    @abstractmethod
    def missing(self, marker: Any) -> np.ndarray:
        """Mask (n,) of the missing cells. ValueError for cells that are neither missing nor have a value."""

    @abstractmethod
    def default_kind(self, missing: np.ndarray) -> str: ...

    @abstractmethod
    def numbers(self, missing: np.ndarray) -> np.ndarray:
        """(n,) float64, NaN where missing. ValueError for a value that is no number."""

    @abstractmethod
    def distinct(self, missing: np.ndarray) -> tuple[tuple[Any, ...], np.ndarray]:
        """The distinct values in order, and the place of each cell's value among them: (n,) float64, NaN if missing."""


@dataclass(frozen=True, eq=False)
class Numbers(RawColumn):
    """One of a dtype for numbers or booleans."""

    name: Hashable
    values: np.ndarray  # (n,) bool, integer or float
    null: np.ndarray  # (n,) bool: masked, and the value there means nothing

    @property
    def sort(self) -> str:  # type: ignore[override]
        return SORTS[self.values.dtype.kind]

    def missing(self, marker: Any) -> np.ndarray:
        return missing_numbers(self.values[:, None], self.null[:, None], marker, [self.name])[:, 0]

    def default_kind(self, missing: np.ndarray) -> str:
        if self.sort == "float":
            return "continuous"
        if self.sort == "boolean":
            return "ordinal"
        return _kind_of_integers(len(np.unique(self.values[~missing])))

    def numbers(self, missing: np.ndarray) -> np.ndarray:
        numbers = self.values.astype(np.float64)
        numbers[missing] = np.nan
        return numbers

    def distinct(self, missing: np.ndarray) -> tuple[tuple[Any, ...], np.ndarray]:
        codes = np.full(len(self.values), np.nan)
        values, codes[~missing] = np.unique(self.values[~missing], return_inverse=True)
        if self.sort == "boolean" and len(values):
            return (False, True), self.numbers(missing)
        return tuple(values.tolist()), codes


@dataclass(frozen=True, eq=False)
class Labels(RawColumn):
    """One of categories, strings or objects, as places in a list of labels."""

    name: Hashable
    sort: str
    codes: np.ndarray  # (n,) integers
    labels: Sequence[Any]  # each may be one that stands for a missing value

    def missing(self, marker: Any) -> np.ndarray:
        void, nan = _mask(self.labels, is_null), _mask(self.labels, is_nan)
        if is_nan(marker):
            hit = void | nan
        else:
            hit = void if marker is None else _mask(self.labels, lambda label: _is_marker(label, marker))
            self._refuse((void | nan) & ~hit, f"NaN, but missing_values is {marker!r}")
        infinite = _mask(self.labels, lambda label: isinstance(label, float) and np.isinf(label))
        self._refuse(infinite & ~hit, "infinity or a value too large for dtype('float64')")
        return hit[self.codes]

    def _refuse(self, bad: np.ndarray, what: str) -> None:
        refuse(bad[self.codes][:, None], [self.name], what)

    def default_kind(self, missing: np.ndarray) -> str:
        if self.sort in ("ordered", "category", "string"):
            return "ordinal" if self.sort == "ordered" else "nominal"
        observed = self._observed(missing)
        if not observed:
            return "nominal"
        if all(isinstance(label, bool) for label in observed):
            return "ordinal"
        if all(isinstance(label, Integral) and not isinstance(label, bool) for label in observed):
            return _kind_of_integers(len(observed))
        return "continuous" if all(_as_number(label) is not None for label in observed) else "nominal"

    def numbers(self, missing: np.ndarray) -> np.ndarray:
        number_of = np.full(len(self.labels), np.nan)
        for place in self._places(missing):
            number = _as_number(self.labels[place])
            if number is None:
                raise ValueError(f"Column {self.name!r} must have numbers, but has {self.labels[place]!r}")
            number_of[place] = number
        return np.where(missing, np.nan, number_of[self.codes])

    def distinct(self, missing: np.ndarray) -> tuple[tuple[Any, ...], np.ndarray]:
        places = self._places(missing)
        if self.sort in ("string", "object"):
            places = _in_order(places, self.labels)
        values = tuple(self.labels[place] for place in places)
        if self.sort == "object" and values and all(isinstance(value, bool) for value in values):
            return (False, True), self.numbers(missing)
        code_of = np.full(len(self.labels), np.nan)
        code_of[places] = np.arange(len(places))
        return values, np.where(missing, np.nan, code_of[self.codes])

    def _observed(self, missing: np.ndarray) -> list[Any]:
        return [self.labels[place] for place in self._places(missing)]

    def _places(self, missing: np.ndarray) -> list[int]:
        used = np.zeros(len(self.labels), dtype=bool)
        used[self.codes[~missing]] = True
        places: list[int] = np.flatnonzero(used).tolist()
        return places


def label_objects(name: Hashable, values: Iterable[Any], sort: str) -> Labels:
    """One of Python objects; equal ones get one label, in the order in which they come."""
    place: dict[Any, int] = {}
    try:
        codes = np.array([place.setdefault(value, len(place)) for value in values], dtype=np.intp)
    except TypeError as error:
        raise ValueError(f"Column {name!r} must have numbers or categories, but has lists or the like") from error
    for label in place:
        if isinstance(label, DATES) and not is_null(label):
            raise ValueError(dates_message(name))
        if isinstance(label, Complex) and not isinstance(label, Real):
            raise ValueError(complex_message(name))
    return Labels(name, sort, codes, [label.item() if isinstance(label, np.generic) else label for label in place])


def missing_numbers(values: np.ndarray, null: np.ndarray | None, marker: Any, names: Sequence[Hashable]) -> np.ndarray:
    """Mask (n, p) of the missing cells of numbers (n, p), of which those under `null` mean nothing."""
    absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
    if null is not None:
        absent |= null
    if is_nan(marker):
        hit = absent
    else:
        hit = np.zeros(values.shape, dtype=bool) if null is None else null
        if marker is not None:
            hit = _equal(values, marker) & ~hit
        refuse(absent & ~hit, names, f"NaN, but missing_values is {marker!r}")
    if values.dtype.kind == "f":
        refuse(np.isinf(values) & ~hit, names, "infinity or a value too large for dtype('float64')")
    return hit


def refuse(bad: np.ndarray, names: Sequence[Hashable], what: str) -> None:
    if bad.any():
        raise ValueError(f"Input X contains {what}: column {names[int(bad.any(axis=0).argmax())]!r}")


def check_marker(marker: Any) -> Any:
    """A marker of missing values as a Python object; NaN stands for all that pandas and polars have for them."""
    if marker is None or isinstance(marker, str | bytes | Real):
        marker = marker.item() if isinstance(marker, np.generic) else marker
        return np.nan if is_nan(marker) else marker
    if is_null(marker):
        return np.nan
    raise ValueError(f"missing_values must be a number, a string, None or pandas.NA, but got {marker!r}")


def check_levels(name: Hashable, levels: Sequence[Any]) -> tuple[Any, ...]:
    """Levels that the user gave for a column."""
    values = tuple(level.item() if isinstance(level, np.generic) else level for level in levels)
    try:
        repeated = len(set(values)) < len(values)
    except TypeError as error:
        raise ValueError(f"columns must give strings or numbers as levels of {name!r}, but got {levels!r}") from error
    if not values or repeated or any(is_null(value) or is_nan(value) for value in values):
        raise ValueError(
            f"columns must give distinct levels of {name!r}, at least one and none of them missing, but got {levels!r}"
        )
    return values


def dates_message(name: Hashable) -> str:
    return f"Column {name!r} has dates or times, but numbers or categories are required; {NUMBERS_OF_TIMES}"


def complex_message(name: Hashable) -> str:
    return f"Complex data not supported: column {name!r}"


def is_null(value: Any) -> bool:
    """None, or what pandas has for it; by name, for pandas need not be there."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating | Decimal) and bool(value != value)


def _is_marker(label: Any, marker: Any) -> bool:
    """Equality, but False is not 0."""
    return not is_null(label) and isinstance(label, bool) == isinstance(marker, bool) and bool(label == marker)


def _equal(values: np.ndarray, marker: Any) -> np.ndarray:
    if not isinstance(marker, Real) or isinstance(marker, bool) != (values.dtype.kind == "b"):
        return np.zeros(values.shape, dtype=bool)
    return values == marker


def _kind_of_integers(n_levels: int) -> str:
    return "ordinal" if 0 < n_levels <= MOST_LEVELS else "count"


def _as_number(value: Any) -> float | None:
    """A finite number or a string of one."""
    if not isinstance(value, str | Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _in_order(places: list[int], labels: Sequence[Any]) -> list[int]:
    """By number if all are numbers or strings of them, by value if they compare, else by their text."""
    numbers = {place: _as_number(labels[place]) for place in places}
    if None not in numbers.values():
        return sorted(places, key=lambda place: (numbers[place], str(labels[place])))
    try:
        return sorted(places, key=labels.__getitem__)
    except TypeError:
        return sorted(places, key=lambda place: str(labels[place]))


def _level_array(levels: tuple[Any, ...]) -> np.ndarray:
    """Of the dtype that holds all levels as they are."""
    if all(isinstance(level, bool) for level in levels):
        return np.array(levels, dtype=bool)
    if not any(isinstance(level, bool) for level in levels):
        if all(isinstance(level, int) for level in levels):
            array = np.array(levels)
            return array if array.dtype.kind in "iu" else _objects(levels)
        if all(isinstance(level, int | float) for level in levels):
            with suppress(OverflowError):  # of an integer beyond all floats
                return np.array(levels, dtype=np.float64)
    return _objects(levels)


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)  # np.array would make a table of tuples
    for place, value in enumerate(values):
        array[place] = value
    return array


def _mask(labels: Sequence[Any], test: Any) -> np.ndarray:
    return np.fromiter((test(label) for label in labels), dtype=bool, count=len(labels))


def _shown(levels: Sequence[Any]) -> str:
    return f"{list(levels[:MOST_SHOWN])}{'' if len(levels) <= MOST_SHOWN else f' and {len(levels) - MOST_SHOWN} more'}"
