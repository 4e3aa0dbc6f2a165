"""The number of components found in one fit: from many to few by merging, the size of least BIC kept.

A descent begins with many components around seeds that are spread over the rows. EM is run until little is left to
gain, the two components that lose least by it are merged, and so on down to one. Each size has its likelihood, and
with it its BIC; the best is run on to the end. So many components first and few later find maxima that starts of the
right size often miss.

Figueiredo and Jain ([1]_) descend too, but let a message length decide what is left. On simulated mixtures it kept
too many components, and BIC did not; see the user guide.

References
----------
.. [1] Figueiredo, M. A. T. and Jain, A. K. (2002). Unsupervised learning of finite mixture models. IEEE Trans. PAMI
   24(3), 381-396.
.. [2] Schwarz, G. (1978). Estimating the dimension of a model. Ann. Statist. 6(2), 461-464.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .._report import SIZE
from ..acceleration import Accelerator
from ..engine import Earlier, EMResult, Step, run_em
from ..executors import Executor, executor_for
from ..families.covariance import Covariance
from ..mixture.model import MixtureModel, MixtureParams, MixtureStats
from ..mixture.noise import gaussians_of, with_gaussians
from ..mixture.problem import MixtureProblem
from ..restarts import COARSE_TOL, Run, Settings, climb
from .merging import one_fewer

LARGEST = 25
TIMES_FULL_RANK = 2  # rows for each component at first, in units of what its covariance needs to have full rank
LEAST_FLOOR = 1e-6  # on the way down, whatever `reg_covar`
MARGIN = 2  # on all rows the descent begins at so many times the size that is best on a sample
SIZES = np.dtype([("n_components", "i8"), ("objective", "f8"), ("bic", "f8"), ("is_sound", "?")])

AcceleratorOf = Callable[[MixtureModel], Callable[[], Accelerator | None]]


class Size(NamedTuple):
    """What EM found with some number of components."""

    model: MixtureModel
    result: EMResult[MixtureParams, MixtureStats]

    @property
    def n_components(self) -> int:
        return gaussians_of(self.model.family).n_components

    @property
    def bic(self) -> float:
        """Of the likelihood, or of the classification likelihood for hard assignment ([2]_); lower is better."""
        n_free, weight = self.model.n_free(self.result.params), self.result.stats.weight
        return n_free * math.log(weight) - 2 * self.result.objective

    @property
    def rank(self) -> tuple[bool, float]:
        """The least is best: a degenerate solution only if there is no other."""
        return bool(self.result.flaw), self.bic


class Descent(NamedTuple):
    """What every search tells (see `emkit.restarts.Search`), and all sizes of the best descent, as `SIZES`."""

    best: Run[MixtureParams, MixtureStats]
    runs: tuple[Run[MixtureParams, MixtureStats], ...]
    sizes: np.ndarray


class Trail(NamedTuple):
    """The sizes of one descent: on a sample of the rows (none where it is all there is), and on all rows."""

    on_sample: list[Size]
    on_all: list[Size]

    @property
    def best(self) -> Size:
        return _best(self.on_all)

    @property
    def history(self) -> tuple[Step, ...]:
        told = [step._replace(phase="sample") for size in self.on_sample for step in size.result.history]
        told += [
            step._replace(phase=f"{SIZE}{size.n_components}") for size in self.on_all for step in size.result.history
        ]
        return tuple(step._replace(iteration=place) for place, step in enumerate(told))


def largest_size(covariance: Covariance, n_features: int, weight: float) -> int:
    """How many components a descent begins with, for rows of a total weight."""
    rank = 2 if covariance.shared else covariance.rows_of_full_rank(n_features)
    rows_each = TIMES_FULL_RANK * rank
    return int(max(1, min(LARGEST, weight // rows_each)))


def with_size(model: MixtureModel, k: int) -> MixtureModel:
    """The same with k Gaussians."""
    return replace(model, family=with_gaussians(model.family, n_components=k))


def descend(
    settings: Settings,
    problem: MixtureProblem,
    n_descents: int,
    accelerator_of: AcceleratorOf,
    rng: np.random.Generator,
) -> Descent:
    """Descend from some starts, and run the best size of all on to the end."""
    rngs = rng.spawn(n_descents)
    with executor_for(settings.n_jobs) as executor:
        trails = [
            _descent(problem, number, _Climber(settings, accelerator_of, executor, number, settings.watch(number)), rng)
            for number, rng in enumerate(rngs)
        ]
        best = min(range(n_descents), key=lambda number: trails[number].best.rank)
        runs = [Run(number, replace(trail.best.result, history=trail.history)) for number, trail in enumerate(trails)]
        runs[best] = _to_the_end(problem, trails[best], best, settings, accelerator_of, rngs[best], executor)
    return Descent(runs[best], tuple(runs), _table(trails[best].on_all))


@dataclass(frozen=True)
class _Climber:
    """How a descent climbs at each size."""

    settings: Settings
    accelerator_of: AcceleratorOf
    executor: Executor
    number: int
    watch: Callable[[Step, Any], bool] | None

    def sizes(self, model: MixtureModel, params: MixtureParams, chunks: Iterable[Any]) -> list[Size]:
        """From the parameters down to one component, or to where a listener stops."""
        sizes = [self._climb(model, params, chunks)]
        while sizes[-1].n_components > 1 and not self._was_stopped(sizes[-1].result):
            last = sizes[-1]
            sizes.append(self._climb(*one_fewer(last.model, last.result.params, last.result.stats), chunks))
        return sizes

    def _climb(self, model: MixtureModel, params: MixtureParams, chunks: Iterable[Any]) -> Size:
        result = run_em(
            model,
            params,
            chunks,
            tol=max(COARSE_TOL, self.settings.tol),
            max_iter=self.settings.max_iter,
            accelerator=self.accelerator_of(model)(),
            executor=self.executor,
            watch=self.watch,
            memory=self.settings.memory(self.number),
        )
        stats = result.stats
        flaw = model.family.flaw(result.params.components, stats.counts, stats.weight, model.fixed)
        return Size(model, replace(result, flaw=flaw))

    def _was_stopped(self, result: EMResult[MixtureParams, MixtureStats]) -> bool:
        return not result.converged and result.n_iter < self.settings.max_iter


def _descent(problem: MixtureProblem, number: int, climber: _Climber, rng: np.random.Generator) -> Trail:
    """Descend on the sample; where that is not all there is, again on all rows, from more than what was best."""
    floor = max(gaussians_of(problem.model.family).floor, LEAST_FLOOR)
    model = replace(problem.model, family=with_gaussians(problem.model.family, floor=floor))
    sizes = climber.sizes(model, problem.draw(number, rng), problem.sample)
    if problem.sample is problem.source:
        return Trail([], sizes)
    most = MARGIN * _best(sizes).n_components
    begin = next(size for size in sizes if size.n_components <= most)
    return Trail(sizes, climber.sizes(begin.model, begin.result.params, problem.source))


def _to_the_end(
    problem: MixtureProblem,
    trail: Trail,
    number: int,
    settings: Settings,
    accelerator_of: AcceleratorOf,
    rng: np.random.Generator,
    executor: Executor,
) -> Run[MixtureParams, MixtureStats]:
    """Run the best size on, as any other start of its size."""
    first = trail.best.result
    model = with_size(problem.model, trail.best.n_components)
    settings = replace(settings, accelerator=accelerator_of(model))
    earlier = Earlier(first.objective, first.gains)
    run = climb(problem.of(model), first.params, number, settings, rng, executor, earlier)
    before = trail.history
    steps = (step._replace(iteration=len(before) + step.iteration) for step in run.result.history)
    return run._replace(result=replace(run.result, history=tuple(chain(before, steps))))


def _best(sizes: list[Size]) -> Size:
    return min(sizes, key=lambda size: size.rank)


def _table(sizes: list[Size]) -> np.ndarray:
    rows = [(size.n_components, size.result.objective, size.bic, not size.result.flaw) for size in sizes]
    return np.array(rows, dtype=SIZES)
