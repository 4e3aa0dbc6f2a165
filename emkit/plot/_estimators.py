"""What the displays say of an estimator that is none of theirs."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline


def not_of_display(argument: str, allowed: str, estimator: Any) -> ValueError:
    """The error, which says where the estimator is that the display may be meant for."""
    return ValueError(f"{argument} must be {allowed}, but got {estimator!r}{_inner(estimator)}")


def _inner(estimator: Any) -> str:
    """Where an estimator is within another one."""
    if isinstance(estimator, Pipeline):
        return "; give its last step, pipeline[-1], and for X pipeline[:-1].transform(X)"
    return "; give its best_estimator_" if hasattr(estimator, "best_estimator_") else ""
