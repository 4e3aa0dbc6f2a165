"""Which candidate is chosen. Those that may win are first fitted to the end."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from ..restarts import COARSE_TOL, MARGIN
from .lrt import compare
from .path import finish
from .table import COLUMNS, LOWER_IS_BETTER, Candidate, is_eligible, losses, refusals


def choose(
    search: Any, candidates: list[Candidate], lasts: list[Any], random: np.random.RandomState
) -> tuple[int, np.ndarray]:
    """Place of the chosen candidate and the ranks of all; `lasts` are the unfitted last steps."""
    column = COLUMNS.get(search.criterion, search.criterion)
    if search.criterion == "bootstrap_lrt":
        return _by_tests(search, candidates, lasts, random)
    while True:
        loss = losses(candidates, column)
        best = int(loss.argmin())
        if not np.isfinite(loss[best]):
            raise ValueError(f"no candidate can be chosen by {search.criterion}:\n{refusals(candidates, column)}")
        if search.one_standard_error:
            best = _smallest_within(candidates, loss, best)
        may_win = np.flatnonzero(loss <= loss[best] + _margin(candidates[best], column))
        unfinished = [c for c in {best, *may_win.tolist()} if not candidates[c].finished]
        if not unfinished or (column not in LOWER_IS_BETTER and candidates[best].finished):
            return best, ranks_of(loss)
        _finish(candidates, lasts, unfinished if column in LOWER_IS_BETTER else [best], search.n_jobs)


def _margin(candidate: Candidate, column: str) -> float:
    """By how much a criterion may still fall; the held-out mean does not hang on the last steps."""
    if column not in LOWER_IS_BETTER:
        return 0.0
    return float(2 * MARGIN * COARSE_TOL * candidate.path.train.weight.sum())


def _smallest_within(candidates: list[Candidate], loss: np.ndarray, best: int) -> int:
    """The candidate with the fewest components within a standard error of the best; of these the best."""
    within = np.flatnonzero(loss <= loss[best] + np.nan_to_num(candidates[best].numbers["heldout_se"]))
    return int(min(within, key=lambda c: (candidates[c].fit.size, loss[c])))


def _finish(candidates: list[Candidate], lasts: list[Any], places: list[int], n_jobs: int | None) -> None:
    """Fit some candidates to the end and measure them again."""
    places = sorted(places)
    done = Parallel(n_jobs=n_jobs)(
        delayed(finish)(candidates[place].fit, lasts[place], candidates[place].path.train) for place in places
    )
    for place, fit in zip(places, done, strict=True):
        candidates[place].fit, candidates[place].finished = fit, True
        candidates[place].measure()


def ranks_of(loss: np.ndarray) -> np.ndarray:
    """1 for the least; equal ones in their order."""
    ranks = np.empty(len(loss), dtype=np.intp)
    ranks[np.argsort(loss, kind="stable")] = np.arange(1, len(loss) + 1)
    return ranks


def _by_tests(
    search: Any, candidates: list[Candidate], lasts: list[Any], random: np.random.RandomState
) -> tuple[int, np.ndarray]:
    """The first sound number that is not rejected in favour of the next."""
    sound = [c for c, candidate in enumerate(candidates) if is_eligible(candidate, "log_likelihood")]
    _finish(candidates, lasts, sound, search.n_jobs)
    sound = [c for c in sound if is_eligible(candidates[c], "log_likelihood")]
    if not sound:
        raise ValueError(f"no candidate can be tested:\n{refusals(candidates, 'log_likelihood')}")
    chosen = sound[-1]
    for small, large in pairwise(sound):
        null, data = candidates[small], candidates[small].path.train
        test = compare(lasts[small], null.fit, candidates[large].fit, data, search.n_bootstrap, search.n_jobs, random)
        null.numbers["p_value"] = test.p_value
        if test.p_value > search.level:
            chosen = small
            break
    else:
        warnings.warn(
            f"each number of components was rejected in favour of the next, up to the largest, "
            f"{candidates[chosen].fit.size}; try more",
            UserWarning,
            stacklevel=4,
        )
    loss = np.full(len(candidates), np.inf)
    loss[sound] = np.abs(np.array(sound) - chosen)
    return chosen, ranks_of(loss)
