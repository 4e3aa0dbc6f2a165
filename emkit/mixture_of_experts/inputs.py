"""Which inputs gate and experts look at: all columns, some of them, or what a transformer makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils.validation import _num_samples

from .._validation import FLOATS, place_of_column


@dataclass(frozen=True, eq=False)
class Inputs:
    """Makes a table of numbers (n, p) of X.

    Attributes
    ----------
    columns : ndarray of int or None
        Places of the columns; None is all.
    transformer : fitted transformer or None
    """

    columns: np.ndarray | None = None
    transformer: Any = None

    def __call__(self, X: Any, name: str) -> np.ndarray:
        """`X` is an array of floats, or what the user gave if there is a transformer for gate or experts."""
        if self.transformer is not None:
            return _as_table(self.transformer.transform(X), name, _num_samples(X))
        if self.columns is not None and len(self.columns) == 0:
            return np.empty((_num_samples(X), 0))
        chosen = X if self.columns is None else _safe_indexing(X, self.columns, axis=1)
        try:
            return check_array(chosen, dtype=FLOATS, order="C")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} must give columns of finite numbers: {error}; a list chooses some columns, and a transformer "
                "as OneHotEncoder makes numbers of others"
            ) from error

    @property
    def is_everything(self) -> bool:
        return self.columns is None and self.transformer is None


def read_inputs(name: str, value: Any, X: Any, y: Any, names: np.ndarray | None, n_features: int) -> Inputs:
    """Inputs of an argument; a transformer is cloned and fitted to X.

    ValueError if it is neither None nor a list of columns nor a transformer.
    """
    if value is None:
        return Inputs()
    if not isinstance(value, type) and hasattr(value, "fit") and hasattr(value, "transform"):
        return Inputs(transformer=clone(value).fit(X, y))
    try:
        is_index = hasattr(value, "tolist") and not hasattr(value, "transform")  # of an array, or of a frame
        if not (isinstance(value, list | tuple) or is_index) or np.ndim(value) != 1:
            raise TypeError(value)
        places = [place_of_column(column, names, n_features) for column in value]
    except (TypeError, LookupError) as error:
        have = f"{n_features} columns without names" if names is None else f"the columns {list(names)}"
        raise ValueError(
            f"{name} must be None, a list of columns, or a transformer, but got {value!r}; X has {have}"
        ) from error
    return Inputs(columns=np.array(places, dtype=np.intp))


def _as_table(made: Any, name: str, n: int) -> np.ndarray:
    """ValueError if a transformer did not make a table of finite numbers, a row for each of n."""
    made = made.toarray() if issparse(made) else made
    try:
        if np.iscomplexobj(made):
            raise ValueError("complex numbers")
        table = np.ascontiguousarray(made, dtype=np.float64 if np.asarray(made).dtype not in FLOATS else None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the transformer {name} must give numbers, but gave {type(made).__name__}") from error
    if table.ndim != 2 or len(table) != n or not np.isfinite(table).all():
        raise ValueError(
            f"the transformer {name} must give a table of finite numbers of shape ({n}, n_outputs), but its shape is "
            f"{table.shape}"
        )
    return table
