"""Covariance within a table in closed form: least squares, or the inverse Fisher information."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.utils import check_array

from .._pipelines import last_step, passes_through
from .checks import Table
from .coefficients import Coefficients, coefficients_of
from .penalty import is_penalised

SINGULAR = 1e-13  # smallest eigenvalue of an information matrix of unit diagonal, that of rounding errors or less


@dataclass(frozen=True, eq=False)
class Fit:
    """What a closed form needs: a standardised design (n, q), y, weights (n,) and the fitted estimator with its X."""

    design: np.ndarray
    X: Any
    y: np.ndarray
    weight: np.ndarray
    fitted: Any


ClosedForm = Callable[[Fit], np.ndarray]


def find_closed_form(fitted: Any, layout: Coefficients) -> ClosedForm | None:
    """A function that gives the covariance, (k q, k q) with the k rows of coefficients one after another."""
    last = last_step(fitted)
    if not passes_through(fitted):
        return None
    if type(last) is LinearRegression and not last.positive:
        return _linear
    if type(last) is PoissonRegressor and last.alpha == 0:
        return _poisson
    if type(last) is LogisticRegression and _is_maximum_likelihood(last):
        return _binary if layout.n_rows == 1 else _multinomial
    return None


def _is_maximum_likelihood(last: LogisticRegression) -> bool:
    default_classes = getattr(last, "multi_class", "auto") in ("auto", "deprecated")
    return not is_penalised(last) and last.class_weight is None and last.solver != "liblinear" and default_classes


def analytic(closed_form: ClosedForm, fitted: Any, table: Table, weight: np.ndarray | None, j: int) -> np.ndarray:
    """Covariance (c, c) of the coefficients and then the intercepts of a fit to table j."""
    layout = coefficients_of(fitted)
    X = check_array(table[0], dtype=np.float64)
    weight = np.ones(len(X)) if weight is None else weight
    design, back = _standardise(X, weight, layout.has_intercept)
    try:
        covariance = closed_form(Fit(design, table[0], np.asarray(table[1]), weight, fitted))
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"the covariance of the coefficients of imputed[{j}] has no value: its columns depend linearly on each "
            f"other, or a class is separated from the others"
        ) from error
    to_units = np.kron(np.eye(layout.n_rows), back)
    order = _coefficients_first(layout)
    return (to_units @ covariance @ to_units.T)[np.ix_(order, order)]


def _coefficients_first(layout: Coefficients) -> np.ndarray:
    """Where the coefficients, and then the intercepts, are among rows that end in an intercept."""
    position = np.arange(len(layout.values)).reshape(layout.n_rows, -1)
    p = layout.n_features
    return np.concatenate([position[:, :p].ravel(), position[:, p:].ravel()])


def _standardise(X: np.ndarray, weight: np.ndarray, has_intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """A well-conditioned design (n, q), and the matrix (q, q) that takes its coefficients to those of X."""
    share = weight / weight.sum()
    mean = share @ X if has_intercept else np.zeros(X.shape[1])
    scale = np.sqrt(share @ (X - mean) ** 2)
    scale[scale <= 1e-12 * np.abs(X).max(axis=0)] = np.inf  # constant: a column of zeros, found singular later
    Z, back = (X - mean) / scale, np.diag(1 / scale)
    if not has_intercept:
        return Z, back
    p = X.shape[1]
    with_intercept = np.eye(p + 1)
    with_intercept[:p, :p] = back
    with_intercept[p, :p] = -mean / scale
    return np.column_stack([Z, np.ones(len(Z))]), with_intercept


def _linear(fit: Fit) -> np.ndarray:
    residual = (fit.y - fit.fitted.predict(fit.X)).reshape(len(fit.y), -1)
    weighted = fit.weight[:, None] * residual
    sigma = weighted.T @ residual / (np.count_nonzero(fit.weight) - fit.design.shape[1])
    return np.kron(sigma, _inverse(_gram(fit.design, fit.weight)))


def _poisson(fit: Fit) -> np.ndarray:
    return _inverse(_gram(fit.design, fit.weight * fit.fitted.predict(fit.X)))


def _binary(fit: Fit) -> np.ndarray:
    _refuse_separated(fit)
    probability = fit.fitted.predict_proba(fit.X)
    return _inverse(_gram(fit.design, fit.weight * probability.prod(axis=1)))


def _multinomial(fit: Fit) -> np.ndarray:
    """Of coefficients that sum to zero over the classes, by way of differences from the last class."""
    _refuse_separated(fit)
    probability = fit.fitted.predict_proba(fit.X)
    k = probability.shape[1]
    information = np.block([[_block(fit, probability, a, b) for b in range(k - 1)] for a in range(k - 1)])
    centre = np.kron(np.eye(k)[:, :-1] - 1 / k, np.eye(fit.design.shape[1]))
    return centre @ _inverse(information) @ centre.T


def _refuse_separated(fit: Fit) -> None:
    """LinAlgError where a fit is never wrong: it would go on to infinity, however early the solver has stopped."""
    if (fit.fitted.predict(fit.X) == fit.y)[fit.weight > 0].all():
        raise np.linalg.LinAlgError("the classes are separated")


def _block(fit: Fit, probability: np.ndarray, a: int, b: int) -> np.ndarray:
    """Fisher information about the coefficients of classes a and b, (q, q)."""
    curvature = probability[:, a] * ((a == b) - probability[:, b])
    return _gram(fit.design, fit.weight * curvature)


def _gram(design: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return design.T @ (weight[:, None] * design)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix; LinAlgError if it is singular to rounding."""
    diagonal = np.diag(information)
    if not (diagonal > 0).all():
        raise np.linalg.LinAlgError("no information about a coefficient")
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] <= SINGULAR:
        raise np.linalg.LinAlgError("singular")
    root = vectors / np.sqrt(values) / scale[:, None]
    return root @ root.T


def n_observations(closed_form: ClosedForm | None, weight: np.ndarray | None, n_rows: int) -> float:
    """Rows that count; the sum of the weights where they are frequencies."""
    if weight is None:
        return n_rows
    if closed_form in (_poisson, _binary, _multinomial):
        return float(weight.sum())
    return int(np.count_nonzero(weight))
