"""Expectation-Maximization on one screen.

Every estimator of emkit is the same algorithm. The E-step turns a chunk of data into expected sufficient statistics
under the present parameters; statistics add over chunks, threads and time; the M-step turns their sum into new
parameters. :func:`run_em` is that loop, for every model, and the only one in the package.

References
----------
.. [1] Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM
   algorithm. JRSS B 39(1), 1-38. The objective never falls: their theorem 1.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from .acceleration import Accelerator, NoAcceleration
from .convergence import RemainingGain
from .executors import Executor, Serial


@dataclass(frozen=True)
class Stats:
    """Expected sufficient statistics of some rows; a subclass adds its own fields, floats or arrays.

    Attributes
    ----------
    objective : float
        Log-likelihood of the rows (or its lower bound) under the parameters of the E-step; natural log, summed.
    weight : float
        Sum of the rows' sample weights.
    """

    objective: float
    weight: float

    def __add__(self, other: Self) -> Self:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return replace(self, **sums)

    def __mul__(self, factor: float) -> Self:
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self)})

    __rmul__ = __mul__


MOST_SHORTENED = 30  # times that a step which goes too far is shortened

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)


class EMModel(Protocol[Params, S]):
    """What a model is: two pure steps over immutable parameters. See "Add a model" in the documentation.

    `monotone` says whether theory lets the objective only rise; the engine checks it if so. `rounding` is the relative
    error that rounding may make in the objective, a multiple of ``np.finfo(dtype).eps``.
    """

    @property
    def monotone(self) -> bool: ...

    def init_params(self, chunks: Iterable[Any], rng: np.random.Generator) -> Params:
        """Parameters to start from, drawn by `rng`."""

    def e_step(self, params: Params, chunk: Any) -> S:
        """Expected sufficient statistics of the rows of a chunk, with their log-likelihood, under `params`."""

    def m_step(self, stats: S, params: Params) -> Params:
        """Parameters that maximise what the statistics of all rows leave to maximise; `params` are those before."""

    def log_prior(self, params: Params) -> float:
        """What a prior adds to the objective, natural log; 0 without one."""

    def n_free(self, params: Params) -> int:
        """Number of free parameters, for BIC and AIC."""

    def rounding(self, params: Params) -> float:
        """Relative error that rounding may make in the objective."""


class VectorModel(EMModel[Params, S], Protocol[Params, S]):
    """A model whose parameters map to and from an unconstrained vector (p,), as acceleration needs.

    `can_accelerate` is false where steps move in jumps, so that nothing can be extrapolated. `from_vector` takes what
    the vector does not hold (fixed parameters) from `params`; None if no parameters answer to the vector, as when an
    extrapolation went out of range.
    """

    @property
    def can_accelerate(self) -> bool: ...

    def to_vector(self, params: Params) -> np.ndarray:
        """The free parameters as an unconstrained vector (p,)."""

    def from_vector(self, vector: np.ndarray, params: Params) -> Params | None:
        """The parameters of a vector; None if there are none."""


class SteppedModel(EMModel[Params, S], Protocol[Params, S]):
    """A model whose M-step is one step towards the maximum, as Newton's, which may go too far (if `takes_steps`).

    ``between(params, target)`` lies on the way from `params` to `target`, near enough to `params` if it is repeated.
    """

    @property
    def takes_steps(self) -> bool: ...
    def between(self, params: Params, target: Params) -> Params: ...


class Step(NamedTuple):
    """One iteration, as `history_` keeps it. `change` is the rise of the total objective; `seconds` since the start."""

    iteration: int
    objective: float
    change: float
    seconds: float
    phase: str


class Earlier(NamedTuple):
    """Where an earlier run ended: its objective and the gains of its last plain steps."""

    objective: float
    gains: tuple[float, ...]


@dataclass(frozen=True)
class EMResult(Generic[Params, S]):
    """What a run of EM gives.

    Attributes
    ----------
    params : Params
        The parameters.
    stats : Stats
        Statistics of all rows under `params`: the last pass is an E-step.
    objective : float
        Log-likelihood plus log prior of `params`; natural log, total.
    n_iter, n_e_steps : int
        M-steps, and passes over the data.
    converged : bool
        Whether the stop rule was met.
    history : tuple of Step
        One for each iteration, from the start on.
    gains : tuple of float
        Those of the last plain steps.
    flaw : str
        What makes the solution unfit for use, "" if nothing does; see :func:`best_of`.
    """

    params: Params
    stats: S
    objective: float
    n_iter: int
    n_e_steps: int
    converged: bool
    history: tuple[Step, ...]
    gains: tuple[float, ...] = ()
    flaw: str = ""


class ObjectiveFellWarning(RuntimeWarning):
    """The objective of a monotone model fell by more than rounding: a defect of the model or of its data."""


class UnusableStartError(ValueError):
    """EM cannot go on from a start, as when a covariance has become singular; the base of what a model raises."""


class Point(NamedTuple, Generic[Params, S]):
    params: Params
    stats: S
    objective: float


@dataclass
class Progress(Generic[Params, S]):
    """All that a run of EM has reached, so that another may go on from there to the same bits."""

    point: Point[Params, S]
    rule: RemainingGain
    accelerator: Accelerator
    history: list[Step]
    n_iter: int = 0
    n_e_steps: int = 1
    stopped: bool = False


class Memory(Protocol):
    """Where the progress of a run is kept: see :mod:`emkit.checkpoint`."""

    def load(self) -> Progress[Any, Any] | None: ...
    def save(self, progress: Progress[Any, Any]) -> None: ...


class NoMemory:
    """Nothing is kept."""

    def load(self) -> None:
        return None

    def save(self, progress: Progress[Any, Any]) -> None:
        pass


def run_em(
    model: EMModel[Params, S],
    params: Params,
    chunks: Iterable[Any],
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    accelerator: Accelerator | None = None,
    executor: Executor | None = None,
    watch: Callable[[Step, Params], bool] | None = None,
    phase: str = "em",
    earlier: Earlier | None = None,
    memory: Memory | None = None,
) -> EMResult[Params, S]:
    """Run EM from `params` until no more than `tol` can be gained, or for `max_iter` M-steps.

    Parameters
    ----------
    model : EMModel
        The two steps.
    params : Params
        The start.
    chunks : iterable of chunks
        Iterated once for each E-step, so it must be re-iterable.
    tol : float, default=1e-8
        Bound on the estimated *remaining* gain of the objective, per unit of total weight; natural log. 0 runs all
        `max_iter` steps.
    max_iter : int, default=1000
        Number of M-steps at most.
    accelerator : Accelerator or None, default=None
        Proposes a further point after each M-step; it is kept only if the objective rises. None is textbook EM.
    executor : Executor or None, default=None
        How the statistics of the chunks are summed; None is one after the other.
    watch : callable or None, default=None
        ``watch(step, params)`` is called after each E-step; a true result stops the run.
    phase : str, default="em"
        Name of plain steps in the history.
    earlier : Earlier or None, default=None
        The run that is continued; if it ended at the objective of `params`, its last gains count for the stop.
    memory : Memory or None, default=None
        Keeps what the run has reached after each pass; a run that it knows goes on from there, not from `params`.

    Returns
    -------
    EMResult

    Warns
    -----
    ObjectiveFellWarning
        If the model is monotone and a plain EM step lowers the objective by more than rounding.
    """
    accelerator = accelerator or NoAcceleration()
    executor, memory = executor or Serial(), memory or NoMemory()

    def evaluate(params: Params) -> Point[Params, S]:
        stats = executor.sum(partial(model.e_step, params), chunks)
        return Point(params, stats, stats.objective + model.log_prior(params))

    began = time.perf_counter()
    run = memory.load()
    if run is None:
        run = _begun(evaluate(params), tol, accelerator, earlier, time.perf_counter() - began)
        run.stopped = watch(run.history[0], params) if watch else False
        memory.save(run)
    else:
        began -= run.history[-1].seconds

    while run.n_iter < max_iter and not (run.rule.converged or run.stopped):
        point, accelerator = run.point, run.accelerator
        target = model.m_step(point.stats, point.params)
        run.n_iter += 1
        proposal = accelerator.propose(point.params, target)
        following, kind = None, phase
        if proposal is not None and not run.rule.wants_plain_steps:
            with suppress(UnusableStartError):
                following, kind = evaluate(proposal), accelerator.name
            run.n_e_steps += 1
            if following is None or not following.objective >= point.objective:  # a NaN is refused too
                accelerator.reject()
                following, kind = None, phase
        if following is None:
            following, n_tried = _plain_step(model, point, target, evaluate)
            run.n_e_steps += n_tried
            _warn_of_fall(model, point, following)
        gain = following.objective - point.objective
        run.rule.record(gain, plain=kind == phase)
        run.history.append(Step(run.n_iter, following.objective, gain, time.perf_counter() - began, kind))
        run.point = following
        run.stopped = watch(run.history[-1], following.params) if watch else False
        memory.save(run)

    return _ended(run)


def _begun(
    point: Point[Params, S], tol: float, accelerator: Accelerator, earlier: Earlier | None, seconds: float
) -> Progress[Params, S]:
    """A run after its first E-step."""
    continues = earlier is not None and math.isclose(earlier.objective, point.objective, rel_tol=1e-12)
    rule = RemainingGain(tol * point.stats.weight, earlier.gains if earlier and continues else ())
    return Progress(point, rule, accelerator, [Step(0, point.objective, np.nan, seconds, "start")])


def _ended(run: Progress[Params, S]) -> EMResult[Params, S]:
    return EMResult(*run.point, run.n_iter, run.n_e_steps, run.rule.converged, tuple(run.history), run.rule.gains)


def _plain_step(
    model: EMModel[Params, S], point: Point[Params, S], target: Params, evaluate: Callable[[Params], Point[Params, S]]
) -> tuple[Point[Params, S], int]:
    """The point that an M-step leads to, and how many E-steps that took.

    A step that goes too far is shortened; if it falls all the same, the step was rounding, and `point` is the end.
    """
    stepped: Any = model
    if not (model.monotone and getattr(stepped, "takes_steps", False)):
        return evaluate(target), 1
    for n_tried in range(1, MOST_SHORTENED + 1):
        with suppress(UnusableStartError):
            following = evaluate(target)
            if not _has_fallen(model, point, following):
                return following, n_tried
        target = stepped.between(point.params, target)
    return point, MOST_SHORTENED


def _has_fallen(model: EMModel[Params, S], before: Point[Params, S], after: Point[Params, S]) -> bool:
    """By more than rounding."""
    if after.objective >= before.objective:
        return False
    scale = abs(before.objective) + before.stats.weight
    return not after.objective >= before.objective - model.rounding(after.params) * scale


def _warn_of_fall(model: EMModel[Params, S], before: Point[Params, S], after: Point[Params, S]) -> None:
    if model.monotone and _has_fallen(model, before, after):
        warnings.warn(
            f"the objective fell from {before.objective!r} to {after.objective!r} in one EM step of {model!r}",
            ObjectiveFellWarning,
            stacklevel=3,
        )


def best_of(results: Sequence[EMResult[Params, S]]) -> EMResult[Params, S]:
    """Choose the result with the highest objective among those without a flaw; among all, if each has one.

    Parameters
    ----------
    results : sequence of EMResult
        One or more.

    Returns
    -------
    EMResult
        The first of equals.
    """
    return max(results, key=lambda r: (not r.flaw, -math.inf if math.isnan(r.objective) else r.objective))
