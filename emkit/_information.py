"""Standard errors of parameters from the observed information: numerical derivatives and what follows from them.

A parameter set is looked at through a vector (p,) that is unconstrained, and published as arrays by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CURVATURE_STEP = 1e-3  # in unconstrained, unit-free coordinates: fourth-root of rounding
SLOPE_STEP = 1e-5
NOISE = 1e-8  # rounding of the log-likelihood over the square of the step
NOT_FLAT = 1e-10  # of the largest eigenvalue of an information that is exact
BORDER = 1e-6  # nearer to 0 or 1 than this, a probability is there
SAME = 1e-6  # of the largest singular value of slopes: below it a direction changes nothing that is published
FLAT = 1e-5  # of parameters in units of their own information: below it X does not tell a direction

NOT_A_MAXIMUM = (
    "the fit is not at a maximum of the likelihood of X; standard errors need a fit to the same X, without priors "
    "and with a small tol"
)


def within_border(probabilities: Any, errors: Any) -> Any:
    """Errors of probabilities, but 0 for those at 0 or 1, where the likelihood is not quadratic."""
    if isinstance(probabilities, list):
        return [within_border(*pair) for pair in zip(probabilities, errors, strict=True)]
    return np.where((probabilities > BORDER) & (probabilities < 1 - BORDER), errors, 0.0)


def standard_errors(
    value: Callable[[np.ndarray], float], published: Callable[[np.ndarray], dict[str, Any]], origin: np.ndarray
) -> dict[str, Any]:
    """Of what `published` makes of a vector, by the delta method, for a log-likelihood `value` with a maximum there.

    About 2 p^2 calls of `value`. Values of the dict are arrays, or lists of them.
    """
    slopes = _slopes(lambda vector: flat(published(vector)), origin)
    covariance = _inverse(-_hessian(value, origin), slopes, NOISE * (1 + abs(value(origin))))
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, covariance, slopes), 0.0))
    return like(published(origin), errors)


def exact_covariance(information: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Inverse of an observed information (p, p) without rounding of differences; `score` (p,) are the slopes there.

    ValueError if the likelihood is flat in some direction, or if its maximum is further than a standard error.
    """
    sizes = np.diag(information)
    if not (sizes > 0).all():
        raise ValueError(f"the observed information of a parameter is {sizes.min():.3g}, so {NOT_A_MAXIMUM}")
    units = 1 / np.sqrt(sizes)
    values, vectors = np.linalg.eigh(units[:, None] * information * units)
    if values.min() < NOT_FLAT * values.max():
        raise _flat(values)
    vectors = units[:, None] * vectors
    distance = float(np.sqrt(((score @ vectors) ** 2 / values).sum()))
    if distance > 1:
        raise ValueError(f"the maximum of the likelihood is {distance:.3g} standard errors away, so {NOT_A_MAXIMUM}")
    return (vectors / values) @ vectors.T


def _arrays(named: dict[str, Any]) -> list[np.ndarray]:
    return [np.asarray(a) for value in named.values() for a in (value if isinstance(value, list) else [value])]


def flat(named: dict[str, Any]) -> np.ndarray:
    """All numbers of what an estimator publishes, one after the other, (m,)."""
    return np.concatenate([array.ravel() for array in _arrays(named)])


def like(named: dict[str, Any], numbers: np.ndarray) -> dict[str, Any]:
    """The numbers (m,) in the shapes of `named`."""
    ends = np.cumsum([array.size for array in _arrays(named)])[:-1]
    pieces = iter(np.split(numbers, ends))
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


def _inverse(information: np.ndarray, slopes: np.ndarray, noise: float) -> np.ndarray:
    """Inverse on the directions that change what is published, of which `slopes` (m, p) are the derivatives.

    Along others, as the sum of logs of probabilities, the differences have nothing but errors.
    """
    sizes = np.sqrt(np.maximum(np.diag(information), 0.0))
    known = np.diag(information) > noise
    units = np.where(known, 1 / np.where(known, sizes, 1.0), 0.0)  # so that parameters known well hide no others
    basis = units[:, None] * _row_space(slopes * units)
    values, vectors = np.linalg.eigh(basis.T @ information @ basis)
    if values.min(initial=1.0) < FLAT:
        raise _flat(values)
    vectors = basis @ vectors
    return (vectors / values) @ vectors.T


def _flat(values: np.ndarray) -> ValueError:
    """The error, for eigenvalues of which some are too small."""
    return ValueError(
        f"the observed information has eigenvalues from {values.min():.3g} to {values.max():.3g}: X tells nothing of "
        f"some parameters, or {NOT_A_MAXIMUM}"
    )


def _row_space(slopes: np.ndarray) -> np.ndarray:
    """Orthonormal columns (p, r) that span the rows of (m, p), each of which counts alike."""
    lengths = np.linalg.norm(slopes, axis=1)
    rows = slopes[lengths > 0] / lengths[lengths > 0, None]
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    return directions[sizes > SAME * sizes.max(initial=0.0)].T
