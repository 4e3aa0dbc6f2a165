"""When EM may stop: a bound on what is left to gain, not on the last step."""

from __future__ import annotations

import math
from collections.abc import Sequence

N_GAINS = 4
NEGLIGIBLE = 1e-4
UNSETTLED = 0.1


class RemainingGain:
    """Stop when the estimated remaining gain of the objective is at most `bound`.

    EM converges linearly, so near a maximum the gains of successive plain steps are a sum of decaying exponentials, one
    for each direction. Aitken's estimate ([1]_, section 4.8) knows one of them and is too small while a fast one still
    hides a slow one, as it does after an extrapolation. So two are fitted to the last four gains (Shanks'
    transformation of order two, [2]_), and their tails are added. Gains that do not shrink (a plateau, a saddle that
    is being left) bound nothing.

    Gains of accelerated steps follow no such law. After a small one, `wants_plain_steps` asks for plain EM until there
    are enough gains; if they show that more is left, acceleration goes on.

    Parameters
    ----------
    bound : float
        Total, natural log. 0 never stops.
    gains : sequence of float, default=()
        Last plain gains of a run that is continued.

    References
    ----------
    .. [1] McLachlan, G. and Krishnan, T. (2008). The EM Algorithm and Extensions, 2nd edition. Wiley.
    .. [2] Shanks, D. (1955). Non-linear transformations of divergent and slowly convergent sequences. J. Math. Phys.
       34, 1-42. Section 3.
    """

    def __init__(self, bound: float, gains: Sequence[float] = ()) -> None:
        self.bound = bound
        self.converged = False
        self.wants_plain_steps = False
        self.gains = tuple(gains)

    def record(self, gain: float, *, plain: bool) -> None:
        """Take note of the gain of one step, `plain` if it was an unaccelerated EM step."""
        self.gains = (*self.gains, gain)[-N_GAINS:] if plain else ()
        if self.bound == 0:
            return
        if not plain:
            self.wants_plain_steps = gain <= self.bound
        elif len(self.gains) == N_GAINS:
            is_small = remaining_gain(self.gains, NEGLIGIBLE * self.bound) <= self.bound
            self.converged = is_small and bool(gain <= NEGLIGIBLE * self.bound or is_settled(self.gains))
            self.wants_plain_steps = is_small and not self.converged


def remaining_gain(gains: Sequence[float], negligible: float = 0.0) -> float:
    """What is left after four successive gains of plain EM; infinite while they do not shrink.

    0 if the last gain is at most `negligible`: rounding makes more of a difference, or only a rate next to 1 could
    leave more.
    """
    first, second, third, last = gains
    if last <= negligible:
        return 0.0
    if min(first, second, third) <= 0 or last >= third:
        return math.inf
    return max(_one_exponential(third, last), _two_exponentials(first, second, third, last))


def is_settled(gains: Sequence[float]) -> bool:
    """Whether the last ratios of gains agree; while they rise, a slower direction may still be hidden."""
    _, second, third, last = gains
    return last <= 0 or (second > 0 and third > 0 and last / third - third / second <= UNSETTLED * (1 - last / third))


def _one_exponential(third: float, last: float) -> float:
    ratio = last / third
    return last * ratio / (1 - ratio)


def _two_exponentials(first: float, second: float, third: float, last: float) -> float:
    """Tail of a s^t + b r^t through four gains; 0 if they are no such sum, as when one exponential is all there is."""
    determinant = second * second - first * third
    if determinant >= 0 or first * third + determinant > (1 - 1e-9) * first * third:
        return 0.0  # not log-convex: the slowest direction is already seen
    sum_of_rates = (second * third - first * last) / determinant
    minus_product = (second * last - third * third) / determinant
    discriminant = sum_of_rates**2 + 4 * minus_product
    if discriminant <= 0 or minus_product > 0:
        return 0.0
    slow = (sum_of_rates + math.sqrt(discriminant)) / 2
    fast = sum_of_rates - slow
    if slow >= 1:
        return math.inf
    share = (second - fast * first) / (slow - fast)  # of the slow exponential in the first gain
    return share * slow**4 / (1 - slow) + (first - share) * fast**4 / (1 - fast)
