"""What the lowest supported versions of scikit-learn and NumPy lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

__all__ = ["CallbackSupportMixin", "log_diagonals", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks  # scikit-learn >= 1.9
except ModuleNotFoundError:
    Method = TypeVar("Method", bound=Callable[..., Any])

    class CallbackSupportMixin:  # type: ignore[no-redef]  # stands in for the import above
        """Before scikit-learn 1.9 there are no callbacks."""

        def _init_callback_context(self, **options: Any) -> None:
            return None

    def with_callbacks(method: Method) -> Method:
        return method


def log_diagonals(matrices: np.ndarray) -> np.ndarray:
    """Logarithms of the diagonals of (..., d, d), as (..., d).

    Of a copy: NumPy 1 rounds the logarithms of a view otherwise where the result happens to lie behind it in memory.
    """
    logs: np.ndarray = np.log(np.diagonal(matrices, axis1=-2, axis2=-1).copy())
    return logs
