"""What is new in scikit-learn, with a stand-in for the supported versions that lack it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["CallbackSupportMixin", "with_callbacks"]

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
