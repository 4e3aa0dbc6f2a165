"""Whether an estimator shrinks its coefficients, and a warning if it does."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def warn_of_penalty(last: Any) -> None:
    if is_penalised(last):
        warnings.warn(
            f"{last!r} penalises its coefficients: they are biased towards zero, and the intervals cover less than "
            f"they say. It also takes a bootstrap of each table to know how sure they are, which is slow; for "
            f"LinearRegression, LogisticRegression(C=np.inf) and PoissonRegressor(alpha=0) there is a formula",
            UserWarning,
            stacklevel=3,
        )


def is_penalised(last: Any) -> bool:
    """By the names that scikit-learn gives strengths, as parameters or, if chosen from the data, as attributes."""
    params = last.get_params(deep=False)
    if params.get("penalty", "") is None:
        return False
    if any(hasattr(last, name) for name in ("alpha_", "C_", "lambda_")):
        return True
    alpha = params.get("alpha")
    strong = alpha is not None and bool(np.any(np.asarray(alpha) != 0))
    return strong or params.get("C", np.inf) != np.inf
