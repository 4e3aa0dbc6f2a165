"""Fewer E-steps: extrapolate the sequence of EM, and let the engine keep only what raises the objective.

An accelerator sees pairs (params, target), target being the EM update of params, and proposes a further point. It
knows neither data nor objective: the engine evaluates the proposal and calls `reject` if the objective would fall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from .engine import VectorModel


class Accelerator(Protocol):
    """Proposes a point beyond an EM step."""

    @property
    def name(self) -> str: ...

    def propose(self, params: Any, target: Any) -> Any | None:
        """A further point, or None; `target` is the EM update of `params`."""

    def reject(self) -> None:
        """The last proposal lowered the objective."""


class NoAcceleration:
    """Textbook EM."""

    name = "em"

    def propose(self, params: Any, target: Any) -> None:
        return None

    def reject(self) -> None:
        raise AssertionError("nothing was proposed")


class Squarem:
    """Squared extrapolation: from theta_0, theta_1 = F(theta_0), theta_2 = F(theta_1), go to

    theta_0 - 2 a r + a^2 v,  r = theta_1 - theta_0,  v = (theta_2 - theta_1) - r,  a = -|r| / |v|

    ([1]_, scheme S3). A rejected proposal halves a for those that follow, down to the EM step a = -1; a kept one lets
    it grow back.

    References
    ----------
    .. [1] Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the
       convergence of any EM algorithm. Scand. J. Stat. 35(2), 335-353. Equation (9) and section 5.
    """

    name = "squarem"

    def __init__(self, model: VectorModel[Any, Any]) -> None:
        self._model = model
        self._step: tuple[np.ndarray, np.ndarray] | None = None  # the EM step before: from, to
        self._reach = 1.0
        self._kept = True

    def propose(self, params: Any, target: Any) -> Any | None:
        start, end = self._model.to_vector(params), self._model.to_vector(target)
        if self._step is None or not np.array_equal(self._step[1], start):
            self._step = start, end
            return None
        base, self._step = self._step[0], None
        r = start - base
        v = (end - start) - r
        length = np.linalg.norm(v)
        if length == 0:
            return None
        if self._kept:
            self._reach = min(1.0, 2 * self._reach)
        self._kept = True  # unless `reject` is called
        a = -max(1.0, self._reach * float(np.linalg.norm(r) / length))
        return None if a == -1.0 else self._model.from_vector(base - 2 * a * r + a * a * v, target)

    def reject(self) -> None:
        self._reach /= 2
        self._kept = False


class Anderson:
    """Anderson's extrapolation over the last steps: theta + f - (dX + dF) c with c minimising |f - dF c|,

    where f = F(theta) - theta and dX, dF are differences of successive points and residuals ([1]_, section 2). As in
    [2]_ the least squares is damped: by how much falls with each kept and rises with each rejected proposal, which also
    clears the window.

    References
    ----------
    .. [1] Walker, H. F. and Ni, P. (2011). Anderson acceleration for fixed-point iterations. SIAM J. Numer. Anal.
       49(4), 1715-1735.
    .. [2] Henderson, N. C. and Varadhan, R. (2019). Damped Anderson acceleration with restarts and monotonicity
       control for accelerating EM and EM-like algorithms. J. Comput. Graph. Stat. 28(4), 834-846.
    """

    name = "anderson"

    def __init__(self, model: VectorModel[Any, Any], window: int = 10) -> None:
        self._model = model
        self._window = window
        self._damping = 1e-6
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # point and residual
        self._steps: list[np.ndarray] = []  # differences of successive points plus residuals,
        self._changes: list[np.ndarray] = []  # and of successive residuals

    def propose(self, params: Any, target: Any) -> Any | None:
        point, image = self._model.to_vector(params), self._model.to_vector(target)
        residual = image - point
        if len(self._steps) >= min(self._window, point.size):
            del self._steps[0], self._changes[0]
        if self._last is not None:
            change = residual - self._last[1]
            self._changes.append(change)
            self._steps.append(point - self._last[0] + change)
        self._last = point, residual
        if len(self._steps) < 2:
            return None
        coefficients = self._least_squares(np.array(self._changes), residual)
        self._damping = max(self._damping / 2, 1e-14)
        return self._model.from_vector(image - coefficients @ np.array(self._steps), target)

    def _least_squares(self, differences: np.ndarray, residual: np.ndarray) -> np.ndarray:
        gram = differences @ differences.T
        scale = np.sqrt(gram.diagonal())
        scale[scale == 0] = 1.0
        gram = gram / np.outer(scale, scale)
        gram.flat[:: len(gram) + 1] += self._damping
        solution: np.ndarray = np.linalg.solve(gram, differences @ residual / scale) / scale
        return solution

    def reject(self) -> None:
        self._damping = min(self._damping * 100, 1.0)
        del self._steps[:], self._changes[:]

    def restart(self) -> None:
        """Forget the steps taken so far."""
        self._last = None
        del self._steps[:], self._changes[:]


class Adaptive:
    """Anderson's method near a maximum, SQUAREM where Anderson's fails.

    On a plateau or next to a saddle the steps of EM grow, and the fixed point that Anderson's extrapolation heads for
    lies behind: its proposals are rejected. SQUAREM only ever goes forward, so it takes over after a rejection, for
    longer each time, and Anderson's method is tried again later. The first steps are left to plain EM: easy problems
    are nearly done after them, and in hard ones they do not matter.
    """

    def __init__(self, model: VectorModel[Any, Any]) -> None:
        self._anderson = Anderson(model)
        self._squarem = Squarem(model)
        self._current: Anderson | Squarem = self._anderson
        self._patience = 5
        self._left = 0
        self._plain_steps = 6

    @property
    def name(self) -> str:
        return self._current.name

    def propose(self, params: Any, target: Any) -> Any | None:
        if self._plain_steps > 0:
            self._plain_steps -= 1
            return None
        if self._current is self._squarem:
            self._left -= 1
            if self._left <= 0:
                self._current = self._anderson
                self._anderson.restart()
        return self._current.propose(params, target)

    def reject(self) -> None:
        self._current.reject()
        if self._current is self._anderson:
            self._current, self._left = self._squarem, self._patience
            self._patience = min(2 * self._patience, 100)
