"""Many starts, the best kept: full starts in parallel, or a race of short ones of which the best goes on.

References
----------
.. [1] Biernacki, C., Celeux, G. and Govaert, G. (2003). Choosing starting values for the EM algorithm for getting the
   highest likelihood in multivariate Gaussian mixture models. Comput. Stat. Data Anal. 41(3-4), 561-575. Section 3.4:
   short runs of EM, the best of which is continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from .acceleration import Accelerator
from .engine import Earlier, EMModel, EMResult, Stats, Step, UnusableStartError, best_of, run_em
from .executors import Executor, Serial, Threads

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)

N_SHORT_STARTS = 10
SHORT_STEPS = 10
N_FINALISTS = 3
N_REPAIRS = 2


class Problem(Protocol[Params, S]):
    """A model, its data, and what is special about them: starts and flaws."""

    model: EMModel[Params, S]
    source: Iterable[Any]
    sample: Iterable[Any]

    def draw(self, number: int, rng: np.random.Generator) -> Params:
        """Start `number` (from 0)."""

    def flaw(self, result: EMResult[Params, S]) -> str:
        """What makes a solution unfit for use, "" if nothing does."""

    def repair(self, result: EMResult[Params, S], rng: np.random.Generator) -> Params | None:
        """A new start from a solution with a flaw."""


@dataclass(frozen=True)
class Settings:
    """How to climb: see :func:`emkit.engine.run_em`."""

    tol: float
    max_iter: int
    accelerator: Callable[[], Accelerator | None]
    watch: Callable[[int], Callable[[Step, Any], bool] | None]
    n_jobs: int | None = None


class Run(NamedTuple, Generic[Params, S]):
    """The result of one start, its number, and the flaws that were repaired on the way."""

    number: int
    result: EMResult[Params, S]
    repaired: tuple[str, ...] = ()


class Search(NamedTuple, Generic[Params, S]):
    """The best run, and all of them in the order of their numbers."""

    best: Run[Params, S]
    runs: tuple[Run[Params, S], ...]


def climb(
    problem: Problem[Params, S],
    params: Params,
    number: int,
    settings: Settings,
    rng: np.random.Generator,
    executor: Executor | None = None,
    earlier: Earlier | None = None,
) -> Run[Params, S]:
    """Run EM to the end; where a solution has a flaw, seed it anew and run again, a few times."""

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
        )
        return replace(result, flaw=problem.flaw(result))

    result = run(params, settings.max_iter, earlier)
    repaired: tuple[str, ...] = ()
    while result.flaw and result.n_iter < settings.max_iter and len(repaired) < N_REPAIRS:
        start = problem.repair(result, rng)
        if start is None:
            break
        repaired = (*repaired, result.flaw)
        following = run(start, settings.max_iter - result.n_iter, None)
        result = _joined(result, following)
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


def full_starts(
    problem: Problem[Params, S], n_starts: int, settings: Settings, rng: np.random.Generator
) -> Search[Params, S]:
    """Run each start to the end, in up to `n_jobs` threads; processors that are left take chunks.

    Raises
    ------
    UnusableStartError
        If EM could not go on from any of the starts.
    """
    rngs = rng.spawn(n_starts)
    n_threads = min(effective_n_jobs(settings.n_jobs), n_starts)

    def run(number: int, executor: Executor | None) -> Run[Params, S] | UnusableStartError:
        try:
            return climb(problem, problem.draw(number, rngs[number]), number, settings, rngs[number], executor)
        except UnusableStartError as error:
            return error

    if n_threads == 1:
        with executor_for(settings.n_jobs) as executor:
            outcomes = [run(number, executor) for number in range(n_starts)]
    else:
        outcomes = Parallel(n_jobs=n_threads, prefer="threads")(delayed(run)(i, None) for i in range(n_starts))
    return _best_run(outcomes)


def race(problem: Problem[Params, S], settings: Settings, rng: np.random.Generator) -> Search[Params, S]:
    """Short runs on the sample ([1]_), the best of which is continued on the data; the next best if it has a flaw."""
    rngs = rng.spawn(N_SHORT_STARTS)

    def run(number: int) -> Run[Params, S] | UnusableStartError:
        try:
            params = problem.draw(number, rngs[number])
            result = run_em(
                problem.model, params, problem.sample, tol=settings.tol, max_iter=SHORT_STEPS, phase="short"
            )
            return Run(number, replace(result, flaw=problem.flaw(result)))
        except UnusableStartError as error:
            return error

    outcomes = Parallel(n_jobs=settings.n_jobs, prefer="threads")(delayed(run)(i) for i in range(N_SHORT_STARTS))
    runs = {run.number: run for run in outcomes if isinstance(run, Run)}
    finalists: list[Run[Params, S] | UnusableStartError] = []
    with executor_for(settings.n_jobs) as executor:
        for short in sorted(runs.values(), key=_rank, reverse=True)[:N_FINALISTS]:
            try:
                run_on = climb(problem, short.result.params, short.number, settings, rngs[short.number], executor)
            except UnusableStartError as error:
                finalists.append(error)
                continue
            history = (*short.result.history, *run_on.result.history)
            runs[short.number] = run_on._replace(result=replace(run_on.result, history=history))
            finalists.append(runs[short.number])
            if not run_on.result.flaw:
                break
    return Search(_best_run(finalists or list(outcomes)).best, tuple(runs.values()))


def executor_for(n_jobs: int | None) -> Threads | nullcontext[Serial]:
    """Context manager: how to sum over chunks with all processors that `n_jobs` allows."""
    n_threads = effective_n_jobs(n_jobs)
    return Threads(n_threads) if n_threads > 1 else nullcontext(Serial())


def _rank(run: Run[Params, S]) -> tuple[bool, float]:
    return not run.result.flaw, run.result.objective


def _best_run(outcomes: Sequence[Run[Params, S] | UnusableStartError]) -> Search[Params, S]:
    runs = tuple(outcome for outcome in outcomes if isinstance(outcome, Run))
    if not runs:
        raise next(outcome for outcome in outcomes if isinstance(outcome, UnusableStartError))
    best = best_of([run.result for run in runs])
    return Search(next(run for run in runs if run.result is best), runs)
