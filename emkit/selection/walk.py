"""All paths of a search: those on all rows, whose fits are kept, and those of the folds, whose scores are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from .data import Data
from .kinds import ByShares, kind_of
from .path import Path, follow, text_of
from .steps import last_step
from .table import Candidate, pooled

FEW_COMBINATIONS = 4  # so many have fresh starts of their own, of which nothing need be shared

Rows = tuple[np.ndarray, np.ndarray] | None  # of training and test; None for all


class HeldOut(NamedTuple):
    """How well left-out rows are foretold: mean log-likelihood, their weight, what went wrong."""

    mean: float
    weight: float
    failed: str = ""


class Walk(NamedTuple):
    """A path on all rows, or the scores of one in a fold; and starts for other combinations, if they are wanted."""

    path: Path | None
    held_out: list[HeldOut]
    starts: list[dict[str, Any] | None] | None


def walk_all(
    estimators: list[Any],
    combinations: list[dict[str, Any]],
    sizes: list[int],
    data: Data,
    folds: list[tuple[np.ndarray, np.ndarray]],
    seeds: np.ndarray,
    n_jobs: int | None,
) -> list[Candidate]:
    """A candidate for each combination and size, in this order; `seeds` has one for each subset of the rows too."""
    subsets: list[Rows] = [None, *folds]
    shares = len(estimators) > FEW_COMBINATIONS and all(map(_may_share, estimators))
    first = 1 if shares else len(estimators)
    parallel = Parallel(n_jobs=n_jobs)
    walks: dict[tuple[int, int], Walk] = {}

    def run(numbers: range, starts: dict[int, Any]) -> None:
        jobs = [(place, number) for place in range(len(subsets)) for number in numbers]
        done = parallel(
            delayed(_walk)(
                *(estimators[number], sizes, data, subsets[place], seeds[place, number].tolist()),
                *(starts.get(place), shares and number == 0),
            )
            for place, number in jobs
        )
        walks.update(zip(jobs, done, strict=True))

    run(range(first), {})
    if shares:
        run(range(first, len(estimators)), {place: walks[place, 0].starts for place in range(len(subsets))})
    return [
        _candidate(walks, number, place, combination, len(folds))
        for number, combination in enumerate(combinations)
        for place in range(len(sizes))
    ]


def _may_share(estimator: Any) -> bool:
    """Whether starts are responsibilities, and the number of fresh ones is left to the search."""
    last = last_step(estimator)
    return isinstance(kind_of(last), ByShares) and last.n_init == "auto" and isinstance(last.init_params, str)


def _walk(
    estimator: Any, sizes: list[int], data: Data, rows: Rows, seeds: list[int], shared: Any, wants_starts: bool
) -> Walk:
    train, test = (data, None) if rows is None else (data.take(rows[0]), data.take(rows[1]))
    path = follow(estimator, sizes, train, test, seeds, shared)
    starts = [_start(fit.estimator, path.train) for fit in path.fits] if wants_starts else None
    if rows is None:
        return Walk(path, [], starts)
    return Walk(None, [_score(fit, path.test) for fit in path.fits], starts)


def _start(fitted: Any, data: Data) -> dict[str, Any] | None:
    return None if fitted is None else kind_of(fitted).partition(fitted, data)


def _score(fit: Any, test: Any) -> HeldOut:
    if fit.estimator is None:
        return HeldOut(math.nan, 1.0, fit.failed)
    weight = test.weight
    try:
        scores = fit.estimator.score_samples(test.X, **test.arguments_of(fit.estimator.score_samples))
    except Exception as error:  # whatever it is, the table says it
        return HeldOut(math.nan, float(weight.sum()), text_of(error))
    total = float(weight.sum())
    return HeldOut(float(weight @ np.asarray(scores, dtype=np.float64)) / total if total else 0.0, total)


def _candidate(
    walks: dict[tuple[int, int], Walk], number: int, place: int, combination: dict[str, Any], n_folds: int
) -> Candidate:
    path = walks[0, number].path
    assert path is not None
    candidate = Candidate(combination, path.fits[place], path)
    candidate.measure()
    if n_folds:
        scores = [walks[1 + fold, number].held_out[place] for fold in range(n_folds)]
        mean, error = pooled(np.array([s.mean for s in scores]), np.array([s.weight for s in scores]))
        candidate.numbers |= {"heldout_mean": mean, "heldout_se": error}
        trouble = [f"fold {fold}: {score.failed}" for fold, score in enumerate(scores) if score.failed]
        candidate.fold_trouble = "; ".join(trouble)
    return candidate
