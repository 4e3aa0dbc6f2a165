"""What a search fits to: rows, responses and metadata, cut by fold together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples


@dataclass(frozen=True, eq=False)
class Data:
    """Rows of a table.

    Attributes
    ----------
    X, y : array-like
        As the user gave them, or as the steps of a pipeline made them.
    params : dict
        Metadata of `fit`; what has as many elements as X has rows is cut with the rows.
    seen
        Stands for X where an estimator takes rows that have been checked.
    """

    X: Any
    y: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    seen: Any = None

    @property
    def rows(self) -> Any:
        """What estimators are given for X."""
        return self.X if self.seen is None else self.seen

    def __len__(self) -> int:
        return int(_num_samples(self.X))

    @property
    def weight(self) -> np.ndarray:
        """Of each row, (n,)."""
        weight = self.params.get("sample_weight")
        return np.ones(len(self)) if weight is None else np.broadcast_to(np.asarray(weight, np.float64), len(self))

    def take(self, rows: np.ndarray) -> Data:
        n = len(self)
        cut = {
            name: _safe_indexing(value, rows) if is_by_row(value, n) else value for name, value in self.params.items()
        }
        y = _safe_indexing(self.y, rows) if is_by_row(self.y, n) else self.y
        return Data(_safe_indexing(self.X, rows), y, cut)

    def arguments_of(self, method: Callable[..., Any]) -> dict[str, Any]:
        """Those of y and the metadata, weights apart, that a method takes."""
        known = _parameters_of(getattr(method, "__func__", method))
        given = {"y": self.y, **self.params}
        return {name: value for name, value in given.items() if name in known and name != "sample_weight"}


@cache
def _parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def is_by_row(value: Any, n: int) -> bool:
    """Whether there is an element for each of the n rows."""
    if value is None or isinstance(value, str | bytes | dict):
        return False
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape) > 0 and shape[0] == n
    return hasattr(value, "__len__") and len(value) == n
