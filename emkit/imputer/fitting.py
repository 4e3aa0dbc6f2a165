"""What `fit` and `partial_fit` of EMImputer do, between raw input and fitted attributes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.impute import MissingIndicator
from sklearn.utils import _safe_indexing

from .._validation import check_choice, check_number, check_sample_weight
from ..executors import Serial
from ..online import OnlineState, first_state
from .columns import Column
from .imputing import unconditional
from .models import MODELS, Fit, Recipe, Table, Training, choose, log_units
from .reading import as_table, check_bounds, check_indicator, read_bounds
from .scales import Linear
from .tables import read, read_training

if TYPE_CHECKING:
    from .estimator import EMImputer

WIDEST = 1e153  # so that a variance is a float
STATISTICS = ("auto", "mean", "median", "mode", "sample")


class State(NamedTuple):
    """What a fitted estimator keeps."""

    columns: tuple[Column, ...]  # all of the table
    kept: np.ndarray  # (p,) bool: those with a value
    table: Table  # of the columns with a value
    recipe: Recipe
    model: Any
    weight: float  # for which the model's prior was made
    params: Any
    training: Training | None  # what the bootstrap needs; None after `partial_fit`
    online: OnlineState[Any, Any]


def fit_batch(estimator: EMImputer, owner: EMImputer, X: Any, sample_weight: Any) -> None:
    """Fit `estimator`, a blank copy of `owner`."""
    check_params(estimator)
    raw = as_table(estimator, X, reset=True)
    raw, weight = weighted_rows(raw, sample_weight)
    columns, codes = read_training(raw, estimator.columns, estimator.missing_values)
    read_all_bounds(estimator, columns)
    check_ranges(columns, codes)
    gaps = np.isnan(codes)
    kept = ~np.isnan(codes).all(axis=0)
    if not kept.any():
        raise ValueError("X has no observed value (in rows of positive weight), so there is nothing to learn from")
    data = Training(tuple(c for c, keep in zip(columns, kept, strict=True) if keep), codes[:, kept], weight)
    name = choose(data.columns, len(codes)) if estimator.model == "auto" else estimator.model
    fit = MODELS[name](estimator, data, partial(_run, estimator, owner))
    estimator.model_ = name
    estimator._state = _state(columns, kept, data, fit)
    estimator.indicator_ = None
    if estimator.add_indicator:
        estimator.indicator_ = MissingIndicator(error_on_new=False).fit(np.where(gaps, np.nan, 0.0))
        check_indicator(estimator.indicator_, raw, getattr(estimator, "feature_names_in_", None))
    estimator._record(fit.search, fit.model)
    _publish(estimator, fit, data)


def check_ranges(columns: tuple[Column, ...], codes: np.ndarray) -> None:
    """ValueError for a column of numbers whose variance, or its inverse, would leave the range of floats."""
    for j, column in enumerate(columns):
        known = codes[~np.isnan(codes[:, j]), j]
        if not column.is_numeric or not len(known):
            continue
        largest = np.abs(known).max()
        spread = np.ptp(known) if largest <= WIDEST else np.inf
        if not (spread == 0 or 1 / WIDEST < spread <= 2 * WIDEST):
            raise ValueError(
                f"column {column.name!r} has values up to {largest:g} that spread over {spread:g}, but values must be "
                f"below {WIDEST:g} and spread over more than {1 / WIDEST:g}; multiply the column by a constant"
            )


def weighted_rows(table: Any, sample_weight: Any) -> tuple[Any, np.ndarray]:
    """The rows of positive weight, and their weights, float64."""
    weight = check_sample_weight(sample_weight, len(table), np.dtype(np.float64))
    if weight is None:
        return table, np.ones(len(table))
    if weight.all():
        return table, weight
    rows = np.flatnonzero(weight)
    return _safe_indexing(table, rows), weight[rows]


def check_params(estimator: EMImputer) -> None:
    """ValueError for a constructor argument that is out of range."""
    estimator._check_shared_params()
    check_choice("model", estimator.model, ("auto", *MODELS))
    check_choice("statistic", estimator.statistic, STATISTICS)
    check_choice("unseen", estimator.unseen, ("error", "missing"))
    if not (isinstance(estimator.ridge, str) and estimator.ridge == "auto"):
        try:
            check_number("ridge", estimator.ridge, 0)
        except ValueError:
            raise ValueError(f"ridge must be 'auto' or a finite number >= 0, but got {estimator.ridge!r}") from None
    for name in ("add_indicator", "keep_empty_features"):
        check_choice(name, getattr(estimator, name), (True, False))


def read_all_bounds(estimator: EMImputer, columns: tuple[Column, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest imputed values of all columns, (p,) each."""
    low = read_bounds("min_value", estimator.min_value, columns, -np.inf)
    high = read_bounds("max_value", estimator.max_value, columns, np.inf)
    check_bounds(low, high, columns)
    return low, high


def _run(estimator: EMImputer, owner: EMImputer, problem: Any, n_starts: int | None, start: Any) -> Any:
    rng = estimator._random_generator()
    return estimator._search(problem, n_starts, rng, owner, lambda params: {}, start)


def _state(columns: tuple[Column, ...], kept: np.ndarray, data: Training, fit: Fit) -> State:
    result = fit.result
    weight = result.stats.weight
    return State(columns, kept, fit.table, fit.recipe, fit.model, weight, result.params, data, first_state(result))


def _publish(estimator: EMImputer, fit: Fit, data: Training) -> None:
    shift = float(data.weight @ log_units(fit.table, data.codes))
    estimator.objective_ += shift
    estimator.history_["objective"] += shift
    estimator.n_components_ = fit.n_components
    estimator.ridge_ = fit.ridge
    _publish_table(estimator)


def _publish_table(estimator: EMImputer) -> None:
    """Attributes that follow from the table."""
    state = estimator._state
    estimator.location_, estimator.covariance_ = moments_of(state.table)
    estimator.column_kinds_ = {column.name: column.kind for column in state.columns}
    estimator.statistics_ = unconditional(estimator)


def moments_of(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the coordinates, those of numbers in the units of their columns."""
    mean, covariance = table.moments()
    sizes = [scale.n_coordinates for scale in table.scales]
    unit = np.repeat([scale.scale if isinstance(scale, Linear) else 1.0 for scale in table.scales], sizes)
    origin = np.repeat([scale.mean if isinstance(scale, Linear) else 0.0 for scale in table.scales], sizes)
    return origin + unit * mean, covariance * np.outer(unit, unit)


def fit_online(estimator: EMImputer, owner: EMImputer, X: Any, sample_weight: Any) -> None:
    """Update `owner` by a batch, into `estimator`, a blank copy of it; without an earlier fit, as `fit`."""
    if not hasattr(owner, "_state"):
        fit_batch(estimator, owner, X, sample_weight)
        estimator._state = estimator._state._replace(training=None)
        return
    check_params(estimator)
    estimator._carry_over(owner, "model_", "n_components_", "ridge_", "indicator_")
    state: State = owner._state
    raw, weight = weighted_rows(as_table(estimator, X, reset=False), sample_weight)
    codes = read(raw, state.columns, owner.missing_values, owner.unseen)[:, state.kept]
    chunks = state.recipe.chunks(codes, weight)
    stats = Serial().sum(partial(state.model.e_step, state.online.params), chunks)
    online = estimator._online_step(state.recipe.per_row(state.model, state.weight), state.online, stats)
    table = state.recipe.table(online.params)
    estimator._state = state._replace(table=table, params=online.params, training=None, online=online)
    units = float(weight @ log_units(table, codes)) / weight.sum()
    estimator.objective_ = float((online.stats.objective + units) * online.weight)
    estimator.n_iter_, estimator.n_e_steps_ = owner.n_iter_ + 1, owner.n_e_steps_ + 1
    estimator.n_parameters_ = state.model.n_free(online.params)
    _publish_table(estimator)
