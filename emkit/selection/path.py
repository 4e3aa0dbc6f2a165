"""The path over K for one set of rows: each size from a division of the size before it, and from fresh starts.

A size is found in up to three steps: where rows are many, a race of a few steps on a sample of them; the winner on all
rows (both, without a race) until little is left to gain; and (`finish`) to the estimator's own tolerance, for those
that may be chosen.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._blas import one_blas_thread
from .._shared import End, Shared
from .._validation import shortened
from .._warnings import DegenerateSolutionWarning
from ..restarts import COARSE_TOL
from .data import Data
from .kinds import Kind, kind_of
from .steps import last_step, prepare

SCOUT_ROWS = 1_000  # from here on, starts are compared on a sample of so many rows
N_SCOUTS = 1  # fresh starts on a sample, where n_init="auto" and a division is tried too
FRESH_STEPS = 15  # of EM on the sample, after which the better is told
DIVISION_STEPS = 10
FEW_DIVISIONS = 2  # of a fit that are tried in a race
LONGEST_CITED = 400  # characters of an error, in which scikit-learn may cite all of X
FOLD_TOL = 1e-3  # remaining gain per unit of weight of fits that are only scored on other rows


@dataclass(frozen=True, eq=False)
class Fit:
    """One size of a path.

    Attributes
    ----------
    size : int
    estimator : estimator or None
        The fitted last step, with the parameters that the user gave; None if the fit failed.
    start : str
        "split" or "fresh"; "" if the fit failed.
    flaw : str
        What makes the solution unfit for use.
    failed : str
        Text of the error.
    seconds : float
    """

    size: int
    estimator: Any = None
    start: str = ""
    flaw: str = ""
    failed: str = ""
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        return self.estimator is not None and not self.flaw


@dataclass(frozen=True, eq=False)
class Path:
    """Fits of all sizes, the data that the last step saw, and the steps before it."""

    fits: list[Fit]
    fronts: list[Any]
    train: Data
    test: Data | None


def follow(
    estimator: Any,
    sizes: Sequence[int],
    train: Data,
    test: Data | None,
    seeds: Sequence[int],
    shared: Sequence[dict[str, Any]] | None = None,
) -> Path:
    """Fit all sizes to `train`. `shared` has for each size the start that stands for fresh ones."""
    with quiet(), one_blas_thread():
        try:
            fronts, train, test = prepare(estimator, train, test)
            own = last_step(estimator)
            train = kind_of(own).seen(own, train)
        except Exception as error:  # of a user's step: whatever it is, the table says it
            return Path([Fit(size, failed=text_of(error)) for size in sizes], [], train, test)
        climber = Climber(own, train, seeds[0], COARSE_TOL if test is None else FOLD_TOL)
        fits: list[Fit] = []
        for number, (size, seed) in enumerate(zip(sizes, seeds, strict=True)):
            before = [fit for fit in fits if fit.is_sound] or [fit for fit in fits if fit.estimator is not None]
            given = None if shared is None else shared[number]
            fits.append(climber.climb(size, seed, before[-1] if before else None, given))
    return Path(fits, fronts, train, test)


class Climber:
    """Fits sizes of one estimator to one set of rows."""

    def __init__(self, estimator: Any, data: Data, seed: int, tol: float) -> None:
        self._own = estimator
        self._tol = loosened(estimator, tol)
        self._kind: Kind = kind_of(estimator)
        self._data = data
        self._rows = self._sample(seed)
        self._few = data if self._rows is None else self._kind.seen(estimator, data.take(self._rows))
        self._max_iter = estimator.max_iter

    @property
    def _on_sample(self) -> bool:
        """Whether starts race on some of the rows, and only the winner is run on."""
        return self._rows is not None

    def _sample(self, seed: int) -> np.ndarray | None:
        """Rows on which starts are compared; None for all."""
        rows = np.flatnonzero(self._data.weight > 0)
        if not self._kind.has_own_rows or len(rows) <= SCOUT_ROWS:
            return None
        chosen: np.ndarray = np.sort(np.random.default_rng(seed).choice(rows, SCOUT_ROWS, replace=False))
        return chosen

    def climb(self, size: int, seed: int, before: Fit | None, shared: dict[str, Any] | None) -> Fit:
        """The better of a division of `before` and of fresh starts."""
        began = time.perf_counter()
        splits = before is not None and self._kind.splits
        tried = [self._attempt("fresh", size, self._fresh, size, seed, shared, splits)]
        if splits:
            tried.append(self._attempt("split", size, self._divided, before, size, seed))
        usable = [fit for fit in tried if fit.estimator is not None]
        ended = self._race(usable, size, seed) if self._on_sample else [self._checked(fit) for fit in usable]
        sound = [fit for fit in ended if fit.estimator is not None]
        if not sound:
            return replace((ended or tried)[0], seconds=time.perf_counter() - began)
        best = max(sound, key=self._rank)
        given = as_given(best.estimator, self._own, size)
        return replace(best, estimator=given, seconds=time.perf_counter() - began)

    def _race(self, scouts: list[Fit], size: int, seed: int) -> list[Fit]:
        """Run the best on, and the next only if that does not lead to a sound solution."""
        ended: list[Fit] = []
        for scout in sorted(scouts, key=self._rank, reverse=True):
            ended.append(self._checked(self._attempt(scout.start, size, self._run_on, scout.estimator, size, seed)))
            if ended[-1].is_sound:
                break
        return ended

    def _rank(self, fit: Fit) -> tuple[bool, float]:
        quality = self._kind.quality(fit.estimator, self._few)
        return not (fit.flaw or fit.estimator._flaw), quality if np.isfinite(quality) else -np.inf

    def _attempt(self, start: str, size: int, find: Any, *arguments: Any) -> Fit:
        try:
            return Fit(size, find(*arguments), start)
        except Exception as error:  # as above
            return Fit(size, failed=text_of(error))

    def _checked(self, fit: Fit) -> Fit:
        return fit if fit.estimator is None else replace(fit, flaw=flaw_of(fit.estimator, self._data))

    def _fresh(self, size: int, seed: int, shared: dict[str, Any] | None, splits: bool) -> Any:
        start = {} if shared is None else shared
        if self._rows is None:
            return self._fit(self._few, size, seed, **start)
        start = {name: value[self._rows] for name, value in start.items()}
        if splits and self._own.n_init == "auto":
            start["n_init"] = N_SCOUTS
        return self._fit(self._few, size, seed, **self._short(FRESH_STEPS), **start)

    def _short(self, steps: int) -> dict[str, Any]:
        """Plain steps: so few are not worth an extrapolation."""
        return {"max_iter": min(steps, self._max_iter), "accelerate": False}

    def _divided(self, before: Fit, size: int, seed: int) -> Any:
        """Divide components of `before`, one after the other, until there are `size`; then run on, without a race."""
        current, few = before.estimator, self._few
        for k in range(before.size + 1, size + 1):
            tried = []
            for start in self._kind.divisions(current, few)[: FEW_DIVISIONS if self._on_sample else None]:
                options = {**self._short(DIVISION_STEPS), **start}
                tried.append(self._attempt("split", k, lambda k=k, o=options: self._fit(few, k, seed, **o)))
            usable = [fit for fit in tried if fit.estimator is not None]
            if not usable:
                raise ValueError(tried[0].failed if tried else "no component could be divided")
            current = max(usable, key=self._rank).estimator
        return current if self._on_sample else self._run_on(current, size, seed)

    def _run_on(self, scout: Any, size: int, seed: int) -> Any:
        """On all rows, until little is left to gain."""
        data = self._data
        if self._rows is not None:
            return self._fit(data, size, seed, **self._kind.carried(scout, data))
        options = {"max_iter": self._max_iter, "accelerate": self._own.accelerate, "warm_start": True}
        return with_params(scout, options).fit(data.rows, data.y, **data.params)

    def _fit(self, data: Data, size: int, seed: int, **options: Any) -> Any:
        options = {"n_components": size, "tol": self._tol, "random_state": seed, **options}
        return with_params(self._own._blank_copy(), options).fit(data.rows, data.y, **data.params)


def with_params(estimator: Any, options: dict[str, Any]) -> Any:
    """`set_params` without its search for nested names, which takes as long as some steps of EM."""
    vars(estimator).update(options)
    return estimator


def loosened(estimator: Any, tol: float) -> float:
    """The tolerance of a fit that may be run on; the estimator's own where it cannot be, or is 0."""
    own = float(estimator.tol)
    return max(tol, own) if own > 0 and hasattr(estimator, "warm_start") else own


def flaw_of(fitted: Any, data: Data) -> str:
    """What makes a solution unfit for use, by the estimator's own account and by the kind's."""
    return fitted._flaw or kind_of(fitted).flaw(fitted, data)


def as_given(estimator: Any, own: Any, size: int) -> Any:
    """The fitted estimator with the user's parameters again; the seed stays the fit's."""
    given = own.get_params(deep=False)
    given.pop("random_state", None)
    return with_params(estimator, {**given, "n_components": size})


def finish(fit: Fit, own: Any, data: Data) -> Fit:
    """Run on to the estimator's own tolerance."""
    if loosened(own, COARSE_TOL) == own.tol:
        return fit
    with quiet():
        began = time.perf_counter()
        try:
            fitted = fit.estimator.set_params(warm_start=True).fit(data.rows, data.y, **data.params)
        except Exception as error:  # as above
            return replace(fit, failed=text_of(error), estimator=None)
        return replace(
            fit,
            estimator=as_given(fitted, own, fit.size),
            flaw=flaw_of(fitted, data),
            seconds=fit.seconds + time.perf_counter() - began,
        )


def _silence() -> End:
    filters = warnings.catch_warnings()
    filters.__enter__()
    for category in (ConvergenceWarning, DegenerateSolutionWarning):
        warnings.simplefilter("ignore", category)
    return partial(filters.__exit__, None, None, None)


quiet = Shared(_silence)  # what fits warn of stands in the table


def text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {shortened(str(error), LONGEST_CITED)}"
