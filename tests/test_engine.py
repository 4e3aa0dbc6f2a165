"""The loop against textbook EM, on Hasselblad's death notices: a mixture of two Poisson distributions.

Hasselblad, V. (1969). Estimation of finite mixtures of distributions from the exponential family. JASA 64(328),
1459-1471. The maximum of the likelihood as in Varadhan and Roland (2008), section 7: weight 0.3599, means 1.256 and
2.663, log-likelihood -1989.946.
"""

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln
from scipy.stats import poisson

from emkit.chunks import Rows
from emkit.engine import (
    MOST_SHORTENED,
    Earlier,
    EMResult,
    ObjectiveFellWarning,
    Stats,
    UnusableStartError,
    best_of,
    run_em,
)
from emkit.executors import Threads

DAYS = np.arange(10.0)
NOTICES = np.array([162.0, 267, 271, 185, 111, 61, 27, 8, 3, 1])
MAXIMUM = -1989.9458599


class PoissonParams(NamedTuple):
    weights: np.ndarray  # (2,)
    means: np.ndarray  # (2,)


@dataclass(frozen=True)
class PoissonStats(Stats):
    counts: np.ndarray  # (2,)
    sums: np.ndarray  # (2,)


class PoissonMixture:
    """Mixture of Poisson distributions; `calls` counts E-steps of chunks."""

    monotone = True

    def __init__(self):
        self.calls = 0

    def init_params(self, chunks, rng):
        return PoissonParams(np.array([0.5, 0.5]), rng.uniform(0.5, 5, 2))

    def e_step(self, params, chunk):
        self.calls += 1
        log_joint = np.log(params.weights) + chunk.X * np.log(params.means) - params.means - gammaln(chunk.X + 1)
        with np.errstate(invalid="ignore"):  # tests propose NaN
            log_total = np.logaddexp.reduce(log_joint, axis=1)
        resp = np.exp(log_joint - log_total[:, None]) * chunk.weight[:, None]
        objective = float(chunk.weight @ log_total)
        return PoissonStats(objective, float(chunk.weight.sum()), resp.sum(axis=0), chunk.X[:, 0] @ resp)

    def m_step(self, stats, params):
        return PoissonParams(stats.counts / stats.counts.sum(), stats.sums / stats.counts)

    def log_prior(self, params):
        return 0.0

    def n_free(self, params):
        return 3

    def rounding(self, params):
        return 1e-13

    def to_vector(self, params):
        return np.log([params.weights[0] / params.weights[1], *params.means])

    def from_vector(self, vector, params):
        if np.abs(vector).max() > 50:
            return None
        first = 1 / (1 + np.exp(-vector[0]))
        return PoissonParams(np.array([first, 1 - first]), np.exp(vector[1:]))


START = PoissonParams(np.array([0.3, 0.7]), np.array([1.0, 2.5]))
CHUNKS = [Rows(DAYS[part, None], NOTICES[part]) for part in (slice(0, 3), slice(3, 4), slice(4, 10))]


def textbook_em(n_steps):
    """EM on the table, without chunks, statistics or logarithms."""
    weights, means = START
    for _ in range(n_steps):
        joint = weights * poisson.pmf(DAYS[:, None], means)
        resp = joint / joint.sum(axis=1, keepdims=True)
        expected = NOTICES @ resp
        weights, means = expected / NOTICES.sum(), (NOTICES * DAYS) @ resp / expected
    return weights, means


def log_likelihood(params):
    return NOTICES @ np.log(poisson.pmf(DAYS[:, None], params.means) @ params.weights)


class CountingSource:
    def __init__(self, chunks):
        self.chunks, self.passes = chunks, 0

    def __iter__(self):
        self.passes += 1
        return iter(self.chunks)


class Proposals:
    """An accelerator that proposes what it is told: a list of parameters or None."""

    name = "told"

    def __init__(self, *proposals):
        self.proposals, self.seen, self.n_rejected = list(proposals), [], 0

    def propose(self, params, target):
        self.seen.append((params, target))
        return self.proposals.pop(0) if self.proposals else None

    def reject(self):
        self.n_rejected += 1


@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 60])
def test_steps_are_those_of_the_textbook(n_steps):
    result = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=n_steps)
    weights, means = textbook_em(n_steps)
    assert_allclose(result.params.weights, weights, rtol=1e-12)
    assert_allclose(result.params.means, means, rtol=1e-12)
    assert result.n_iter == n_steps
    assert not result.converged


def test_published_maximum():
    result = run_em(PoissonMixture(), START, CHUNKS, tol=1e-12, max_iter=10_000)
    assert result.converged
    assert result.objective == pytest.approx(MAXIMUM, abs=1e-6)
    assert_allclose(result.params.weights, [0.3599, 0.6401], atol=6e-5)
    assert_allclose(result.params.means, [1.2561, 2.6634], atol=6e-5)


@pytest.mark.parametrize("n_steps", [0, 1, 5])
def test_objective_and_statistics_are_those_of_the_params_returned(n_steps):
    result = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=n_steps)
    stats = PoissonMixture().e_step(result.params, Rows(DAYS[:, None], NOTICES))
    assert result.objective == pytest.approx(log_likelihood(result.params), rel=1e-13)
    assert_allclose(result.stats.counts, stats.counts, rtol=1e-13)
    assert_allclose(result.stats.sums, stats.sums, rtol=1e-13)
    assert result.stats.weight == NOTICES.sum()


def test_history():
    result = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=4, phase="plain")
    objectives = [log_likelihood(PoissonParams(*textbook_em(n))) for n in range(5)]
    assert [step.iteration for step in result.history] == [0, 1, 2, 3, 4]
    assert [step.phase for step in result.history] == ["start", *["plain"] * 4]
    assert_allclose([step.objective for step in result.history], objectives, rtol=1e-12)
    assert np.isnan(result.history[0].change)
    assert_allclose([step.change for step in result.history[1:]], np.diff(objectives), atol=1e-9)
    assert_array_equal(result.gains, [step.change for step in result.history[1:]])
    assert all(np.diff([step.seconds for step in result.history]) >= 0)


@pytest.mark.parametrize("n_steps", [0, 1, 6])
def test_one_pass_for_each_e_step(n_steps):
    model, source = PoissonMixture(), CountingSource(CHUNKS)
    result = run_em(model, START, source, tol=0, max_iter=n_steps)
    assert result.n_e_steps == source.passes == model.calls / len(CHUNKS) == n_steps + 1


def test_start_is_left_as_it_was():
    run_em(PoissonMixture(), START, CHUNKS, max_iter=3)
    assert_array_equal(START.weights, [0.3, 0.7])
    assert_array_equal(START.means, [1.0, 2.5])


def test_executor_makes_no_difference():
    with Threads(2) as threads:
        result = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=9, executor=threads)
    serial = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=9)
    assert result.objective == serial.objective
    assert_array_equal(result.params.means, serial.params.means)


@pytest.mark.parametrize("stop_at", [0, 1, 3])
def test_watch_stops(stop_at):
    seen = []

    def watch(step, params):
        seen.append((step, params))
        return step.iteration == stop_at

    result = run_em(PoissonMixture(), START, CHUNKS, watch=watch)
    assert result.n_iter == stop_at
    assert not result.converged
    assert tuple(step for step, _ in seen) == result.history
    assert_allclose(seen[-1][1].means, textbook_em(stop_at)[1], rtol=1e-12)
    assert seen[-1][1] is result.params


def test_tol_bounds_what_is_left_per_unit_of_weight():
    heavy = [Rows(chunk.X, 1000 * chunk.weight) for chunk in CHUNKS]
    for tol in (1e-7, 1e-9):
        result, other = (run_em(PoissonMixture(), START, c, tol=tol, max_iter=10_000) for c in (CHUNKS, heavy))
        assert result.converged
        assert abs(result.n_iter - other.n_iter) <= 2  # rounding
        assert MAXIMUM - result.objective <= 1.1 * tol * NOTICES.sum()


class WithPrior(PoissonMixture):
    """Gamma(2, 1) for the means."""

    def log_prior(self, params):
        return float(np.sum(np.log(params.means) - params.means))

    def m_step(self, stats, params):
        return super().m_step(stats, params)._replace(means=(stats.sums + 1) / (stats.counts + 1))


def test_objective_includes_the_prior():
    model = WithPrior()
    result = run_em(model, START, CHUNKS, tol=0, max_iter=30)
    assert result.objective == pytest.approx(log_likelihood(result.params) + model.log_prior(result.params), rel=1e-13)
    assert all(step.change >= 0 for step in result.history[1:])


class WrongStep(PoissonMixture):
    def m_step(self, stats, params):
        return super().m_step(stats, params)._replace(means=stats.sums / stats.counts * 1.1)


def test_a_fall_warns():
    with pytest.warns(ObjectiveFellWarning, match="fell from -.* in one EM step of .*WrongStep"):
        result = run_em(WrongStep(), START, CHUNKS, tol=0, max_iter=5)
    assert result.n_iter == 5
    assert result.objective < log_likelihood(START)


def test_no_warning_without_a_claim_to_monotony():
    model = WrongStep()
    model.monotone = False
    run_em(model, START, CHUNKS, tol=0, max_iter=5)  # a warning would be an error


def test_a_fall_within_rounding_does_not_warn():
    model = WrongStep()
    model.rounding = lambda params: 1.0
    run_em(model, START, CHUNKS, tol=0, max_iter=1)
    fall = log_likelihood(START) - run_em(model, START, CHUNKS, tol=0, max_iter=1).objective
    scale = abs(log_likelihood(START)) + NOTICES.sum()
    assert fall > 0
    model.rounding = lambda params: 1.001 * fall / scale
    run_em(model, START, CHUNKS, tol=0, max_iter=1)
    model.rounding = lambda params: 0.999 * fall / scale
    with pytest.warns(ObjectiveFellWarning):
        run_em(model, START, CHUNKS, tol=0, max_iter=1)


def test_an_objective_that_is_no_number_warns():
    class ToNan(PoissonMixture):
        def m_step(self, stats, params):
            return PoissonParams(np.full(2, np.nan), params.means)

    with pytest.warns(ObjectiveFellWarning, match="to nan"):
        run_em(ToNan(), START, CHUNKS, tol=0, max_iter=1)


BETTER = PoissonParams(np.array([0.36, 0.64]), np.array([1.2561, 2.6634]))
WORSE = PoissonParams(np.array([0.5, 0.5]), np.array([1.0, 9.0]))
NO_NUMBER = PoissonParams(np.array([0.5, 0.5]), np.array([np.nan, 9.0]))


def test_a_proposal_that_rises_is_kept():
    accelerator = Proposals(BETTER)
    result = run_em(PoissonMixture(), START, CHUNKS, tol=0, max_iter=1, accelerator=accelerator)
    assert result.params is BETTER
    assert (result.n_iter, result.n_e_steps, accelerator.n_rejected) == (1, 2, 0)
    assert result.history[1].phase == "told"
    assert result.gains == ()  # those of plain steps alone
    params, target = accelerator.seen[0]
    assert params is START
    assert_allclose(target.means, textbook_em(1)[1], rtol=1e-12)


@pytest.mark.parametrize("proposal", [WORSE, NO_NUMBER])
def test_a_proposal_that_does_not_rise_is_refused(proposal):
    accelerator, model = Proposals(proposal), PoissonMixture()
    result = run_em(model, START, CHUNKS, tol=0, max_iter=1, accelerator=accelerator)
    assert_allclose(result.params.means, textbook_em(1)[1], rtol=1e-12)
    assert (result.n_iter, result.n_e_steps, accelerator.n_rejected) == (1, 3, 1)
    assert result.n_e_steps == model.calls / len(CHUNKS)
    assert result.history[1].phase == "em"


def test_a_continued_run_remembers_its_last_gains():
    model = PoissonMixture()
    whole = run_em(model, START, CHUNKS, tol=1e-9, max_iter=10_000)
    assert whole.converged
    assert len(whole.gains) == 4
    assert run_em(model, whole.params, CHUNKS, tol=1e-9).n_iter == 4  # without memory as many steps as the rule needs
    earlier = Earlier(whole.objective, whole.gains)
    assert run_em(model, whole.params, CHUNKS, tol=1e-9, earlier=earlier).n_iter <= 2  # rounding may cost one
    elsewhere = Earlier(whole.objective * (1 + 1e-9), whole.gains)
    assert run_em(model, whole.params, CHUNKS, tol=1e-9, earlier=elsewhere).n_iter == 4


def test_a_run_in_two_parts_is_the_run_in_one():
    model = PoissonMixture()
    whole = run_em(model, START, CHUNKS, tol=1e-7, max_iter=10_000)
    part = run_em(model, START, CHUNKS, tol=1e-7, max_iter=whole.n_iter - 2)
    rest = run_em(model, part.params, CHUNKS, tol=1e-7, earlier=Earlier(part.objective, part.gains))
    assert not part.converged
    assert rest.converged
    assert rest.n_iter == 2
    assert_array_equal(rest.params.means, whole.params.means)


# --- steps that go too far ---


class FarStep(PoissonMixture):
    """Goes `factor` times as far as EM, in vectors; `targets` are what `between` gave."""

    takes_steps = True

    def __init__(self, factor):
        super().__init__()
        self.factor, self.targets = factor, []

    def m_step(self, stats, params):
        target = super().m_step(stats, params)
        here, there = self.to_vector(params), self.to_vector(target)
        return self.at(here + self.factor * (there - here))

    def at(self, vector):
        first = 1 / (1 + np.exp(-vector[0]))
        return PoissonParams(np.array([first, 1 - first]), np.exp(vector[1:]))

    def between(self, params, target):
        self.targets.append(self.at(0.5 * (self.to_vector(params) + self.to_vector(target))))
        return self.targets[-1]


def at_step(factor):
    model = FarStep(factor)
    stats = model.e_step(START, Rows(DAYS[:, None], NOTICES))
    return model.m_step(stats, START)


def test_a_step_that_goes_too_far_is_halved():
    """Eight times the first EM step falls, and so do four; two do not."""
    assert log_likelihood(at_step(4)) < log_likelihood(START) < log_likelihood(at_step(2))
    model = FarStep(8)
    result = run_em(model, START, CHUNKS, tol=0, max_iter=1)  # a warning would be an error
    assert_allclose(result.params.means, at_step(2).means, rtol=1e-12)
    assert result.objective == pytest.approx(log_likelihood(at_step(2)), rel=1e-13)
    assert (result.n_iter, result.n_e_steps) == (1, 4)
    assert result.n_e_steps == model.calls / len(CHUNKS)
    assert result.history[1].phase == "em"
    assert result.history[1].change == pytest.approx(log_likelihood(at_step(2)) - log_likelihood(START), rel=1e-9)


def test_a_step_that_does_not_fall_is_left_as_it_is():
    model = FarStep(2)
    result = run_em(model, START, CHUNKS, tol=0, max_iter=1)
    assert_allclose(result.params.means, at_step(2).means, rtol=1e-12)
    assert (result.n_e_steps, model.targets) == (2, [])


def test_steps_that_go_too_far_still_find_the_maximum():
    result = run_em(FarStep(2.5), START, CHUNKS, tol=0, max_iter=1000)
    assert result.n_e_steps > 1.1 * result.n_iter
    assert result.objective == pytest.approx(MAXIMUM, abs=1e-6)
    objectives = [step.objective for step in result.history]
    assert (np.diff(objectives) >= -1e-12 * abs(MAXIMUM)).all()


@pytest.mark.parametrize("name", ["takes_steps", "monotone"])
def test_no_step_is_shortened_where_none_is_taken_or_no_rise_is_promised(name):
    model = FarStep(8)
    setattr(model, name, False)
    if name == "monotone":
        result = run_em(model, START, CHUNKS, tol=0, max_iter=1)
    else:
        with pytest.warns(ObjectiveFellWarning):
            result = run_em(model, START, CHUNKS, tol=0, max_iter=1)
    assert_allclose(result.params.means, at_step(8).means, rtol=1e-12)
    assert (result.n_e_steps, model.targets) == (2, [])


class Refusing(FarStep):
    """Has no E-step for means above `most`; or one that is no number."""

    most, error = 4.0, True

    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        if params.means.max() <= self.most:
            return stats
        if self.error:
            raise UnusableStartError("too large")
        return replace(stats, objective=np.nan)


@pytest.mark.parametrize("error", [True, False])
def test_a_step_to_where_nothing_can_be_computed_is_halved(error):
    model = Refusing(8)
    model.error, model.most = error, 1.0001 * at_step(2).means.max()
    result = run_em(model, START, CHUNKS, tol=0, max_iter=1)
    assert_allclose(result.params.means, at_step(2).means, rtol=1e-12)
    assert (result.n_iter, result.n_e_steps) == (1, 4)


class Downhill(FarStep):
    """All points on the way lie lower, by more than the model says that rounding may be."""

    def m_step(self, stats, params):
        return PoissonParams(params.weights, 1.5 * params.means)

    def between(self, params, target):
        self.targets.append(target)
        return target


def test_a_step_that_falls_however_short_is_the_end():
    model = Downhill(1)
    result = run_em(model, BETTER, CHUNKS, tol=1e-9, max_iter=50)  # a warning would be an error
    assert result.params is BETTER
    assert result.objective == pytest.approx(log_likelihood(BETTER), rel=1e-13)
    assert result.converged
    assert [step.change for step in result.history[1:]] == [0.0] * result.n_iter
    assert result.n_e_steps == 1 + MOST_SHORTENED * result.n_iter == model.calls / len(CHUNKS)
    assert len(model.targets) == MOST_SHORTENED * result.n_iter


def test_a_step_that_falls_within_rounding_is_not_shortened():
    model = FarStep(4)
    fall = log_likelihood(START) - log_likelihood(at_step(4))
    scale = abs(log_likelihood(START)) + NOTICES.sum()
    model.rounding = lambda params: 1.001 * fall / scale
    result = run_em(model, START, CHUNKS, tol=0, max_iter=1)
    assert_allclose(result.params.means, at_step(4).means, rtol=1e-12)
    assert (result.n_e_steps, model.targets) == (2, [])


def test_a_step_is_shortened_after_a_proposal_was_refused():
    accelerator = Proposals(WORSE)
    result = run_em(FarStep(8), START, CHUNKS, tol=0, max_iter=1, accelerator=accelerator)
    assert_allclose(result.params.means, at_step(2).means, rtol=1e-12)
    assert (result.n_e_steps, accelerator.n_rejected, result.history[1].phase) == (5, 1, "em")
    assert_allclose(accelerator.seen[0][1].means, at_step(8).means, rtol=1e-12)


def result_of(objective, flaw=""):
    return EMResult(START, PoissonStats(objective, 1.0, START[0], START[1]), objective, 1, 2, True, (), flaw=flaw)


def test_best_of():
    results = [result_of(-3.0), result_of(-1.0, "collapsed"), result_of(-2.0), result_of(-2.0)]
    assert best_of(results) is results[2]
    assert best_of([result_of(-3.0, "a"), results[1], result_of(-9.0, "b")]) is results[1]
    assert best_of([results[1], results[0]]) is results[0]


def test_best_of_leaves_out_what_is_no_number():
    assert best_of([result_of(np.nan), result_of(-1.0)]).objective == -1.0


def test_statistics_add_and_multiply_field_by_field():
    stats = PoissonStats(-1.0, 2.0, np.array([1.0, 3.0]), np.array([5.0, 7.0]))
    total = stats + replace(stats, objective=-4.0, sums=np.array([1.0, 1.0]))
    assert (total.objective, total.weight) == (-5.0, 4.0)
    assert_array_equal(total.counts, [2, 6])
    assert_array_equal(total.sums, [6, 8])
    for third in (stats * 0.25, 0.25 * stats):
        assert isinstance(third, PoissonStats)
        assert (third.objective, third.weight) == (-0.25, 0.5)
        assert_array_equal(third.counts, [0.25, 0.75])
        assert_array_equal(third.sums, [1.25, 1.75])
    assert_array_equal(stats.counts, [1, 3])


def test_no_warning_at_the_maximum():
    """Rounding alone moves the objective there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_em(PoissonMixture(), BETTER, CHUNKS, tol=0, max_iter=2500)
