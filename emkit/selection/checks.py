"""What a user asks of a search, checked before any fit starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, KFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import has_fit_parameter

from .._pipelines import last_step, prefix
from .._validation import check_choice, check_integer, check_n_jobs, check_number, check_sample_weight
from .data import Data, is_by_row
from .kinds import kind_of
from .steps import inner_params, last_params

CRITERIA = ("bic", "aic", "icl", "heldout", "bootstrap_lrt")
N_FOLDS = 5


def check_search(search: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """Numbers and combinations to try."""
    check_searchable(search.estimator)
    sizes = check_sizes(search.n_components)
    combinations = check_combinations(search.estimator, search.other_params)
    estimators = [clone(search.estimator).set_params(**combination) for combination in combinations]
    for estimator in estimators:
        check_searchable(estimator)
        check_fit_options(last_step(estimator), sizes[0])
        check_room(getattr(last_step(estimator), "checkpoint", None))
    check_criterion(search.criterion, estimators)
    check_options(search)
    return sizes, combinations


def check_searchable(estimator: Any) -> None:
    from .._estimator import EMEstimator  # which imports the criteria

    if isinstance(estimator, Pipeline) and not estimator.steps:
        raise ValueError("estimator must be a Pipeline that ends in an estimator of emkit, but it has no steps")
    last = last_step(estimator)
    where = f"the last step {estimator.steps[-1][0]!r} of estimator" if last is not estimator else "estimator"
    if isinstance(last, type):
        raise ValueError(f"{where} must be an instance, but got the class {last.__name__}; {last.__name__}() makes one")
    if not hasattr(last, "get_params") or "n_components" not in last.get_params(deep=False):
        raise ValueError(f"{where} must have the parameter n_components, but {last!r} has not")
    if not isinstance(last, EMEstimator):
        raise ValueError(f"{where} must be an estimator of emkit, but got {last!r}")
    of_entropy = [] if hasattr(last, "_posterior_entropy") else ["predict_proba"]
    for method in ("score_samples", *of_entropy):
        if not hasattr(last, method):
            raise ValueError(f"{where} must have the method {method}, from which criteria come, but {last!r} has not")


def check_fit_options(last: Any, size: int) -> None:
    """ValueError for what each fit would refuse, and for a start that suits one number and one set of rows alone."""
    clone(last).set_params(n_components=size)._check_shared_params()
    if not isinstance(getattr(last, "init_params", ""), str):
        raise ValueError(
            "init_params must name a method, since each number of components and each fold has starts of its own, but "
            f"got {last.init_params!r}"
        )


def check_room(checkpoint: Any) -> None:
    """ValueError for a file, which has room for one fit."""
    if checkpoint is not None and not os.path.isdir(checkpoint):
        raise ValueError(f"checkpoint must be None or a directory in a search, but got {str(checkpoint)!r}")


def check_sizes(value: Any) -> list[int]:
    """Positive integers that rise; one by itself is a list of one."""
    allowed = "n_components must be positive integers in rising order, at least one"
    if isinstance(value, int | np.integer):
        value = [value]
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{allowed}, but got {value!r}")
    sizes = list(value)
    if not sizes:
        raise ValueError(f"{allowed}, but it is empty: {value!r}")
    for size in sizes:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{allowed}, but it holds {size!r}")
    if any(later <= earlier for earlier, later in pairwise(sizes)):
        raise ValueError(f"{allowed}, but got {sizes}")
    return [int(size) for size in sizes]


def check_combinations(estimator: Any, other_params: Any) -> list[dict[str, Any]]:
    """Each combination of the other parameters, in the order of the grid; [{}] without any."""
    if other_params is None:
        return [{}]
    grids = [other_params] if isinstance(other_params, Mapping) else other_params
    if not isinstance(grids, list | tuple) or not grids or not all(isinstance(grid, Mapping) for grid in grids):
        raise ValueError(
            f"other_params must be None, a dict of lists, or a list of such dicts, but got {other_params!r}"
        )
    known = estimator.get_params()
    lists = [{name: _values(name, values) for name, values in grid.items()} for grid in grids]
    for grid in lists:
        for name in grid:
            if name == prefix(estimator) + "n_components":
                raise ValueError(f"other_params must not hold {name!r}; it is what n_components says")
            if name not in known:
                raise ValueError(f"other_params has {name!r}, but the parameters of estimator are {sorted(known)}")
            if not name.startswith(prefix(estimator)) and not kind_of(last_step(estimator)).is_conditional:
                raise ValueError(
                    f"other_params has {name!r}, which changes the data of the last step, so that likelihoods cannot "
                    f"be compared; it may hold parameters that begin with {prefix(estimator)!r}"
                )
    return [dict(zip(grid, values, strict=True)) for grid in lists for values in product(*grid.values())]


def _values(name: Any, values: Any) -> list[Any]:
    """Those of one parameter; a generator is read once."""
    read = [] if isinstance(values, str | bytes) or not isinstance(values, Iterable) else list(values)
    if not read:
        raise ValueError(f"other_params[{name!r}] must be a list with at least one value, but got {values!r}")
    return read


def check_criterion(criterion: Any, estimators: list[Any]) -> None:
    """`estimators` are one for each combination of the other parameters."""
    check_choice("criterion", criterion, CRITERIA)
    for last in map(last_step, estimators):
        if criterion == "bootstrap_lrt" and not kind_of(last).draws:
            raise ValueError(f"criterion='bootstrap_lrt' needs draws from the model, which {last!r} cannot give")
        if criterion in ("bic", "aic", "icl"):
            try:
                clone(last)._check_criterion(criterion)
            except NotFittedError:
                pass  # only the data will tell
            except ValueError as error:
                raise ValueError(f"criterion={criterion!r} is not for this estimator: {error}") from error
    if criterion == "bootstrap_lrt" and len(estimators) > 1:
        raise ValueError(
            "criterion='bootstrap_lrt' compares numbers of components alone, so other_params must have one "
            f"combination, but has {len(estimators)}"
        )


def check_options(search: Any) -> None:
    check_choice("one_standard_error", search.one_standard_error, (True, False))
    check_choice("refit", search.refit, (True, False))
    check_integer("n_bootstrap", search.n_bootstrap, 1)
    check_n_jobs(search.n_jobs)
    if not 0 < check_number("level", search.level, 0) < 1:
        raise ValueError(f"level must be a number between 0 and 1, but got {search.level!r}")
    if search.one_standard_error and search.criterion != "heldout":
        raise ValueError(f"one_standard_error=True needs criterion='heldout', but criterion={search.criterion!r}")


def read(estimator: Any, X: Any, y: Any, params: dict[str, Any]) -> Data:
    """What `fit` was given, in a form that can be cut by rows; metadata that no step takes are refused."""
    if callable(X):
        raise ValueError("X is a function, but an array or a frame is needed: rows are chosen from it")
    data = Data(X, y, params)
    if not isinstance(estimator, Pipeline):
        data = kind_of(estimator).tidy(data)
    check_metadata(estimator, data.params)
    return data


def check_metadata(estimator: Any, params: dict[str, Any]) -> None:
    """TypeError for metadata that the last step does not take; scikit-learn's errors for what is not routed."""
    if get_config()["enable_metadata_routing"] and isinstance(estimator, Pipeline):
        process_routing(estimator, "fit", **params)
    if isinstance(estimator, Pipeline):
        check_metadata(estimator.steps[-1][1], inner_params(estimator, params))
        return
    for name in params:
        if not has_fit_parameter(estimator, name):
            raise TypeError(f"fit() got an unexpected keyword argument {name!r}, which {estimator!r} does not take")


def folds_of(search: Any, data: Data, groups: Any, sizes: list[int], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold; none where held-out likelihoods are not asked for."""
    own = Data(data.X, data.y, last_params(search.estimator, data.params))
    check_by_row(own, groups)
    folds = []
    if search.criterion == "heldout" or search.cv is not None:
        last = last_step(search.estimator)
        folds = make_folds(search.cv, data, kind_of(last).groups(last, own) if groups is None else groups, seed)
    check_fold_sizes(sizes, own, own.params.get("block_id"), folds)
    return folds


def check_by_row(data: Data, groups: Any = None) -> None:
    """ValueError for weights, or ids, that are not one for each row."""
    n = len(data)
    check_sample_weight(data.params.get("sample_weight"), n, np.dtype(np.float64))
    ids = {name: data.params.get(name) for name in ("sequence_id", "block_id")} | {"groups": groups}
    for name, values in ids.items():
        if values is not None and (not is_by_row(values, n) or getattr(values, "ndim", 1) != 1):
            raise ValueError(
                f"{name} must have shape {(n,)}, one value for each row of X, but has shape {np.shape(values)}"
            )


def make_folds(cv: Any, data: Data, groups: Any, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of each training and test set. Numbers of folds are shuffled; a splitter does as it does."""
    n = len(data)
    if cv is None or (isinstance(cv, int | np.integer) and not isinstance(cv, bool)):
        n_units = n if groups is None else len(set(np.asarray(groups).tolist()))
        what = "rows" if groups is None else "groups (sequences, blocks)"
        n_folds = min(N_FOLDS, n_units) if cv is None else int(cv)
        if n_units == 1 and groups is not None:
            raise ValueError(
                "held-out likelihood needs two or more sequences, blocks or groups, but there is one; tell them apart "
                f"(sequence_id, block_id, groups), or take criterion='bic' and cv=None (now cv={cv!r})"
            )
        if not 2 <= n_folds <= n_units:
            raise ValueError(
                f"cv must be None, an integer from 2 to the number of {what}, {n_units}, a splitter or an iterable of "
                f"splits, but got {cv!r}"
            )
        kind = KFold if groups is None else GroupKFold
        splitter = kind(n_folds, shuffle=True, random_state=seed)
    else:
        try:
            splitter = check_cv(cv)
        except ValueError as error:
            raise ValueError(
                f"cv must be None, an integer, a splitter or an iterable of splits, but got {cv!r}"
            ) from error
    splits = enumerate(splitter.split(np.zeros(n), data.y, groups))
    folds = [(_places(train, n, number), _places(test, n, number)) for number, (train, test) in splits]
    if not folds:
        raise ValueError(f"cv must give at least one pair of training and test rows, but {cv!r} gives none")
    return folds


def _places(rows: Any, n: int, number: int) -> np.ndarray:
    """Indices of rows, which a user's iterable may tell by a mask."""
    places = np.asarray(rows)
    if places.dtype == bool and places.shape == (n,):
        return np.flatnonzero(places)
    is_known = places.dtype.kind in "iu" and places.ndim == 1 and len(places) > 0
    if not is_known or places.min() < -n or places.max() >= n:
        raise ValueError(
            f"cv must give training and test rows by masks of shape {(n,)} or by indices from 0 to {n - 1}, at least "
            f"one, but fold {number} has {places.dtype} of shape {places.shape}"
            + (f", from {places.min()} to {places.max()}" if is_known else "")
        )
    return places


def check_fold_sizes(sizes: list[int], data: Data, units: Any, folds: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """ValueError if a training set has fewer rows of positive weight, or blocks of them, than components."""
    present = data.weight > 0

    def count(rows: np.ndarray) -> int:
        rows = rows[present[rows]]
        return len(rows) if units is None else len(set(np.asarray(units)[rows].tolist()))

    counts = {"X": count(np.arange(len(data)))}
    counts |= {f"the training set of fold {number}": count(train) for number, (train, _) in enumerate(folds)}
    where = min(counts, key=lambda name: counts[name])
    if sizes[-1] > counts[where]:
        raise ValueError(
            f"n_components must not exceed the rows that are fitted, but it holds {sizes[-1]} and {where} has "
            f"n_samples = {counts[where]} (rows, or blocks of rows, of positive weight)"
        )
