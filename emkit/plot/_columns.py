"""Columns that a user names, by name or number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_COLUMNS = 4  # that are drawn unless more are asked for


def names_of(X: Any, estimator: Any) -> list[Any]:
    """Names of the columns of X, from itself or from the fit; "column 0" and so on where they have none."""
    if hasattr(X, "columns"):
        return list(X.columns)
    names = getattr(estimator, "feature_names_in_", None)
    return [f"column {j}" for j in range(estimator.n_features_in_)] if names is None else list(names)


def place_of(argument: str, column: Any, names: Sequence[Any]) -> int:
    """Number of the column of a name, or of a number where there is no such name."""
    if column in names:
        return list(names).index(column)
    is_number = isinstance(column, int | np.integer) and not isinstance(column, bool)
    if is_number and -len(names) <= column < len(names):
        return int(column) % len(names)
    raise ValueError(f"{argument} must be one of {list(names)}, but got {column!r}")


def places_of(argument: str, columns: Any, names: Sequence[Any]) -> list[int] | None:
    """Numbers of one or several different columns; None for None."""
    if columns is None:
        return None
    several = isinstance(columns, Iterable) and not isinstance(columns, str | tuple)
    several = several or (isinstance(columns, tuple) and columns not in names)
    places = [place_of(argument, column, names) for column in (columns if several else [columns])]
    if not places or len(set(places)) < len(places):
        raise ValueError(f"{argument} must be one or several different columns, but got {columns!r}")
    return places
