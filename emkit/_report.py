"""What an estimator tells of its fit while it runs and afterwards: callbacks, log, history."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .engine import Step
from .restarts import Run, Search

logger = logging.getLogger("emkit")

HISTORY = np.dtype(
    [("start", "i8"), ("iteration", "i8"), ("objective", "f8"), ("change", "f8"), ("seconds", "f8"), ("phase", "U12")]
)

SIZE = "K="  # begins the phase of steps with a number of components that need not be kept


class Report:
    """Tells callbacks and the log what the engine does; silent, and free of cost, where nobody listens."""

    def __init__(self, owner: Any, publish: Callable[[Any], dict[str, Any]]) -> None:
        self._owner = owner
        self._publish = publish
        self._verbose = int(owner.verbose)
        self._root: Any = getattr(owner, "_callback_fit_ctx", None)
        self._starts: dict[int, Any] = {}
        if self._verbose and not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler(sys.stdout))
            logger.setLevel(logging.INFO)

    def watch(self, number: int) -> Callable[[Step, Any], bool] | None:
        """What the engine is to call after each step of start `number`."""
        context = self._start_context(number)
        if context is None and self._verbose < 2:
            return None

        def watch(step: Step, params: Any) -> bool:
            if self._verbose >= 2:
                logger.info("start %d, %s %d: objective %.10g", number, step.phase, step.iteration, step.objective)
            if context is None:
                return False
            attributes = partial(self._publish, params)
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self._owner)
            return bool(task.call_on_fit_task_end(estimator=self._owner, reconstruction_attributes=attributes))

        return watch

    def _start_context(self, number: int) -> Any:
        if self._root is None or not getattr(self._owner, "_skl_callbacks", None):
            return None
        if number not in self._starts:
            self._starts[number] = self._root.subcontext(task_name="start", task_id=number, max_subtasks=None)
            self._starts[number].call_on_fit_task_begin(estimator=self._owner)
        return self._starts[number]

    def close(self, search: Search[Any, Any]) -> None:
        for context in self._starts.values():
            context.call_on_fit_task_end(estimator=self._owner)
        if self._verbose:
            for run in search.runs:
                logger.info(
                    "start %d: objective %.10g after %d steps%s%s",
                    run.number,
                    run.result.objective,
                    run.result.n_iter,
                    ", converged" if run.result.converged else "",
                    f", {run.result.flaw}" if run.result.flaw else "",
                )


def history(runs: Sequence[Run[Any, Any]]) -> np.ndarray:
    """One record for each iteration of each start."""
    records = [
        (run.number, step.iteration, step.objective, step.change, step.seconds, step.phase)
        for run in runs
        for step in run.result.history
    ]
    return np.array(records, dtype=HISTORY)
