"""The last step of a Pipeline, itself perhaps a Pipeline; another estimator is its own last step."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline


def last_step(estimator: Any) -> Any:
    return last_step(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def passes_through(estimator: Any) -> bool:
    """Whether the last step sees the columns as they are."""
    if not isinstance(estimator, Pipeline):
        return True
    *before, (_, last) = estimator.steps
    return all(step is None or isinstance(step, str) for _, step in before) and passes_through(last)


def prefix(estimator: Any) -> str:
    """That of the parameters of the last step."""
    if not isinstance(estimator, Pipeline):
        return ""
    name, last = estimator.steps[-1]
    return f"{name}__{prefix(last)}"
