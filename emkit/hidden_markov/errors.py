"""Standard errors of the parameters from the observed information.

References
----------
.. [1] Visser, I., Raijmakers, M. E. J. and Molenaar, P. C. M. (2000). Confidence intervals for hidden Markov model
   parameters. Br. J. Math. Stat. Psychol. 53(2), 317-327. The finite-difference Hessian of the log-likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _information
from .decoding import log_likelihood
from .fitting import fitted_model
from .model import HiddenMarkovModel, HiddenMarkovParams
from .sequences import Sequences

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov

PROBABILITIES = ("startprob_", "transmat_", "emissionprob_", "weights_")
BORDER = 1e-6  # nearer to 0 or 1 than this, a probability is there


def standard_errors(estimator: EMHiddenMarkov, chunks: Sequence[Sequences]) -> dict[str, Any]:
    """By the names of the fitted attributes."""
    model, params = _model_to_differentiate(estimator)
    origin = model.to_vector(params)

    def at(vector: np.ndarray) -> HiddenMarkovParams:
        moved = model.from_vector(vector, params)
        if moved is None:
            raise ValueError("the fit is at the border of what the parameters may be: there is no standard error")
        return moved

    def value(vector: np.ndarray) -> float:
        return sum(log_likelihood(model, at(vector), chunk) for chunk in chunks)

    errors = _information.standard_errors(value, lambda vector: _named(model, at(vector)), origin)
    named = _named(model, params)
    return {name: _without_border(name, named[name], error) for name, error in errors.items()}


def _without_border(name: str, values: Any, errors: Any) -> Any:
    """Errors of probabilities at 0 or 1, where the likelihood is not quadratic, are set to 0."""
    if name not in PROBABILITIES:
        return errors
    if isinstance(values, list):
        return [_without_border(name, *pair) for pair in zip(values, errors, strict=True)]
    return np.where((values > BORDER) & (values < 1 - BORDER), errors, 0.0)


def _model_to_differentiate(estimator: EMHiddenMarkov) -> tuple[HiddenMarkovModel, HiddenMarkovParams]:
    """The fitted model, which knows what was fixed."""
    model, params = fitted_model(estimator)
    fixed = frozenset(estimator.fixed)
    model = replace(model, chain=replace(model.chain, fixed=fixed), fixed=fixed)
    if not model.can_accelerate:
        raise ValueError(f"{type(model.family).__name__} has no unconstrained vector, which standard errors need")
    return model, params


def _named(model: HiddenMarkovModel, params: HiddenMarkovParams) -> dict[str, Any]:
    parts = {"startprob": params.startprob, "transmat": params.transmat, **model.family.parts(params.emission)}
    return {f"{name}_": value for name, value in parts.items()}
