"""Variances that components have in common: the M-step of k components along d axes, for each way of sharing.

All minimise sum_kj n_k log s_kj + w_kj / s_kj over variances s (k, d) of the kind. The squares w (k, d) are sums over
rows, the counts n (k,) their weights. `units`, (k, d), (1, d) or (d,), are the variances of the data along the axes; s
is at least `floor` times these. Without a floor a variance may come out as 0 or NaN. `before` gives the volumes (k,) to
start from, where there is no closed form. A volume is the geometric mean of the variances.

References
----------
.. [1] Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. Pattern Recognition 28(5), 781-793.
   Section 4.2 has the maxima without a floor: models B, lambda_k B, lambda B_k and lambda_k B_k.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Volumes = Callable[[], np.ndarray]
Rule = Callable[[np.ndarray, np.ndarray, float, np.ndarray, Volumes], np.ndarray]

ROUNDS = 3  # of an alternation; EM goes on from there. A fixed number, so that what comes out is smooth in what goes in
WIDEST = 1e6  # of the units: what a component may grow to, to make up for a direction in which it is at the floor
ALMOST_NOTHING = 1e-12
NEWTON_STEPS = 10


def free(squares: np.ndarray, counts: np.ndarray, floor: float, units: np.ndarray, before: Volumes) -> np.ndarray:
    """Volume and shape are each component's own (VI)."""
    return np.maximum(squares / counts[:, None], floor * units)


def same(squares: np.ndarray, counts: np.ndarray, floor: float, units: np.ndarray, before: Volumes) -> np.ndarray:
    """Volume and shape in common (EI)."""
    lowest = floor * np.atleast_2d(units).max(axis=0)
    return np.broadcast_to(np.maximum(squares.sum(axis=0) / counts.sum(), lowest), squares.shape)


def one_shape(squares: np.ndarray, counts: np.ndarray, floor: float, units: np.ndarray, before: Volumes) -> np.ndarray:
    """Shape in common, volumes their own (VE): s_kj = u_k v_j, u and v by turns ([1]_, model lambda_k B).

    In log u and log v it is a convex problem, so that the turns lead to the maximum.
    """
    lowest, volumes = floor * units, before()
    per_axis, total = counts * squares.shape[1], counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(ROUNDS):
            inverse = 1 / volumes
            shape = np.maximum(inverse @ squares / total, (lowest * inverse[:, None]).max(axis=0))
            volumes = np.maximum(squares @ (1 / shape) / per_axis, (lowest / shape).max(axis=-1))
    return volumes[:, None] * shape


def one_volume(squares: np.ndarray, counts: np.ndarray, floor: float, units: np.ndarray, before: Volumes) -> np.ndarray:
    """Volume in common, shapes their own (EV): the product over j of s_kj is the same for all k ([1]_, lambda B_k)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(squares)
        means = logs.mean(axis=1)
        log_volume = np.log(np.exp(means).sum() / counts.sum())
        variances = np.exp(logs + (log_volume - means)[:, None])
    if floor <= 0 or ((variances >= floor * units) & (variances <= WIDEST * units)).all():
        return variances
    return _one_volume_within(squares, counts, floor * units, WIDEST * units)


def _one_volume_within(squares: np.ndarray, counts: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Within bounds s_kj is w_kj / m_k, or the bound; sum_j log s_kj = d x for all k, and sum_k m_k = sum_k n_k.

    By the first equation log m_k is a piecewise linear, falling function of x. The second is solved between two of the
    knots. Where components are so narrow that they are all at their lowest, that decides x.
    """
    d = squares.shape[1]
    logs = np.log(np.maximum(squares, ALMOST_NOTHING * counts[:, None] * lowest)) - np.log(counts.sum())
    low, high = (np.broadcast_to(np.log(bound), logs.shape) for bound in (lowest, highest))
    knots = np.sort(np.concatenate([logs - low, logs - high], axis=1), axis=1)
    sums = np.clip(logs[:, None, :] - knots[:, :, None], low[:, None, :], high[:, None, :]).sum(axis=2)

    def log_multipliers(x: np.ndarray) -> np.ndarray:
        return np.array(
            [np.interp(-d * x, -its_sums, its_knots) for its_sums, its_knots in zip(sums, knots, strict=True)]
        )

    x = np.sort(np.clip(sums, sums[:, -1].max(), sums[:, 0].min()).ravel()) / d
    is_above = np.exp(log_multipliers(x)).sum(axis=0) > 1
    right = int(is_above.sum())
    if right in (0, len(x)):
        best = log_multipliers(x[[min(right, len(x) - 1)]])
    else:
        best = _root(log_multipliers, x[right - 1], x[right])
    variances: np.ndarray = np.exp(np.clip(logs - best, low, high))
    return variances


def _root(log_multipliers: Callable[[np.ndarray], np.ndarray], left: float, right: float) -> np.ndarray:
    """The logarithms (k, 1) at which multipliers add up to 1, or at the end that is nearest; they are linear between.

    The log of the sum is convex, so that Newton's method from the left does not overshoot. At an end it may jump.
    """
    if right - left <= ALMOST_NOTHING * (1 + abs(right)):
        return log_multipliers(np.array([right]))
    x = np.linspace(left, right, 4)[1:3]
    values = log_multipliers(x)
    slope, start, at = (values[:, 1] - values[:, 0]) / (x[1] - x[0]), values[:, 0], left
    for _ in range(NEWTON_STEPS):
        shares = np.exp(start + slope * (at - x[0]))
        at = min(max(at - np.log(shares.sum()) * shares.sum() / (shares @ slope), left), right)
    return (start + slope * (at - x[0]))[:, None]
