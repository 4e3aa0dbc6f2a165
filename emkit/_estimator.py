"""The only base class: what all estimators of emkit share between `fit` and the engine."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
from sklearn.utils import check_random_state

from . import selection
from ._blas import one_blas_thread
from ._compat import CallbackSupportMixin
from ._report import Report, history
from ._validation import check_choice, check_integer, check_n_init, check_n_jobs, check_number
from ._version import __version__
from ._warnings import DegenerateSolutionWarning, callers_level
from .acceleration import Accelerator, Adaptive, Anderson, Squarem
from .engine import Earlier
from .online import online_step
from .restarts import Plan, Problem, Search, Settings, Watch, both, no_memory, plan_of, run_one, search

CARRIED = ("n_features_in_", "feature_names_in_", "history_", "_earlier", "_fitted_type", "_flaw")
ACCELERATE = ("auto", "squarem", "anderson", False)


class EMEstimator(CallbackSupportMixin, BaseEstimator):
    """Restarts, acceleration, callbacks, history and pickling for every estimator."""

    _online_step = staticmethod(online_step)  # what `partial_fit` does with the statistics of a batch

    def _check_shared_params(self) -> None:
        self._check_n_components()
        check_number("tol", self.tol, 0)
        check_integer("max_iter", self.max_iter, 0)
        check_n_init(self.n_init)
        check_choice("accelerate", self.accelerate, ACCELERATE)
        check_integer("verbose", int(self.verbose) if isinstance(self.verbose, bool) else self.verbose, 0)
        check_choice("warm_start", getattr(self, "warm_start", False), (True, False))
        check_n_jobs(self.n_jobs)

    def _check_checkpoint(self) -> None:
        if not isinstance(self.checkpoint, str | os.PathLike | None):
            raise ValueError(f"checkpoint must be None, a file or a directory, but got {self.checkpoint!r}")

    def _check_n_components(self) -> None:
        check_integer("n_components", self.n_components, 1)

    def _random_generator(self) -> np.random.Generator:
        """From `random_state`: the same generator for the same integer, and one draw from a RandomState."""
        seed = self.random_state
        return np.random.default_rng(_numbers_from(seed) if isinstance(seed, int) else _drawn(seed))

    def _fit_attributes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _fitted_names(self)}

    def _blank_copy(self) -> Any:
        """A shallow copy without fitted attributes, to be fitted in the place of this one."""
        blank = copy.copy(self)
        for name in _fitted_names(blank):
            delattr(blank, name)
        return blank

    def _adopt(self, fitted: Any) -> None:
        """Take over the fitted attributes of a copy, all at once."""
        before = set(_fitted_names(self))
        own = {name: value for name, value in vars(self).items() if name not in before}
        self.__dict__ = {**own, **fitted._fit_attributes()}

    def _carry_over(self, owner: Any, *more: str) -> None:
        """Take the fitted attributes of `owner` that a batch leaves as they are, `more` among them.

        No step of a batch knows of a maximum, so that none has converged.
        """
        self.converged_ = False
        for name in (*CARRIED, *more):
            if hasattr(owner, name):
                setattr(self, name, getattr(owner, name))

    def _check_passes(self, X: Any, sample_weight: Any) -> None:
        """ValueError for what `fit_in_passes` cannot take, and what no batch alone would tell."""

    def _about_all_responses(self, responses: Callable[[], Iterable[Any]]) -> dict[str, Any]:
        """What `partial_fit` is to know of the responses of all batches, by name."""
        return {}

    def _fit_copy(self, fit: Callable[..., None], X: Any, **metadata: Any) -> Any:
        """Fit a copy and take over its attributes at the end, so that a failure leaves the estimator as it was."""
        context = self._open_callbacks(X, metadata)
        fitted = self._blank_copy()
        with one_blas_thread():
            fit(fitted, self, X, **metadata)
        self._adopt(fitted)
        self._close_callbacks(context)
        return self

    def _open_callbacks(self, X: Any, metadata: dict[str, Any]) -> Any:
        """The root context of scikit-learn's callbacks; None before scikit-learn 1.9."""
        context = self._init_callback_context(max_subtasks=None, sequential_subtasks=False)
        if context is not None:
            context.call_on_fit_task_begin(estimator=self, X=X, metadata=metadata)
        return context

    def _close_callbacks(self, context: Any) -> None:
        if context is not None:
            context.call_on_fit_task_end(estimator=self, reconstruction_attributes=dict)

    def _search(
        self,
        problem: Problem[Any, Any],
        n_starts: int | None,
        rng: np.random.Generator,
        owner: Any,
        publish: Callable[[Any], dict[str, Any]],
        start: Any = None,
        earlier: Earlier | None = None,
        plan: Callable[[int | None, Settings], Plan] = plan_of,
        also_watch: Watch | None = None,
        find: Callable[[Settings], Any] | None = None,
    ) -> Any:
        """Run EM from `start` if there is one, from `n_starts` starts, or (None) from the best of several short ones.

        `find` is another search in the place of these. The result is a `Search`, or what that one gives.
        `owner` is the estimator that the user holds, to whom callbacks speak; `publish` gives fitted attributes.
        """
        report = Report(owner, publish)
        watch = report.watch if also_watch is None else both(report.watch, also_watch)
        memory = self._checkpoint.next_run if hasattr(self, "_checkpoint") else no_memory
        settings = Settings(
            float(self.tol), self.max_iter, self._accelerator(problem.model), watch, self.n_jobs, memory
        )
        if start is not None:
            found = run_one(problem, start, settings, rng, earlier)
        else:
            find = find or (lambda settings: search(problem, plan(n_starts, settings), settings, rng))
            found = find(settings)
        report.close(found)
        return found

    def _accelerator(self, model: Any) -> Callable[[], Accelerator | None]:
        kind = self.accelerate
        if not kind or not getattr(model, "can_accelerate", False):
            return lambda: None
        return partial({"auto": Adaptive, "anderson": Anderson, "squarem": Squarem}[kind], model)

    def _record(self, search: Search[Any, Any], model: Any) -> None:
        """Set the fitted attributes that every estimator has, and warn of what the user should know."""
        result = search.best.result
        self.n_iter_ = result.n_iter
        self.n_e_steps_ = result.n_e_steps
        self.converged_ = result.converged
        self.objective_ = float(result.objective)
        self.n_parameters_ = model.n_free(result.params)
        self.history_ = history(search.runs)
        self._flaw = result.flaw  # "" for a sound solution; what ComponentSearch will not choose
        self._earlier = Earlier(result.objective, result.gains)
        self._warn_of_trouble(search)

    def _warn_of_trouble(self, search: Search[Any, Any]) -> None:
        best = search.best
        notes = [f"{flaw}; seeded anew" for flaw in best.repaired]
        notes += [best.result.flaw] if best.result.flaw else []
        notes += [
            f"start {run.number} was dropped: {run.result.flaw}"
            for run in search.runs
            if run.result.flaw and run is not best and self.n_init != "auto"
        ]
        self._warn_of_end(notes)

    def _warn_of_end(self, notes: list[str]) -> None:
        """Warn of what the user should know of a fit, `notes` among it."""
        if not self.converged_ and self.max_iter > 0 and self.tol > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, or increase "
                "max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=callers_level(),
            )
        if notes:
            warnings.warn("\n".join(notes), DegenerateSolutionWarning, stacklevel=callers_level())

    def bic(self, X, *, sample_weight=None):
        """Bayesian information criterion; lower is better. See :func:`emkit.selection.bic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        float
        """
        self._check_criterion("bic")
        return selection.bic(self, X, sample_weight=sample_weight)

    def aic(self, X, *, sample_weight=None):
        """Akaike's information criterion; lower is better. See :func:`emkit.selection.aic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        float
        """
        self._check_criterion("aic")
        return selection.aic(self, X, sample_weight=sample_weight)

    def icl(self, X, *, sample_weight=None):
        """Integrated completed likelihood; lower is better. See :func:`emkit.selection.icl`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        float
        """
        self._check_criterion("icl")
        return selection.icl(self, X, sample_weight=sample_weight)

    def _check_criterion(self, name: str) -> None:
        """ValueError if the model has no likelihood for the criterion of this name."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_emkit_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        pickled = state.pop("_emkit_version", "unknown")
        if pickled != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=__version__,
                    original_sklearn_version=pickled,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)


def _drawn(random_state: Any) -> np.ndarray:
    numbers: np.ndarray = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=4)
    return numbers


@lru_cache(maxsize=64)
def _numbers_from(seed: int) -> np.ndarray:
    """Kept, since a RandomState asks the system for entropy first, even where it is given a seed."""
    return _drawn(seed)


def _fitted_names(estimator: Any) -> list[str]:
    """Attributes that a fit sets: those that end with an underscore, and what it keeps for a later call."""
    kept = ("_online", "_earlier", "_fitted_type", "_state", "_flaw")
    return [name for name in vars(estimator) if (name.endswith("_") and name[0] != "_") or name in kept]
