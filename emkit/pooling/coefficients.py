"""Coefficients of a fitted estimator: one vector, their shapes and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from .._pipelines import last_step


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Coefficients of a fitted estimator.

    Attributes
    ----------
    values : ndarray of shape (c,)
        All coefficients, flattened, and then the intercepts if they are fitted.
    shape, intercept_shape : tuple
    has_intercept : bool
    names : list of p str
    classes : ndarray of shape (k,) or None for a regressor
    """

    values: np.ndarray
    shape: tuple[int, ...]
    intercept_shape: tuple[int, ...]
    has_intercept: bool
    names: list[str]
    classes: np.ndarray | None

    @property
    def n_features(self) -> int:
        return self.shape[-1]

    @property
    def n_rows(self) -> int:
        """Rows of coef_, one for each target or class."""
        return int(np.prod(self.shape[:-1]))

    def split(self, values: np.ndarray, no_intercept: float = 0.0) -> tuple[np.ndarray, Any]:
        """Numbers (c,) in the shapes of coef_ and intercept_."""
        size = self.n_rows * self.n_features
        intercept = values[size:] if self.has_intercept else np.full(self.intercept_shape, no_intercept)
        intercept = intercept.reshape(self.intercept_shape)
        return values[:size].reshape(self.shape), intercept if intercept.ndim else float(intercept)

    def labels(self) -> list[str]:
        """A name of each value."""
        prefix = self._prefixes(self.n_rows)
        names = [start + name for start in prefix for name in self.names]
        n_intercepts = len(self.values) - len(names)
        return names + [start + "intercept" for start in self._prefixes(n_intercepts)]

    def _prefixes(self, n: int) -> list[str]:
        if n == 1:
            return [""]
        labels = self.classes if self.classes is not None and len(self.classes) == n else range(n)
        return [f"{label}: " for label in labels]


def coefficients_of(fitted: Any) -> Coefficients:
    last = last_step(fitted)
    if not hasattr(last, "coef_"):
        raise ValueError(f"estimator must have coef_ once it is fitted, but {last!r} has none")
    coef = _dense(last.coef_)
    intercept = _dense(getattr(last, "intercept_", 0.0))
    has_intercept = hasattr(last, "intercept_") and bool(getattr(last, "fit_intercept", True))
    values = np.concatenate([coef.ravel(), intercept.ravel() if has_intercept else []])
    classes = np.asarray(fitted.classes_) if is_classifier(fitted) else None
    return Coefficients(values, coef.shape, intercept.shape, has_intercept, _names(fitted, coef.shape[-1]), classes)


def _dense(value: Any) -> np.ndarray:
    return np.asarray(value.toarray() if issparse(value) else value, dtype=np.float64)


def _names(fitted: Any, n: int) -> list[str]:
    """Names of the columns that the last step saw."""
    names = getattr(last_step(fitted), "feature_names_in_", None)
    if names is None and isinstance(fitted, Pipeline):
        names = _transformed_names(fitted)
    return [f"x{i}" for i in range(n)] if names is None or len(names) != n else [str(name) for name in names]


def _transformed_names(fitted: Pipeline) -> Any:
    if isinstance(fitted.steps[-1][1], Pipeline):
        return None
    try:
        return fitted[:-1].get_feature_names_out()
    except (AttributeError, ValueError):  # a step that does not name its output
        return None
