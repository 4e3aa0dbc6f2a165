"""Standard errors of the parameters from the observed information.

References
----------
.. [1] Visser, I., Raijmakers, M. E. J. and Molenaar, P. C. M. (2000). Confidence intervals for hidden Markov model
   parameters. Br. J. Math. Stat. Psychol. 53(2), 317-327. The finite-difference Hessian of the log-likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .decoding import log_likelihood
from .fitting import fitted_model
from .model import HiddenMarkovModel, HiddenMarkovParams
from .sequences import Sequences

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov

CURVATURE_STEP = 1e-3  # in unconstrained, unit-free coordinates: fourth-root of rounding
SLOPE_STEP = 1e-5
PROBABILITIES = ("startprob_", "transmat_", "emissionprob_", "weights_")
BORDER = 1e-6  # nearer to 0 or 1 than this, a probability is there
NOISE = 1e-8  # rounding of the log-likelihood over the square of the step
FLAT = 1e-5  # of the largest eigenvalue: below it a direction does not change the likelihood


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

    covariance = _inverse(-_hessian(value, origin), NOISE * (1 + abs(value(origin))))
    slopes = _slopes(lambda vector: _flat(_named(model, at(vector))), origin)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, covariance, slopes), 0.0))
    named = _named(model, params)
    return {name: _without_border(name, named[name], value) for name, value in _like(named, errors).items()}


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


def _arrays(named: dict[str, Any]) -> list[np.ndarray]:
    return [np.asarray(a) for value in named.values() for a in (value if isinstance(value, list) else [value])]


def _flat(named: dict[str, Any]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in _arrays(named)])


def _like(named: dict[str, Any], flat: np.ndarray) -> dict[str, Any]:
    """The numbers `flat` in the shapes of `named`."""
    ends = np.cumsum([array.size for array in _arrays(named)])[:-1]
    pieces = iter(np.split(flat, ends))
    return {
        name: [next(pieces).reshape(np.shape(a)) for a in value]
        if isinstance(value, list)
        else next(pieces).reshape(np.shape(value))
        for name, value in named.items()
    }


def _hessian(function: Callable[[np.ndarray], float], origin: np.ndarray) -> np.ndarray:
    """Second derivatives by central differences."""
    p, h = len(origin), CURVATURE_STEP
    steps = h * np.eye(p)
    middle = function(origin)
    hessian = np.empty((p, p))
    for i in range(p):
        hessian[i, i] = (function(origin + steps[i]) - 2 * middle + function(origin - steps[i])) / h**2
        for j in range(i):
            up = function(origin + steps[i] + steps[j]) + function(origin - steps[i] - steps[j])
            down = function(origin + steps[i] - steps[j]) + function(origin - steps[i] + steps[j])
            hessian[i, j] = hessian[j, i] = (up - down) / (4 * h**2)
    return hessian


def _slopes(function: Callable[[np.ndarray], np.ndarray], origin: np.ndarray) -> np.ndarray:
    """First derivatives (m, p) by central differences."""
    steps = SLOPE_STEP * np.eye(len(origin))
    columns = [(function(origin + step) - function(origin - step)) / (2 * SLOPE_STEP) for step in steps]
    return np.stack(columns, axis=1)


def _inverse(information: np.ndarray, noise: float) -> np.ndarray:
    """Inverse on the directions in which the likelihood varies; logs of probabilities have one that it does not."""
    sizes = np.sqrt(np.maximum(np.diag(information), 0.0))
    known = np.diag(information) > noise
    units = np.where(known, 1 / np.where(known, sizes, 1.0), 0.0)  # so that parameters known well hide no others
    values, vectors = np.linalg.eigh(units[:, None] * information * units)
    if values.min() < -FLAT:
        raise ValueError(
            f"the observed information has a negative eigenvalue ({values.min():.3g}; the largest is "
            f"{values.max():.3g}), so the fit is not at a maximum of the likelihood of X; standard errors need a fit "
            "to the same X, without priors and with a small tol"
        )
    curved = values > FLAT
    vectors = units[:, None] * vectors[:, curved]
    return (vectors / values[curved]) @ vectors.T
