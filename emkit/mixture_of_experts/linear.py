"""Sums over rows that steps for linear predictors need, and the steps. Coefficients (P, m): intercepts come first."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from .. import kernels

DAMPING = 1e-8  # of the weight, added to curvatures of repeated steps: where those vanish, a gradient is rounding
RANK = 1e-12  # eigenvalues of a curvature of unit diagonal below this share of the largest are zero


def predictor(X: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Intercepts plus X times slopes: (n, m) of coef (1 + p, m)."""
    eta: np.ndarray = X @ coef[1:]
    eta += coef[0]
    return eta


def products(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of w (1, x) for each column of weights (n, m): (1 + p, m)."""
    return np.vstack([column_sums(weights), X.T @ weights])


def column_sums(table: np.ndarray) -> np.ndarray:
    """(m,) of (n, m); a product, since NumPy's sums over short rows are slow."""
    sums: np.ndarray = np.ones(len(table)) @ table
    return sums


def squares(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of w (1, x)(1, x)^T for each column of weights (n, m): (m, 1 + p, 1 + p); O(n m p^2)."""
    m, p = weights.shape[1], X.shape[1]
    out = np.empty((m, p + 1, p + 1))
    if m == 0 or p == 0:
        out[:, 0, 0] = column_sums(weights)
        return out
    counts, sums, scatters = np.zeros(m), np.zeros((m, p)), np.zeros((m, p, p))
    kernels.moments_full(X, np.ascontiguousarray(weights), np.zeros((m, p)), counts, sums, scatters)
    out[:, 0, 0] = counts
    out[:, 0, 1:] = out[:, 1:, 0] = sums
    out[:, 1:, 1:] = scatters + np.tril(scatters, -1).swapaxes(1, 2)
    return out


def penalty(P: int, alpha: float) -> np.ndarray:
    """Second derivatives of alpha / 2 |slopes|^2, (P,): none for the intercept."""
    diagonal = np.full(P, float(alpha))
    diagonal[0] = 0.0
    return diagonal


def solve(curvature: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solution of least norm, with unit diagonal, of a positive semidefinite system: Newton's step, (P, m)."""
    scale = np.sqrt(np.maximum(np.diagonal(curvature), 0.0))
    units = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)[:, None]
    matrix, right = units * curvature * units.T, units * gradient
    np.fill_diagonal(matrix, 1.0)
    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
        if np.diagonal(factor[0]).min() ** 2 > RANK:
            return units * cho_solve(factor, right, check_finite=False)
    except LinAlgError:
        pass
    if not np.isfinite(matrix).all():
        return np.full_like(gradient, np.nan)
    values, vectors = np.linalg.eigh(matrix)
    kept = values > RANK * values[-1]
    return units * (vectors[:, kept] / values[kept]) @ (vectors[:, kept].T @ right)
