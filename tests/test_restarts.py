"""Searches over starts, on a landscape of hills whose heights, flaws and repairs are known."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from emkit import restarts
from emkit.chunks import Rows
from emkit.engine import Earlier, Stats, UnusableStartError, run_em
from emkit.restarts import (
    N_FINALISTS,
    N_REPAIRS,
    N_SHORT_STARTS,
    Settings,
    climb,
    full_starts,
    run_one,
    search,
    short_starts,
)


class Place(NamedTuple):
    hill: int
    distance: np.ndarray  # (), from the top


class Hills:
    """On hill h, EM halves the distance to the top, which has height `heights[h]`, per unit of weight.

    Of rows that hold a 1, hill `mirage` is 10 higher.
    """

    monotone = True

    def __init__(self, heights, abyss=(), mirage=None):
        self.heights, self.abyss, self.mirage = heights, abyss, mirage

    def e_step(self, params, chunk):
        if params.hill in self.abyss and params.distance < 1e-3:
            raise UnusableStartError(f"hill {params.hill}")
        weight = float(chunk.weight.sum())
        higher = 10.0 * float(chunk.X.sum()) * (params.hill == self.mirage)
        return Stats(weight * (self.heights[params.hill] - float(params.distance) ** 2) + higher, weight)

    def m_step(self, stats, params):
        return params._replace(distance=params.distance / 2)

    def log_prior(self, params):
        return 0.0

    def n_free(self, params):
        return 1

    def rounding(self, params):
        return 1e-13


@dataclass
class Landscape:
    """A problem in the sense of `emkit.restarts`: start i is drawn on hill i, or as `draws` says."""

    heights: list
    flawed: tuple = ()  # hills whose top is a flaw
    repairs: dict = field(default_factory=dict)  # hill: where a repair leads
    abyss: tuple = ()  # hills on which EM cannot go on
    draws: list = field(default_factory=list)  # of hills, for each start
    rows: int = 20
    sampled: int = 0  # rows in the sample; 0 is all
    mirage: int | None = None  # a hill that is higher on the rows of the sample

    def __post_init__(self):
        self.model = Hills(self.heights, self.abyss, self.mirage)
        in_sample = (np.arange(self.rows) < self.sampled).astype(float)
        self.source = [Rows(in_sample[:, None], np.ones(self.rows))]
        self.sample = [self.source[0].take(np.arange(self.sampled))] if self.sampled else self.source
        self.drawn, self.generators = [], []

    def draw(self, number, rng):
        self.drawn.append((number, rng.random()))
        self.generators.append(rng)
        hill = self.draws[number] if self.draws else number % len(self.heights)
        return Place(hill, np.array(1.0 + number / 100))

    def carry_over(self, params, rng, executor):
        return params

    def flaw(self, result):
        return f"flaw of hill {result.params.hill}" if result.params.hill in self.flawed else ""

    def repair(self, result, rng):
        hill = self.repairs.get(result.params.hill)
        return None if hill is None else Place(hill, np.array(1.0))

    def is_same(self, params, other):
        return params.hill == other.hill and abs(params.distance - other.distance) < 1e-6


def settings(tol=1e-8, max_iter=100, n_jobs=None, watch=lambda number: None):
    return Settings(tol, max_iter, lambda: None, watch, n_jobs)


def find(problem, plan=None, n_starts=5, seed=0, **options):
    options = settings(**options)
    plan = full_starts(n_starts, options) if plan is None else plan(options)
    return search(problem, plan, options, np.random.default_rng(seed))


def test_full_starts_find_the_highest_hill():
    found = find(Landscape([1.0, 5.0, 3.0, 4.0, 2.0]))
    assert found.best.result.params.hill == found.best.number == 1
    assert found.best.result.converged
    assert found.best.result.objective == pytest.approx(100, abs=20 * 1e-8)
    assert [run.number for run in found.runs] == [0, 1, 2, 3, 4]


def test_full_starts_prefer_a_solution_without_a_flaw():
    found = find(Landscape([1.0, 5.0, 3.0, 4.0, 2.0], flawed=(1, 3)))
    assert found.best.result.params.hill == 2
    assert found.best.result.flaw == ""
    assert found.runs[1].result.flaw == "flaw of hill 1"
    assert found.runs[1].result.params.distance > 1e-3  # no time is spent on it


def test_if_all_have_flaws_the_highest_is_taken():
    found = find(Landscape([1.0, 5.0, 3.0], flawed=(0, 1, 2)), n_starts=3)
    assert found.best.result.params.hill == 1
    assert found.best.result.flaw == "flaw of hill 1"


def summary(found):
    return [
        (run.number, run.repaired, run.result.params, run.result.objective, run.result.n_iter, run.result.n_e_steps)
        for run in (found.best, *found.runs)
    ]


@pytest.mark.parametrize("plan", [None, short_starts])
@pytest.mark.parametrize("sampled", [0, 7])
def test_results_do_not_depend_on_n_jobs(plan, sampled):
    searches, draws = [], []
    for n_jobs in (None, 1, 2, 3):
        problem = Landscape([1.0, 5.0, 3.0, 4.9999, 2.0, 5.0], flawed=(1,), repairs={1: 2}, abyss=(5,), sampled=sampled)
        searches.append(summary(find(problem, plan, n_starts=6, n_jobs=n_jobs)))
        draws.append(sorted(problem.drawn))
    assert all(found == searches[0] for found in searches[1:])
    assert all(drawn == draws[0] for drawn in draws[1:])


def test_each_start_has_its_own_generator():
    """So that it does not matter which thread comes first."""
    problem = Landscape([1.0, 2.0])
    find(problem, n_starts=4)
    assert len({value for _, value in problem.drawn}) == 4
    assert len({id(rng) for rng in problem.generators}) == 4


def test_equal_starts_are_run_once():
    problem = Landscape([1.0, 2.0], draws=[0, 0, 1, 1, 1])
    problem.is_same = lambda params, other: params.hill == other.hill
    assert [run.number for run in find(problem).runs] == [0, 2]


def test_starts_that_cannot_win_are_left_where_they_are():
    watched = []

    def watch(number):
        return lambda step, params: watched.append((number, step.iteration, float(params.distance))) or False

    found = find(Landscape([1.0, 5.0, 3.0]), n_starts=3, watch=watch)
    ends = {number: distance for number, _, distance in watched}
    assert ends[1] < 1e-3
    assert ends[0] > 1e-3 < ends[2]
    assert found.best.number == 1


def test_of_nearly_equal_hills_each_is_climbed_to_the_top():
    """At the coarse tolerance the order of the first two is not known yet."""
    found = find(Landscape([5.0, 5.0 + 1e-6, 3.0]), n_starts=3)
    assert found.best.number == 1
    assert found.runs[0].result.converged


@pytest.mark.parametrize("plan", [None, short_starts])
def test_a_start_that_leads_nowhere_is_left_out(plan):
    found = find(Landscape([1.0, 5.0, 3.0], abyss=(1,)), plan, n_starts=3)
    assert found.best.result.params.hill == 2


@pytest.mark.parametrize("plan", [None, short_starts])
def test_a_flaw_that_shows_late(plan):
    problem = Landscape([1.0, 5.0, 3.0])
    problem.flaw = lambda result: "late" if result.params.hill == 1 and result.params.distance < 1e-3 else ""
    best = find(problem, plan, n_starts=3).best.result
    assert best.params.hill == 2
    assert best.converged


@pytest.mark.parametrize("plan", [None, short_starts])
def test_a_start_that_cannot_be_drawn_is_left_out(plan):
    class Undrawable(Landscape):
        def draw(self, number, rng):
            if number % 3 == 1:
                raise UnusableStartError("drawn in vain")
            return super().draw(number, rng)

    assert find(Undrawable([1.0, 5.0, 3.0], draws=[0, 1, 2] * 4), plan, n_starts=3).best.result.params.hill == 2


@pytest.mark.parametrize("tol", [1e-2, 1e-3])
def test_converged_with_the_last_step(tol):
    n_iter = climb_from(Landscape([1.0]), 0, tol=tol).result.n_iter
    result = find(Landscape([1.0]), n_starts=1, tol=tol, max_iter=n_iter).best.result
    assert result.n_iter == n_iter
    assert result.converged


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("plan", [None, short_starts])
def test_all_starts_lead_nowhere(plan, n_jobs):
    with pytest.raises(UnusableStartError, match="hill"):
        find(Landscape([1.0, 5.0, 3.0], abyss=(0, 1, 2)), plan, n_starts=3, n_jobs=n_jobs)


def test_short_starts_continue_the_best(monkeypatch):
    monkeypatch.setattr(restarts, "SHORT_STEPS", 3)
    heights = [float(i % 7) for i in range(N_SHORT_STARTS)]
    heights[1] = 9.0
    found = find(Landscape(heights, draws=list(range(N_SHORT_STARTS))), short_starts)
    best = found.best.result
    assert best.params.hill == 1
    assert best.converged
    assert len(found.runs) == N_SHORT_STARTS
    steps = sorted(run.result.n_iter for run in found.runs)
    assert steps[: -restarts.N_FINALISTS] == [3] * (N_SHORT_STARTS - restarts.N_FINALISTS)
    assert min(steps[-restarts.N_FINALISTS :]) > 3
    assert best.n_iter == max(steps)
    assert best.objective == pytest.approx(20 * 9, abs=20 * 1e-8)


def test_short_starts_go_on_with_the_next_if_the_best_has_a_flaw():
    found = find(Landscape([1.0, 5.0, 3.0], flawed=(1,)), short_starts)
    assert found.best.result.params.hill == 2
    assert found.best.result.converged


def test_short_starts_give_up_after_some_failures(monkeypatch):
    """The last resort of a race is the best of its finalists."""
    monkeypatch.setattr(restarts, "SHORT_STEPS", 3)
    heights = [float(i) for i in range(N_SHORT_STARTS)]
    found = find(Landscape(heights, flawed=tuple(range(N_SHORT_STARTS))), short_starts)
    assert found.best.result.params.hill == N_SHORT_STARTS - 1
    assert sum(run.result.converged for run in found.runs) == N_FINALISTS


@pytest.mark.parametrize("plan", [None, short_starts])
def test_a_sample_chooses_and_all_rows_decide(plan):
    problem = Landscape([1.0, 5.0, 3.0], sampled=5, rows=20)
    found = find(problem, plan, n_starts=3)
    best = found.best.result
    assert best.params.hill == 1
    assert best.stats.weight == 20
    assert best.objective == pytest.approx(100, abs=20 * 1e-8)
    phases = [step.phase for step in best.history]
    assert "sample" in phases
    assert set(phases[phases.index("start") :]) == {"start", "em"}
    on_data = [step for step in best.history if step.phase != "sample"]
    assert best.n_iter == on_data[-1].iteration == len(on_data) - 1


@pytest.mark.parametrize("plan", [None, short_starts])
def test_the_best_of_the_sample_need_not_be_the_best(plan):
    """Hill 0 is 11 high on the rows of the sample, 5 of 20, and 3.5 on all."""
    best = find(Landscape([1.0, 5.0, 3.0], sampled=5, rows=20, mirage=0), plan, n_starts=3).best.result
    assert best.params.hill == 1
    assert best.objective == pytest.approx(100, abs=20 * 1e-8)


@pytest.mark.parametrize("plan", [None, short_starts])
@pytest.mark.parametrize("max_iter", [0, 1, 3, 12])
def test_max_iter(plan, max_iter):
    found = find(Landscape([1.0, 5.0, 3.0]), plan, n_starts=3, tol=0, max_iter=max_iter)
    assert found.best.result.n_iter == max_iter
    assert found.best.result.history[-1].iteration == max_iter
    assert all(run.result.n_iter <= max_iter for run in found.runs)
    assert not found.best.result.converged


def test_history_counts_on():
    best = find(Landscape([1.0, 5.0])).best.result
    iterations = [step.iteration for step in best.history]
    assert iterations == sorted(iterations)
    assert iterations[-1] == best.n_iter
    assert best.n_e_steps >= best.n_iter + 1
    objectives = [step.objective for step in best.history]
    assert objectives == sorted(objectives)


# Climbing: one start, with repairs


def climb_from(problem, hill, **options):
    place = Place(hill, np.array(1.0))
    return climb(problem, place, 7, settings(**options), np.random.default_rng(0))


def test_climb_without_a_flaw_is_run_em():
    problem = Landscape([1.0, 5.0])
    run = climb_from(problem, 0)
    plain = run_em(problem.model, Place(0, np.array(1.0)), problem.source, tol=1e-8, max_iter=100)
    assert (run.number, run.repaired) == (7, ())
    assert run.result.objective == plain.objective
    assert run.result.n_iter == plain.n_iter


def test_climb_repairs_a_flaw():
    """The second climb continues the first: its steps, passes and history count on."""
    problem = Landscape([1.0, 5.0], flawed=(1,), repairs={1: 0})
    run = climb_from(problem, 1)
    result, alone = run.result, climb_from(problem, 0).result
    assert run.repaired == ("flaw of hill 1",)
    assert result.params.hill == 0
    assert result.flaw == ""
    assert result.converged
    first = run_em(problem.model, Place(1, np.array(1.0)), problem.source, tol=1e-8)
    assert result.n_iter == first.n_iter + alone.n_iter
    assert result.n_e_steps == first.n_e_steps + alone.n_e_steps
    assert [step.phase for step in result.history].count("start") == 2
    assert result.history[-1].iteration == result.n_iter


def test_climb_gives_up_after_some_repairs():
    run = climb_from(Landscape([1.0, 5.0, 3.0], flawed=(0, 1, 2), repairs={1: 2, 2: 0, 0: 1}), 1, max_iter=1000)
    assert run.repaired == ("flaw of hill 1", "flaw of hill 2")
    assert len(run.repaired) == N_REPAIRS
    assert run.result.flaw == "flaw of hill 0"


def test_a_flaw_that_nothing_repairs():
    run = climb_from(Landscape([1.0, 5.0], flawed=(1,)), 1)
    assert run.repaired == ()
    assert run.result.flaw == "flaw of hill 1"


def test_repairs_share_max_iter():
    problem = Landscape([1.0, 5.0], flawed=(1,), repairs={1: 0})
    n_iter = run_em(problem.model, Place(1, np.array(1.0)), problem.source, tol=1e-8).n_iter
    assert climb_from(problem, 1, max_iter=n_iter + 3).result.n_iter == n_iter + 3
    spent = climb_from(problem, 1, max_iter=n_iter)
    assert spent.repaired == ()
    assert spent.result.flaw == "flaw of hill 1"


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_run_one(n_jobs):
    problem = Landscape([1.0, 5.0], sampled=3)
    found = run_one(problem, Place(1, np.array(1.0)), settings(n_jobs=n_jobs), np.random.default_rng(0))
    assert found.runs == (found.best,)
    assert found.best.number == 0
    assert found.best.result.stats.weight == 20
    assert {step.phase for step in found.best.result.history} == {"start", "em"}


def test_run_one_continues_an_earlier_run():
    problem = Landscape([1.0, 5.0])
    first = climb_from(problem, 1).result
    earlier = Earlier(first.objective, first.gains)
    again = run_one(problem, first.params, settings(), np.random.default_rng(0), earlier).best.result
    assert again.converged
    assert again.n_iter == 1
