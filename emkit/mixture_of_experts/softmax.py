"""Softmax regression: shares of C classes, one Newton step at a time, from sums that add over chunks.

Coefficients (P, C) have columns that add up to zero: adding a column to all of them changes no share, and of all
coefficients with the same shares these are the shortest.

References
----------
.. [1] Boehning, D. (1992). Multinomial logistic regression algorithm. Ann. Inst. Statist. Math. 44(1), 197-200.
   Gradient and Hessian are its equations (2.4) and (2.5).
.. [2] Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm. Neural Computation
   6(2), 181-214. Weighted softmax regression as the M-step of a gate: its equation (30).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from ..families.base import posterior
from .linear import DAMPING, penalty, predictor, products, solve, squares

FEW = 4  # classes up to which the curvature is exact: one sum for each pair of them
START_STEPS = 4
SATURATED = 30.0  # logits between two classes: chance has no part any more


class Slopes(NamedTuple):
    """First and second derivatives of a weighted log-likelihood; they add.

    The curvature is a sum over pairs of classes of w g_c g_d (1, x)(1, x)^T, in the difference of their coefficients.
    Of few classes the sums are kept by pair, (C (C - 1) / 2, P, P). Of many, those of all pairs of a class are added
    up, (C, P, P): since (u - v)^2 <= 2 u^2 + 2 v^2, twice that bounds the curvature without terms between classes.
    """

    gradient: np.ndarray  # (P, C)
    curvature: np.ndarray
    weight: float  # of all rows


def log_shares(X: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Log of the shares, (n, C)."""
    eta = predictor(X, coef)
    log_total, _ = posterior(eta)
    eta -= log_total[:, None]
    return eta


@cache
def pairs_of(C: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second of each pair of classes."""
    return np.triu_indices(C, 1)


def slopes(X: np.ndarray, log_share: np.ndarray, target: np.ndarray) -> Slopes:
    """At given shares, for weights of the classes `target` (n, C), of any total; O(n C P^2)."""
    share = np.exp(log_share)
    weighted = share * (target @ np.ones((share.shape[1], 1)))
    if share.shape[1] <= FEW:
        first, second = pairs_of(share.shape[1])
        weights = weighted[:, first] * share[:, second]
    else:
        weights = 2 * weighted * (1 - share)
    return Slopes(products(X, target - weighted), squares(X, weights), float(target.sum()))


def step(coef: np.ndarray, sums: Slopes, alpha: float) -> np.ndarray:
    """Newton's step for the log-likelihood less alpha / 2 |slopes|^2; of many classes, one for each by itself."""
    P, C = coef.shape
    ridge = penalty(P, alpha)
    gradient = sums.gradient - ridge[:, None] * coef
    if C == 1 or sums.weight <= 0:
        return coef
    damped = ridge + DAMPING * sums.weight
    if C <= FEW:
        return coef + _joint_step(sums.curvature, gradient, damped)
    moves = [solve(own + np.diag(damped), gradient[:, [c]]) for c, own in enumerate(sums.curvature)]
    return centred(coef + np.hstack(moves))


def recentred(sums: Slopes, coef: np.ndarray, new_coef: np.ndarray) -> Slopes:
    """At other coefficients, as if the log-likelihood were quadratic: the gradient changes, the curvature does not."""
    C = coef.shape[1]
    move = new_coef - coef
    if C > FEW:
        change = np.einsum("cij,jc->ic", sums.curvature, move)
    else:
        first, second = pairs_of(C)
        change = np.zeros_like(move)
        for c, d, pair in zip(first, second, sums.curvature, strict=True):
            between = pair @ (move[:, c] - move[:, d])
            change[:, c] += between
            change[:, d] -= between
    return sums._replace(gradient=sums.gradient - change)


def stride(coef: np.ndarray, new_coef: np.ndarray) -> float:
    """Largest change of a class's linear predictor, root mean square over scaled inputs that are not correlated."""
    return float(np.linalg.norm(new_coef - coef, axis=-2).max(initial=0.0))


def centred(coef: np.ndarray) -> np.ndarray:
    """The coefficients of the same shares that add up to zero over the classes."""
    moved: np.ndarray = coef - coef.mean(axis=-1, keepdims=True)
    return moved


def _joint_step(pairs: np.ndarray, gradient: np.ndarray, damped: np.ndarray) -> np.ndarray:
    """In coordinates of coefficients that add up to zero."""
    P, C = gradient.shape
    basis = _basis(C)
    first, second = pairs_of(C)
    difference = basis[first] - basis[second]
    curvature = np.einsum("ea,eb,eij->aibj", difference, difference, pairs, optimize=True)
    curvature = curvature.reshape((C - 1) * P, (C - 1) * P)
    curvature.flat[:: len(curvature) + 1] += np.tile(damped, C - 1)
    moved = solve(curvature, (gradient @ basis).T.reshape(-1, 1)).reshape(C - 1, P).T
    back: np.ndarray = moved @ basis.T
    return back


@cache
def _basis(C: int) -> np.ndarray:
    """Orthonormal basis (C, C - 1) of the vectors that add up to zero (Helmert's contrasts)."""
    lower = np.tril(np.ones((C, C)), -1)[:, : C - 1]
    contrasts = np.eye(C)[:, : C - 1] * -np.arange(C - 1, 0, -1) + lower
    basis: np.ndarray = contrasts / np.linalg.norm(contrasts, axis=0)
    return basis


def shrinkage(coef: np.ndarray, alpha: float) -> float:
    """Log of the prior that an L2 penalty is, up to a constant."""
    return -0.5 * alpha * float((coef[1:] ** 2).sum())


def saturated(coef: np.ndarray) -> list[int]:
    """Classes told from the others by more than `SATURATED` logits within a standard deviation of the inputs."""
    spread = np.linalg.norm(coef[1:], axis=0)
    return np.flatnonzero(spread > SATURATED).tolist()


def start(X: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """Some steps of softmax regression from the shares of all rows; stops before a step that would go too far."""
    coef = np.zeros((1 + X.shape[1], target.shape[1]))
    if not target.any():
        return coef
    shares = np.maximum(target.sum(axis=0), 1e-8 * target.sum())
    coef[0] = centred(np.log(shares))
    log_share = log_shares(X, coef)
    value = (target * log_share).sum() + shrinkage(coef, alpha)
    for _ in range(START_STEPS):
        following = step(coef, slopes(X, log_share, target), alpha)
        log_share = log_shares(X, following)
        new_value = (target * log_share).sum() + shrinkage(following, alpha)
        if not new_value >= value:
            break
        coef, value = following, new_value
    return coef
