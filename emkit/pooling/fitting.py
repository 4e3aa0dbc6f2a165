"""One fit to one table, with weights handed to the step that takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from .._pipelines import last_step, prefix


def fit(estimator: Any, X: Any, y: Any, options: dict[str, Any]) -> Any:
    return clone(estimator).fit(X, y, **options)


def fit_options(estimator: Any, weight: np.ndarray | None) -> dict[str, Any]:
    """Keyword arguments of `fit`."""
    if not hasattr(estimator, "fit"):
        raise ValueError(f"estimator must be an estimator with fit, but got {estimator!r}")
    if weight is None:
        return {}
    last = last_step(estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise ValueError(f"sample_weight must be None, as fit of {last!r} takes none")
    routed = get_config()["enable_metadata_routing"]  # a Pipeline then takes no prefix
    return {"sample_weight" if routed else prefix(estimator) + "sample_weight": weight}
