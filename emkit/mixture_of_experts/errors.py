"""Standard errors of the parameters: from the observed information, or from the spread of refits.

References
----------
.. [1] Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. JRSS B 44(2), 226-233.
   Here the Hessian of the log-likelihood itself is taken, by finite differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _bootstrap, _information
from .._bootstrap import Bootstrap, permuted, resampled
from .cases import Cases
from .fitting import State, published
from .gates import HierarchicalGate
from .model import ExpertsParams
from .reading import Reading

if TYPE_CHECKING:
    from .estimator import MixtureOfExperts


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


def by_bootstrap(
    estimator: MixtureOfExperts, data: dict[str, Any], reading: Reading, n_bootstrap: int, n_jobs: int | None
) -> dict[str, Any]:
    """By the names of the fitted attributes, from refits to rows, or blocks of them, drawn with replacement.

    `data` are the arguments of `fit` but for the weights, which `reading` has.
    """
    cases = reading.cases

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        return {**data, "sample_weight": reading.in_order(cases.by_row(resampled(cases.weight, rng)))}

    bootstrap = Bootstrap(
        draw=draw,
        responsibilities=lambda mixture, sample: mixture.predict_expert_proba(**data),
        named=lambda mixture: _named(mixture._state),
        permuted=_not_permuted if isinstance(estimator._state.fitted.model.gate, HierarchicalGate) else permuted,
    )
    return _bootstrap.standard_errors(estimator, bootstrap, n_bootstrap, n_jobs)


def _named(state: State) -> dict[str, Any]:
    return published(state.fitted.model, state.frame, state.is_flat, state.fitted.params)


def _not_permuted(named: dict[str, Any], order: np.ndarray) -> dict[str, Any]:
    """Groups of experts cannot be told in another order."""
    if (order != np.arange(len(order))).any():
        raise ValueError(f"experts of a hierarchical gate have changed places, to {order.tolist()}")
    return named
