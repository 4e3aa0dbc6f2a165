"""Standard errors of the parameters from the observed information.

References
----------
.. [1] Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. JRSS B 44(2), 226-233.
   Here the Hessian of the log-likelihood itself is taken, by finite differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _information
from .cases import Cases
from .fitting import State, published
from .model import ExpertsParams


def standard_errors(state: State, chunks: Sequence[Cases]) -> dict[str, Any]:
    """By the names of the fitted attributes; of the objective, so with the penalties."""
    model, params = state.fitted
    if not model.can_accelerate:
        raise ValueError("expert is an estimator, whose parameters have no standard errors here")

    def at(vector: np.ndarray) -> ExpertsParams:
        moved = model.from_vector(vector, params)
        if moved is None:
            raise ValueError("the fit is at the border of what the parameters may be: there is no standard error")
        return moved

    def value(vector: np.ndarray) -> float:
        there = at(vector)
        log_likelihood = sum(float(cases.weight @ model.log_likelihood(there, cases)) for cases in chunks)
        return log_likelihood + model.log_prior(there)

    def named(vector: np.ndarray) -> dict[str, Any]:
        return published(model, state.frame, state.is_flat, at(vector))

    return _information.standard_errors(value, named, model.to_vector(params))
