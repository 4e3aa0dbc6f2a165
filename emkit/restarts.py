"""Many starts, the best kept.

Every start is first run on a sample of the rows, for some steps or until little is left to gain: most of what tells a
good start from a bad one shows there, at a fraction of the cost. Starts that lead to the same solution are counted
once, those that cannot win any more are left where they are, and the others are run to the end on all rows.

References
----------
.. [1] Biernacki, C., Celeux, G. and Govaert, G. (2003). Choosing starting values for the EM algorithm for getting the
   highest likelihood in multivariate Gaussian mixture models. Comput. Stat. Data Anal. 41(3-4), 561-575. Section 3.4:
   short runs of EM, the best of which is continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from joblib import Parallel, delayed

from .acceleration import Accelerator
from .engine import Earlier, EMModel, EMResult, Memory, Stats, Step, UnusableStartError, best_of, run_em
from .executors import Executor, executor_for

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)
T = TypeVar("T")

N_SHORT_STARTS = 10
SHORT_STEPS = 40
COARSE_TOL = 1e-4  # remaining gain per unit of weight at which solutions can be told apart
MARGIN = 30  # times the tolerance: by so much the estimate of the remaining gain may be off
N_FINALISTS = 3  # where the sample is not all there is
N_REPAIRS = 2


class Problem(Protocol[Params, S]):
    """A model, its data, and what is special about them: starts, flaws, and when two solutions are the same."""

    @property
    def model(self) -> EMModel[Params, S]: ...

    @property
    def source(self) -> Iterable[Any]:
        """All chunks."""

    @property
    def sample(self) -> Iterable[Any]:
        """Chunks of some rows; `source` itself where these are all."""

    def draw(self, number: int, rng: np.random.Generator) -> Params:
        """Start `number` (from 0)."""

    def carry_over(self, params: Params, rng: np.random.Generator, executor: Executor) -> Params:
        """A start on all chunks from where a run on the sample ended."""

    def flaw(self, result: EMResult[Params, S]) -> str:
        """What makes a solution unfit for use, "" if nothing does."""

    def repair(self, result: EMResult[Params, S], rng: np.random.Generator) -> Params | None:
        """A new start from a solution with a flaw."""

    def is_same(self, params: Params, other: Params) -> bool:
        """Whether two solutions are the same up to the order of their components, roughly."""


Watch = Callable[[int], Callable[[Step, Any], bool] | None]  # of a start's number: what the engine calls
Memories = Callable[[int], Memory | None]  # of a start's number: where its next run is kept


def no_memory(number: int) -> None:
    return None


def both(one: Watch, other: Watch) -> Watch:
    """Two that watch; a run stops if either says so."""

    def watch(number: int) -> Callable[[Step, Any], bool] | None:
        listeners = [listener for listener in (one(number), other(number)) if listener is not None]
        return lambda step, params: sum(listener(step, params) for listener in listeners) > 0  # all of them listen

    return watch


class Interrupt:
    """Watches runs in other threads, and stops them once an error or the user has ended the search they belong to."""

    def __init__(self) -> None:
        self.came = False

    def watch(self, number: int) -> Callable[[Step, Any], bool]:
        return lambda step, params: self.came


@dataclass(frozen=True)
class Settings:
    """How to climb: see :func:`emkit.engine.run_em`."""

    tol: float
    max_iter: int
    accelerator: Callable[[], Accelerator | None]
    watch: Watch
    n_jobs: int | None = None
    memory: Memories = no_memory


class Run(NamedTuple, Generic[Params, S]):
    """The result of one start, its number, and the flaws that were repaired on the way."""

    number: int
    result: EMResult[Params, S]
    repaired: tuple[str, ...] = ()


class Search(NamedTuple, Generic[Params, S]):
    """The best run, and all of them in the order of their numbers."""

    best: Run[Params, S]
    runs: tuple[Run[Params, S], ...]


class Heat(NamedTuple):
    """A part of the race: the best `n_starts` are run until `tol` or `max_iter`, extrapolated or not."""

    n_starts: int
    tol: float
    max_iter: int
    accelerate: bool


class Plan(NamedTuple):
    """The heats on the sample, one after the other; then only the best goes on, or all that may win.

    Where the sample is not all there is, the best `n_finalists` of it are compared on all rows first.
    """

    heats: tuple[Heat, ...]
    only_best: bool
    n_finalists: int = N_FINALISTS


def plan_of(n_starts: int | None, settings: Settings) -> Plan:
    """That of a number of full starts, or of "auto" (None)."""
    return short_starts(settings) if n_starts is None else full_starts(n_starts, settings)


def short_starts(settings: Settings) -> Plan:
    """Some steps each ([1]_), the best few until little is left to gain, and of these only the best to the end."""
    short = Heat(N_SHORT_STARTS, settings.tol, min(SHORT_STEPS, settings.max_iter), False)
    return Plan((short, _coarse(N_FINALISTS, settings)), only_best=True)


def full_starts(n_starts: int, settings: Settings) -> Plan:
    """Each start is run until little is left to gain, and to the end if it may still win."""
    return Plan((_coarse(n_starts, settings),), only_best=False)


def _coarse(n_starts: int, settings: Settings) -> Heat:
    return Heat(n_starts, max(COARSE_TOL, settings.tol) if settings.tol > 0 else 0.0, settings.max_iter, True)


def search(problem: Problem[Params, S], plan: Plan, settings: Settings, rng: np.random.Generator) -> Search[Params, S]:
    """Carry out a plan, starts in up to `n_jobs` threads first, then chunks.

    Raises
    ------
    UnusableStartError
        If EM could not go on from any of the starts.
    """
    interrupt = Interrupt()
    try:
        return _search(problem, plan, replace(settings, watch=both(settings.watch, interrupt.watch)), rng)
    except BaseException:  # KeyboardInterrupt too
        interrupt.came = True
        raise


def _search(problem: Problem[Params, S], plan: Plan, settings: Settings, rng: np.random.Generator) -> Search[Params, S]:
    n_starts = plan.heats[0].n_starts
    rngs = rng.spawn(n_starts)
    _ = problem.sample  # made before threads ask for it
    place = {"prefer": "threads"} if settings.memory is no_memory else {"require": "sharedmem"}
    parallel = Parallel(n_jobs=settings.n_jobs, **place)
    draws = parallel(delayed(_try)(_draw, problem, number, rngs[number]) for number in range(n_starts))
    field: list[Any] = [_Start(number, params) for number, params in _distinct(problem, _usable(draws))]
    runs: dict[int, Run[Params, S]] = {}
    for heat in plan.heats:
        outcomes = parallel(delayed(_try)(_scout, problem, heat, settings, run) for run in field[: heat.n_starts])
        runs.update({run.number: run for run in _usable(outcomes)})
        left_behind = [run for run in field[heat.n_starts :] if isinstance(run, Run)]
        field = _field(problem, _usable(outcomes)) + left_behind
    finalists: list[Run[Params, S] | UnusableStartError] = []
    with executor_for(settings.n_jobs) as executor:
        contenders, reserve = _contenders(problem, plan, field, executor)
        for run in (*contenders, *reserve):
            if len(finalists) >= len(contenders) and _is_enough(finalists, len(contenders)):
                break
            finalists.append(_try(_run_on, problem, plan.heats[-1], run, settings, rngs[run.number], executor))
            if isinstance(finalists[-1], Run):
                runs[run.number] = finalists[-1]
    return Search(_best_run(_usable(finalists)), tuple(runs.values()))


def run_one(
    problem: Problem[Params, S],
    params: Params,
    settings: Settings,
    rng: np.random.Generator,
    earlier: Earlier | None = None,
) -> Search[Params, S]:
    """The only start there is, on all rows from the beginning."""
    with executor_for(settings.n_jobs) as executor:
        run = climb(problem, params, 0, settings, rng, executor, earlier)
    return Search(run, (run,))


def _try(function: Callable[..., T], *arguments: Any) -> T | UnusableStartError:
    try:
        return function(*arguments)
    except UnusableStartError as error:
        return error


def _usable(outcomes: Sequence[T | UnusableStartError]) -> list[T]:
    """The outcomes that are no errors; if all are, the first is raised."""
    usable = [outcome for outcome in outcomes if not isinstance(outcome, UnusableStartError)]
    if not usable:
        raise next(outcome for outcome in outcomes if isinstance(outcome, UnusableStartError))
    return usable


def _draw(problem: Problem[Params, S], number: int, rng: np.random.Generator) -> tuple[int, Params]:
    return number, problem.draw(number, rng)


class _Start(NamedTuple):
    """What stands for a run before its first heat."""

    number: int
    params: Any


def _scout(
    problem: Problem[Params, S], heat: Heat, settings: Settings, entry: _Start | Run[Params, S]
) -> Run[Params, S]:
    """Run a start, or run it on, in one heat."""
    before, params = (entry.result, entry.result.params) if isinstance(entry, Run) else (None, entry.params)
    result = run_em(
        problem.model,
        params,
        problem.sample,
        tol=heat.tol,
        max_iter=heat.max_iter - (before.n_iter if before else 0),
        accelerator=settings.accelerator() if heat.accelerate else None,
        watch=settings.watch(entry.number),
        earlier=Earlier(before.objective, before.gains) if before else None,
        memory=settings.memory(entry.number),
    )
    if problem.sample is not problem.source:  # these steps are not on the data
        steps = tuple(step._replace(phase="sample") for step in result.history)
        result = replace(result, n_iter=0, n_e_steps=0, history=steps, gains=())
    result = replace(result, flaw=problem.flaw(result))
    return Run(entry.number, _joined(before, result) if before else result)


def _field(problem: Problem[Params, S], runs: list[Run[Params, S]]) -> list[Run[Params, S]]:
    """The runs that lead to distinct solutions, the best first, those with a flaw last.

    Of runs to the same solution the first is kept, whatever rounding makes of their objectives, so that the order of
    the components does not hang on it.
    """
    distinct = _distinct(problem, [(run, run.result.params) for run in sorted(runs, key=lambda run: run.number)])
    return sorted((run for run, _ in distinct), key=_rank, reverse=True)


def _distinct(problem: Problem[Params, S], pairs: list[tuple[Any, Params]]) -> list[tuple[Any, Params]]:
    """The pairs (name, params) whose parameters are not those of a pair before."""
    distinct: list[tuple[Any, Params]] = []
    for name, params in pairs:
        if not any(problem.is_same(params, other) for _, other in distinct):
            distinct.append((name, params))
    return distinct


def _contenders(
    problem: Problem[Params, S], plan: Plan, field: list[Run[Params, S]], executor: Executor
) -> tuple[list[Run[Params, S]], list[Run[Params, S]]]:
    """The runs that may win, and the others, in case that none of the first leads to a sound solution; best first."""
    margin = MARGIN * plan.heats[-1].tol * field[0].result.stats.weight
    reserve: list[Run[Params, S]] = []
    if problem.sample is not problem.source:
        reserve = field[plan.n_finalists :]
        field, margin = _on_all_rows(problem, field[: plan.n_finalists], executor)
    if plan.only_best:
        return field[:1], field[1:] + reserve
    best = field[0].result
    may_win = [
        not (run.result.flaw and not best.flaw)
        and (run.result.objective >= best.objective - margin or not run.result.converged)
        for run in field
    ]
    contenders = [run for run, may in zip(field, may_win, strict=True) if may]
    return contenders, [run for run, may in zip(field, may_win, strict=True) if not may] + reserve


def _on_all_rows(
    problem: Problem[Params, S], runs: list[Run[Params, S]], executor: Executor
) -> tuple[list[Run[Params, S]], float]:
    """The runs with their objective on all rows, the best first, and by how much that may still change.

    Parameters estimated from m of n rows lose about n_free / 2 * n / m of the maximum.
    """
    small = runs[0].result.stats.weight
    scored = []
    for run in runs:
        whole = run_em(problem.model, run.result.params, problem.source, max_iter=0, executor=executor)
        scored.append(run._replace(result=replace(run.result, objective=whole.objective, stats=whole.stats)))
    scored.sort(key=_rank, reverse=True)
    best = scored[0].result
    loss = problem.model.n_free(best.params) / 2 * best.stats.weight / small
    return scored, loss + MARGIN * COARSE_TOL * best.stats.weight


def _run_on(
    problem: Problem[Params, S],
    heat: Heat,
    run: Run[Params, S],
    settings: Settings,
    rng: np.random.Generator,
    executor: Executor,
) -> Run[Params, S]:
    """Continue a run on all rows to the end."""
    first = run.result
    is_done = first.converged and heat.tol <= settings.tol and problem.sample is problem.source
    if is_done and not first.flaw:
        return run
    left = replace(settings, max_iter=settings.max_iter - first.n_iter)
    start = first.params
    if problem.sample is not problem.source:
        start = problem.carry_over(start, rng, executor)
    second = climb(problem, start, run.number, left, rng, executor, Earlier(first.objective, first.gains))
    return second._replace(result=_joined(first, second.result))


def climb(
    problem: Problem[Params, S],
    params: Params,
    number: int,
    settings: Settings,
    rng: np.random.Generator,
    executor: Executor | None = None,
    earlier: Earlier | None = None,
) -> Run[Params, S]:
    """Run EM on all rows to the end; where a solution has a flaw, seed it anew and run again, a few times."""

    def run(params: Params, max_iter: int, earlier: Earlier | None) -> EMResult[Params, S]:
        result = run_em(
            problem.model,
            params,
            problem.source,
            tol=settings.tol,
            max_iter=max_iter,
            accelerator=settings.accelerator(),
            executor=executor,
            watch=settings.watch(number),
            earlier=earlier,
            memory=settings.memory(number),
        )
        return replace(result, flaw=problem.flaw(result))

    result = run(params, settings.max_iter, earlier)
    repaired: tuple[str, ...] = ()
    while result.flaw and result.n_iter < settings.max_iter and len(repaired) < N_REPAIRS:
        start = problem.repair(result, rng)
        if start is None:
            break
        repaired = (*repaired, result.flaw)
        result = _joined(result, run(start, settings.max_iter - result.n_iter, None))
    return Run(number, result, repaired)


def _joined(first: EMResult[Params, S], second: EMResult[Params, S]) -> EMResult[Params, S]:
    """The second run as the continuation of the first."""
    steps = (step._replace(iteration=first.n_iter + step.iteration) for step in second.history)
    return replace(
        second,
        n_iter=first.n_iter + second.n_iter,
        n_e_steps=first.n_e_steps + second.n_e_steps,
        history=(*first.history, *steps),
    )


def _rank(run: Run[Params, S]) -> tuple[bool, float]:
    return not run.result.flaw, run.result.objective


def _is_enough(finalists: Sequence[Run[Params, S] | UnusableStartError], n_contenders: int) -> bool:
    """A sound solution, or enough attempts at one."""
    usable = [run for run in finalists if isinstance(run, Run)]
    is_sound = any(not run.result.flaw for run in usable)
    return is_sound or len(usable) >= max(n_contenders, N_FINALISTS)


def _best_run(runs: Sequence[Run[Params, S]]) -> Run[Params, S]:
    best = best_of([run.result for run in runs])
    return next(run for run in runs if run.result is best)
