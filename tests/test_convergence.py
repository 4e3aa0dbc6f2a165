"""The stop rule on sequences of gains whose sum is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emkit.convergence import RemainingGain, is_settled, remaining_gain


def gains_of(amplitudes, rates, n=4000):
    """Gains sum_j a_j r_j^t of plain EM, and what remains after each."""
    powers = np.asarray(rates) ** np.arange(n)[:, None]
    return powers @ amplitudes, powers @ (np.asarray(amplitudes) * rates / (1 - np.asarray(rates)))


def stop(gains, bound):
    """Index of the gain after which the rule stops, or None."""
    rule = RemainingGain(bound)
    for index, gain in enumerate(gains):
        rule.record(gain, plain=True)
        if rule.converged:
            return index
    return None


RATES = st.floats(0, 0.997)
AMPLITUDES = st.floats(-6, 2).map(lambda power: 10**power)
BOUNDS = st.floats(-6, -1).map(lambda power: 10**power)


@settings(max_examples=150)
@given(rates=st.lists(RATES, min_size=1, max_size=2), amplitudes=st.tuples(AMPLITUDES, AMPLITUDES), bound=BOUNDS)
def test_what_remains_is_within_the_bound(rates, amplitudes, bound):
    """Of one or two exponentials nothing is hidden; and the rule does not wait much longer than it has to."""
    gains, remaining = gains_of(amplitudes[: len(rates)], rates)
    index = stop(gains, bound)
    assert index is None or remaining[index] <= 1.01 * bound
    needed = int(np.argmax(remaining <= bound))
    assert index is not None or remaining[-1] > bound / 2
    assert index is None or index <= max(needed, 3) + 60 or remaining[index - 1] > bound / 3


def test_three_exponentials():
    """Three are not fitted, but the rule still waits until the ratios have settled."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(200):
        gains, remaining = gains_of(10 ** rng.uniform(-3, 2, 3), rng.uniform(0, 0.99, 3))
        bound = 10 ** rng.uniform(-6, -2)
        worst = max(worst, remaining[stop(gains, bound)] / bound)
    assert worst <= 2


@pytest.mark.parametrize("slow", [1e-2, 1e-3, 1e-5])
def test_a_fast_direction_does_not_hide_a_slow_one(slow):
    """Aitken's estimate would stop in the fast phase: it takes the ratio of the gains for that of the slow tail."""
    gains, remaining = gains_of([1.0, slow], [0.3, 0.99])
    bound = 0.1 * slow / (1 - 0.99)
    aitken = gains[1:] ** 2 / (gains[:-1] - gains[1:])
    index = stop(gains, bound)
    assert np.argmax(aitken <= bound) + 1 < index
    assert remaining[index] <= 1.01 * bound


def test_growing_and_constant_gains_bound_nothing():
    for growth in (1.0, 1.001, 1.5):
        assert stop(1e-3 * growth ** np.arange(30.0), bound=0.1) is None
        assert remaining_gain(growth ** np.arange(4.0)) == math.inf


def test_a_plateau_is_left_before_the_rule_stops():
    """Small gains fall, grow a thousandfold as a saddle is left, and fall again."""
    t = np.arange(60)
    gains = np.concatenate(
        [1e-3 * 0.97**t, 1e-3 * 0.97**60 * 1.2**t, 1e-3 * 0.97**60 * 1.2**60 * 0.8 ** np.arange(400)]
    )
    remaining = gains[::-1].cumsum()[::-1] - gains
    index = stop(gains, 1e-4)
    assert index > 120
    assert remaining[index] <= 1.01e-4


def test_zero_gains():
    assert stop([0.0] * 10, 1e-6) == 3
    assert remaining_gain([1.0, 0.5, 0.1, 0.0]) == 0.0
    assert remaining_gain([0.0, 0.0, 0.0, 1.0]) == math.inf
    assert stop([-1e-13, 1e-13, 0.0, -1e-13], 1e-6) == 3  # rounding at the maximum


def test_a_bound_of_zero_never_stops():
    assert stop([*(0.1 ** np.arange(20.0)), *[0.0] * 100], 0.0) is None


def test_nan_never_stops():
    assert stop([math.nan] * 20, 1.0) is None


@pytest.mark.parametrize(
    ("amplitudes", "rates"), [((1.0,), (0.9,)), ((1.0, 0.01), (0.5, 0.95)), ((2.0, 1e-3), (0.9, 0.999))]
)
def test_remaining_gain_of_one_or_two_exponentials_is_exact(amplitudes, rates):
    gains, remaining = gains_of(amplitudes, rates)
    assert remaining_gain(gains[:4]) == pytest.approx(remaining[3], rel=1e-6)


def test_remaining_gain_by_hand():
    """1, 1/2, 1/4, 1/8: as much again is left as the last gain. With 8, 4, 2, 1.5 the last ratio is 3/4."""
    assert remaining_gain([1.0, 0.5, 0.25, 0.125]) == 0.125
    assert remaining_gain([8.0, 4.0, 2.0, 1.5]) >= 1.5 * 0.75 / 0.25
    assert remaining_gain([1.0, 0.5, 0.25, 0.125], negligible=0.125) == 0.0


def test_is_settled():
    assert is_settled([1.0, 0.5, 0.25, 0.125])
    assert is_settled([1.0, 0.9, 0.7, 0.4])  # ratios that fall hide nothing
    assert not is_settled([1.0, 0.1, 0.01, 0.009])
    assert is_settled([1.0, 0.1, 0.01, 0.0])


def test_small_gains_that_have_not_settled():
    """The last ratio has doubled: plain steps go on until it is known whether it rises further."""
    rule = RemainingGain(10.0)
    for gain in (1.0, 0.1, 0.01, 0.002):
        rule.record(gain, plain=True)
    assert remaining_gain(rule.gains) < 10
    assert not rule.converged
    assert rule.wants_plain_steps
    for gain in (0.0004, 0.00008):
        rule.record(gain, plain=True)
    assert rule.converged


def test_fewer_than_four_gains_are_not_enough():
    assert stop([1e-20] * 3, 1.0) is None


def test_gains_of_an_earlier_run_count():
    rule = RemainingGain(1e-3, (1e-6, 1e-7, 1e-8))
    rule.record(1e-9, plain=True)
    assert rule.converged


def test_accelerated_steps():
    """A large one changes nothing, a small one asks for plain steps, four of which decide."""
    rule = RemainingGain(1e-3)
    rule.record(1.0, plain=False)
    assert not rule.wants_plain_steps
    rule.record(1e-4, plain=False)
    assert rule.wants_plain_steps
    assert not rule.converged
    for gain in (1e-6, 1e-7, 1e-8):
        rule.record(gain, plain=True)
        assert rule.wants_plain_steps
        assert not rule.converged
    rule.record(1e-9, plain=True)
    assert rule.converged
    assert rule.gains == (1e-6, 1e-7, 1e-8, 1e-9)


def test_acceleration_goes_on_where_plain_steps_show_that_more_is_left():
    rule = RemainingGain(1e-3)
    rule.record(1e-4, plain=False)
    for gain in (1e-2, 0.99e-2, 0.98e-2, 0.97e-2):
        rule.record(gain, plain=True)
    assert not rule.wants_plain_steps
    assert not rule.converged


def test_an_accelerated_step_clears_the_gains():
    rule = RemainingGain(1e-3)
    for gain in (1e-6, 1e-7, 1e-8):
        rule.record(gain, plain=True)
    rule.record(1e-9, plain=False)
    assert rule.gains == ()
    assert not rule.converged
