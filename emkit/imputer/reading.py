"""From what a user passes to codes, and back: frames, arrays, bounds, beliefs about cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import validate_data

from .._validation import is_frame, refuse_lazy, refuse_no_columns, refuse_sparse
from ..blocks import blocks_of
from .columns import Column
from .layout import CellPrior
from .tables import read

if TYPE_CHECKING:
    from .estimator import EMImputer


def as_table(estimator: EMImputer, X: Any, *, reset: bool) -> Any:
    """A frame as it is, anything else as an array of numbers or objects; names and number of columns are checked."""
    refuse_sparse(X)
    refuse_lazy(X)
    if reset:  # later, the columns of the fit are missing
        refuse_no_columns(X)
    if blocks_of(X) is not None:
        raise ValueError("X must be one table here, not blocks of rows; call this for each of them")
    if is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if len(X) == 0:
            raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        return X
    if isinstance(X, np.ma.MaskedArray):
        X = _without_mask(X)
    if not hasattr(X, "dtype"):
        X = _from_lists(X)
    return validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite=False)


def _without_mask(X: np.ma.MaskedArray) -> np.ndarray:
    """Masked numbers as NaN, masked objects as None."""
    if X.dtype.kind in "fiu":
        return np.ma.filled(X.astype(X.dtype if X.dtype.kind == "f" else np.float64), np.nan)
    objects = np.array(X.data, dtype=object)
    objects[np.ma.getmaskarray(X)] = None
    return objects


def _from_lists(X: Any) -> np.ndarray:
    try:
        return np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(X, dtype=object)


def read_bounds(name: str, value: Any, columns: Sequence[Column], default: float) -> np.ndarray:
    """One bound for each column, (p,): from a number, one for each column, or a mapping of names; None is none."""
    bounds = np.full(len(columns), default)
    if isinstance(value, Mapping):
        places = {column.name: j for j, column in enumerate(columns)}
        unknown = [key for key in value if key not in places]
        if unknown:
            raise ValueError(f"{name} names the column {unknown[0]!r}, but the columns are {list(places)}")
        for key, bound in value.items():
            column = columns[places[key]]
            if not column.can_be_bounded:
                raise ValueError(f"{name} bounds the column {key!r}, but its values are no numbers")
            bounds[places[key]] = _bound(name, bound)
        return bounds
    if value is None:
        return bounds
    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, one for each column, or a mapping, but got {value!r}") from None
    if given.shape not in ((), (len(columns),)) or np.isnan(given).any():
        raise ValueError(f"{name} must be one number or one for each of the {len(columns)} columns, but got {value!r}")
    return np.broadcast_to(given, bounds.shape).copy()


def _bound(name: str, value: Any) -> float:
    try:
        bound = float(value)
    except (TypeError, ValueError):
        bound = np.nan
    if np.isnan(bound):
        raise ValueError(f"{name} must have numbers for bounds, but got {value!r}")
    return bound


def check_bounds(low: np.ndarray, high: np.ndarray, columns: Sequence[Column]) -> None:
    """ValueError for bounds between which there is no number."""
    bad = np.flatnonzero((low > high) | (low == np.inf) | (high == -np.inf))
    if len(bad):
        j = int(bad[0])
        raise ValueError(f"min_value is {low[j]:g} but max_value is {high[j]:g} for column {columns[j].name!r}")


def code_bounds(column: Column, low: float, high: float) -> tuple[float, float]:
    """Bounds of a column as bounds of its codes: whole for counts, places of the levels between them for numbers."""
    if column.kind == "continuous":
        return low, high
    if column.kind == "count":
        return float(np.ceil(low)), float(np.floor(high))
    if column.kind == "nominal" or not column.can_be_bounded or not column.levels:
        return -np.inf, np.inf
    levels = np.array(column.levels, dtype=np.float64)
    first, last = np.searchsorted(levels, low), np.searchsorted(levels, high, side="right") - 1
    if first > last:
        raise ValueError(f"min_value {low:g} and max_value {high:g} leave no level of column {column.name!r}")
    return float(first), float(last)


def read_cell_prior(cell_prior: Any, columns: Sequence[Column], kept: np.ndarray, shape: tuple[int, int]) -> CellPrior:
    """Means and standard deviations of missing cells of the columns that are kept, in their own units."""
    try:
        mean, sd = (_from_cells(part, shape) for part in cell_prior)
    except (TypeError, ValueError):
        raise ValueError(
            f"cell_prior must be two tables of numbers, means and standard deviations, each of shape {shape}"
        ) from None
    held = ~np.isnan(mean)
    if (held != ~np.isnan(sd)).any() or (sd[held] <= 0).any() or not np.isfinite(mean[held]).all():
        raise ValueError("cell_prior must have a finite mean and a positive standard deviation, or NaN for both")
    for j in np.flatnonzero(held.any(axis=0)).tolist():
        if not columns[j].is_numeric:
            raise ValueError(
                f"cell_prior is about column {columns[j].name!r}, but it is {columns[j].kind}, not numeric"
            )
    return CellPrior(mean[:, kept], sd[:, kept])


def _from_cells(part: Any, shape: tuple[int, int]) -> np.ndarray:
    array = np.asarray(part, dtype=np.float64)
    if array.shape != shape:
        raise ValueError
    return array


def column_place(column: Any, columns: Sequence[Column]) -> int:
    """Number of the column of a name, or of a number where there is no such name."""
    names = [c.name for c in columns]
    if column in names:
        return names.index(column)
    if isinstance(column, (int, np.integer)) and not isinstance(column, bool) and -len(names) <= column < len(names):
        return int(column) % len(names)
    raise ValueError(f"column must be one of {names}, but got {column!r}")


def read_further(estimator: EMImputer, X: Any) -> tuple[Any, np.ndarray]:
    """A table like that of the fit, and its codes (n, p)."""
    table = as_table(estimator, X, reset=False)
    return table, read(table, estimator._state.columns, estimator.missing_values, estimator.unseen)


def check_indicator(indicator: Any, table: Any, names: Any) -> None:
    """ValueError if the table has a column of the name of one that is to be added."""
    taken = {str(name) for name in table.columns} if is_frame(table) else set()
    for name in indicator.get_feature_names_out(names):
        if name in taken:
            raise ValueError(f"add_indicator would add a column {name!r}, but X has one of this name")


def wanted_output(estimator: EMImputer) -> str:
    """What `set_output` says."""
    wanted: str = getattr(estimator, "_sklearn_output_config", {}).get("transform", get_config()["transform_output"])
    return wanted


def as_configured(estimator: EMImputer, table: Any) -> Any:
    """A frame of polars as one of pandas where `set_output` asks for it, with dtypes that scikit-learn would lose."""
    if wanted_output(estimator) != "pandas" or not is_frame(table) or hasattr(table, "assign"):
        return table
    import pandas as pd

    return pd.DataFrame({name: pd.Series(table[name].to_list()) for name in table.columns})


def with_indicator(table: Any, indicator: Any, gaps: np.ndarray, names: Any) -> Any:
    """The table with columns that say what was missing; `gaps` (n, p) is NaN there."""
    flags = indicator.transform(gaps).astype(np.float64)  # as in scikit-learn
    if not is_frame(table):
        return np.concatenate([table, flags.astype(table.dtype)], axis=1)
    names = indicator.get_feature_names_out(names)
    if hasattr(table, "assign"):
        return table.assign(**dict(zip(names, flags.T, strict=True)))
    import polars as pl

    return table.with_columns([pl.Series(name, flag) for name, flag in zip(names, flags.T, strict=True)])
