"""When EM may stop: a bound on what is left to gain, not on the last step."""

from __future__ import annotations

import math


class RemainingGain:
    """Stop when the estimated remaining gain of the objective is at most `bound`.

    EM converges linearly, so near a maximum the gains of successive plain steps fall by a constant ratio r, and
    g r / (1 - r) is left after a gain g: Aitken's estimate ([1]_, section 4.8). The ratio of early steps is too small,
    since the fast directions still dominate there, so it is raised by twice its last increase; a gain that does not
    shrink (a plateau, a saddle that is being left) bounds nothing.

    Gains of accelerated steps follow no such law. After a small one, `wants_plain_steps` asks for plain EM, whose
    gains are then measured; if they show that more is left, acceleration goes on.

    References
    ----------
    .. [1] McLachlan, G. and Krishnan, T. (2008). The EM Algorithm and Extensions, 2nd edition. Wiley.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self.converged = False
        self.wants_plain_steps = False
        self._gains: list[float] = []

    def record(self, gain: float, *, plain: bool) -> None:
        """Take note of the gain of one step, `plain` if it was an unaccelerated EM step."""
        if not plain:
            self._gains.clear()
            self.wants_plain_steps = self.bound > 0 and gain <= self.bound
            return
        self._gains = [*self._gains[-2:], gain]
        if len(self._gains) == 3 and self.bound > 0:
            remaining = self.estimate()
            self.converged = remaining <= self.bound
            self.wants_plain_steps = self.wants_plain_steps and math.isinf(remaining) and gain <= self.bound

    def estimate(self) -> float:
        """Gain left after the last three plain steps; infinite while the steps do not shrink."""
        first, second, third = self._gains
        if third <= 0:  # at the maximum, to rounding
            return 0.0
        if second <= 0 or first <= 0:
            return math.inf
        ratio, previous = third / second, second / first
        ratio += 2 * max(0.0, ratio - previous)
        return third * ratio / (1 - ratio) if ratio < 1 else math.inf
