"""Checks of the tables, of a level, and that coefficients of two fits are the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .coefficients import Coefficients

Table = tuple[Any, Any]


def check_imputed(imputed: Any) -> list[Table]:
    pairs = list(imputed) if isinstance(imputed, Iterable) and not isinstance(imputed, (str, dict)) else None
    if pairs is None or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        of_what = f" of {type(pairs[0]).__name__}" if pairs else ""
        raise ValueError(f"imputed must be a list of pairs (X, y), but got {type(imputed).__name__}{of_what}")
    if len(pairs) < 2:
        raise ValueError(f"imputed must have at least 2 pairs (X, y), but has {len(pairs)}")
    for j, (X, y) in enumerate(pairs):
        _check_table(j, X, y, pairs[0][0])
    return [(X, y) for X, y in pairs]


def _check_table(j: int, X: Any, y: Any, first: Any) -> None:
    if issparse(X):
        raise ValueError(f"imputed[{j}] has a sparse X ({type(X).__name__}), but must have an array or a frame")
    if len(np.shape(X)) != 2:
        raise ValueError(f"imputed[{j}] must have X of two dimensions, but its shape is {np.shape(X)}")
    if np.shape(X) != np.shape(first):
        raise ValueError(
            f"imputed must have X of one shape, but that of imputed[{j}] is {np.shape(X)} "
            f"and that of imputed[0] is {np.shape(first)}"
        )
    if np.shape(y)[:1] != np.shape(X)[:1]:
        raise ValueError(f"imputed[{j}] must have one y for each row of X, {len(X)}, but its y has shape {np.shape(y)}")
    columns, expected = (list(getattr(table, "columns", [])) for table in (X, first))
    if columns != expected:
        raise ValueError(
            f"imputed must have the same columns in each table, but imputed[{j}] has {columns} "
            f"and imputed[0] has {expected}"
        )


def check_level(level: Any) -> float:
    if not isinstance(level, Real) or isinstance(level, bool) or not 0 < float(level) < 1:
        raise ValueError(f"level must be a number above 0 and below 1, but got {level!r}")
    return float(level)


def check_same(where: str, other: Coefficients, first: Coefficients) -> None:
    if first.classes is not None and not np.array_equal(other.classes, first.classes):  # type: ignore[arg-type]
        raise ValueError(
            f"imputed must have the same classes in each table, but {where} has {as_list(other.classes)} "
            f"and imputed[0] has {as_list(first.classes)}"
        )
    if (other.shape, other.intercept_shape, other.names) != (first.shape, first.intercept_shape, first.names):
        raise ValueError(
            f"estimator must have the same coefficients for each table, but those of {where} are of shape "
            f"{other.shape} for the columns {other.names}, and those of imputed[0] of shape {first.shape} for "
            f"{first.names}; an encoder has to be told all categories"
        )


def as_list(values: Any) -> list[Any]:
    return np.asarray(values).tolist()
