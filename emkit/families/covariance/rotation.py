"""Axes in common: turn them until the likelihood of components with variances along them is highest.

References
----------
.. [1] Flury, B. N. and Gautschi, W. (1986). An algorithm for simultaneous orthogonal transformation of several positive
   definite symmetric matrices to nearly diagonal form. SIAM J. Sci. Stat. Comput. 7(1), 169-184. Plane by plane.
.. [2] Browne, R. P. and McNicholas, P. D. (2014). Estimating common principal components in high dimensions. Adv. Data
   Anal. Classif. 8, 217-226. All planes at once, by majorisation: its steps are short where variances differ much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .variances import Rule

TURNS = 3  # in an M-step, at most; EM goes on from there
TRIALS = 5  # of a turn that goes too far
SETTLED = 1e-6  # gain per unit of weight after which turning ends


class Along(NamedTuple):
    """What there is along axes (k, d, d), or (1, d, d) in common."""

    axes: np.ndarray
    projected: np.ndarray  # (k, d, d): rows that have the scatter, in coordinates of the axes
    squares: np.ndarray  # (k, d): the scatter's diagonal
    units: np.ndarray  # (k, d) or (1, d): variances of the data


def along(axes: np.ndarray, roots: np.ndarray, scale: np.ndarray) -> Along:
    """Roots G (k, d, d) have scatter = G G^T."""
    projected = roots.swapaxes(1, 2) @ axes
    return Along(axes, projected, (projected * projected).sum(axis=1), scale**2 @ (axes * axes))


class Turn(NamedTuple):
    along: Along
    variances: np.ndarray  # (k, d): the best along these axes
    loss: float


def loss(variances: np.ndarray, squares: np.ndarray, counts: np.ndarray) -> float:
    """Minus twice the expected log-likelihood, less a constant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(counts @ np.log(variances).sum(axis=1) + (squares / variances).sum())


def turned(
    axes: np.ndarray, roots: np.ndarray, counts: np.ndarray, scale: np.ndarray, floor: float, rule: Rule
) -> Turn:
    """Axes (1, d, d) and variances (k, d) of a likelihood no lower than under the given axes.

    With W_k the scatter along the axes and p_k the inverse variances, the loss after a turn by t in the plane of axes i
    and j is a constant plus x cos 2t + y sin 2t, where

    x = sum_k (p_ki - p_kj) (W_kii - W_kjj) / 2,  y = sum_k (p_kj - p_ki) W_kij.

    Each plane is turned by the angle that is best for it alone ([1]_), but all of them at once, as in [2]_: Newton's
    method with the curvature of each plane. A turn that goes too far is shortened.
    """

    def fitted(axes: np.ndarray) -> Turn:
        here = along(axes, roots, scale)
        variances = rule(here.squares, counts, floor, here.units, _no_volumes)
        return Turn(here, variances, loss(variances, here.squares, counts))

    best = fitted(axes)
    for _ in range(TURNS):
        if not best.variances.min() > 0:  # singular, for want of a floor
            break
        shorter, before = _shortened(best, fitted, _angles(best, floor, scale)), best.loss
        if shorter is None:
            break
        best = shorter
        if before - best.loss <= SETTLED * counts.sum():
            break
    return best


def _shortened(best: Turn, fitted: Callable[[np.ndarray], Turn], turn: tuple[np.ndarray, float]) -> Turn | None:
    """The turn by these angles, or by a share of them if the loss would rise; None if it rises all the same."""
    angles, slope = turn
    for _ in range(TRIALS):
        trial = fitted(best.along.axes @ _rotation(angles))
        rise = trial.loss - best.loss
        if rise <= 0:
            return trial
        share = min(max(0.5 * slope / (slope - rise), 0.1), 0.5)  # the minimum of a parabola
        angles, slope = share * angles, share * slope
    return None


def _angles(best: Turn, floor: float, scale: np.ndarray) -> tuple[np.ndarray, float]:
    """How to turn, and the slope of the loss that way."""
    here, variances = best.along, best.variances
    if floor > 0 and (variances <= floor * here.units).any():
        return _best_angles(*_with_floor(here, variances, scale))
    return _best_angles(here.projected, here.squares, 1 / variances)


def _no_volumes() -> np.ndarray:
    raise AssertionError("rules with a closed form need no volumes to start from")


def _with_floor(here: Along, variances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `_best_angles` takes, where some variances are at the floor, which turns with the axes.

    There the loss rises with the units along the axis, at the rate of (m_k - w_kj / s_kj) / units_j, where m_k is what
    w_kj / s_kj is along free axes. So V acts like the scatter of one more component, with these rates as precisions.
    """
    ratios = here.squares / variances
    rates = (ratios.max(axis=1, keepdims=True) - ratios).sum(axis=0) / here.units
    return (
        np.concatenate([here.projected, scale[:, None] * here.axes]),
        np.concatenate([here.squares, here.units]),
        np.concatenate([1 / variances, rates]),
    )


def _best_angles(projected: np.ndarray, squares: np.ndarray, precisions: np.ndarray) -> tuple[np.ndarray, float]:
    """Of all planes, (d, d), antisymmetric, at most an eighth of a circle; and the slope of the loss that way."""
    differences = precisions[:, None, :] - precisions[:, :, None]
    y = (differences * (projected.swapaxes(1, 2) @ projected)).sum(axis=0)
    x = 0.5 * (differences * (squares[:, None, :] - squares[:, :, None])).sum(axis=0)
    angles: np.ndarray = 0.5 * np.arctan2(-y, np.abs(x))
    return angles, float((y * angles).sum())


def _rotation(turn: np.ndarray) -> np.ndarray:
    """A rotation that turns by these angles to first order (Cayley's transform)."""
    half, one = turn / 2, np.eye(len(turn))
    rotation: np.ndarray = np.linalg.solve(one - half, one + half)
    return rotation
