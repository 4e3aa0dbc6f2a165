"""What `fit` and `partial_fit` of EMImputer do, between raw input and fitted attributes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.impute import MissingIndicator

from .._validation import check_choice, check_number, check_sample_weight
from ..blocks import blocks_of
from ..chunks import Rows
from ..executors import Serial, each
from ..online import OnlineState, first_state
from .columns import Column
from .imputing import unconditional
from .models import MODELS, Fit, Recipe, Table, choose, log_units
from .reading import as_table, check_bounds, check_indicator, read_bounds
from .scales import Linear
from .streams import Coder, Stream, learn, rows_of_weight, table_source
from .tables import read_training
from .training import Data, Learned, Training

if TYPE_CHECKING:
    from .estimator import EMImputer

FLOAT64 = np.dtype(np.float64)
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
    training: Training | None  # what the bootstrap needs; None after `partial_fit`, or of blocks
    online: OnlineState[Any, Any]


def fit_batch(estimator: EMImputer, owner: EMImputer, X: Any, sample_weight: Any) -> None:
    """Fit `estimator`, a blank copy of `owner`."""
    check_params(estimator)
    blocks = blocks_of(X)
    learned = learn_table(estimator, X, sample_weight) if blocks is None else learn(estimator, blocks, sample_weight)
    read_all_bounds(estimator, learned.columns)
    if not learned.kept.any():
        raise ValueError("X has no observed value (in rows of positive weight), so there is nothing to learn from")
    data = learned.data
    name = choose(data.columns, data.n_rows) if estimator.model == "auto" else estimator.model
    fit = MODELS[name](estimator, data, partial(_run, estimator, owner))
    estimator.model_ = name
    estimator._state = _state(learned, fit)
    estimator.indicator_ = None
    if estimator.add_indicator:
        gaps = np.where(learned.gaps, np.nan, 0.0)[None]
        estimator.indicator_ = MissingIndicator(error_on_new=False).fit(gaps)
        check_indicator(estimator.indicator_, learned.example, getattr(estimator, "feature_names_in_", None))
    estimator._record(fit.search, fit.model)
    _publish(estimator, fit)


def learn_table(estimator: EMImputer, X: Any, sample_weight: Any) -> Learned:
    """The columns of a table in memory, and its rows."""
    raw = as_table(estimator, X, reset=True)
    raw, weight = rows_of_weight(raw, check_sample_weight(sample_weight, len(raw), FLOAT64))
    columns, codes = read_training(raw, estimator.columns, estimator.missing_values)
    missing = np.isnan(codes)
    kept = ~missing.all(axis=0)
    data = Training(tuple(c for c, keep in zip(columns, kept, strict=True) if keep), codes[:, kept], weight)
    return Learned(columns, kept, missing.any(axis=0), data, raw)


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


def _state(learned: Learned, fit: Fit) -> State:
    result = fit.result
    weight = result.stats.weight
    rows = learned.data if isinstance(learned.data, Training) else None
    online = first_state(result)
    return State(learned.columns, learned.kept, fit.table, fit.recipe, fit.model, weight, result.params, rows, online)


def _publish(estimator: EMImputer, fit: Fit) -> None:
    estimator.objective_ += fit.data.log_units
    estimator.history_["objective"] += fit.data.log_units
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
    data = _further(estimator, state, X, sample_weight)
    stats = Serial().sum(partial(state.model.e_step, state.online.params), data.chunks(state.recipe))
    online = estimator._online_step(state.recipe.per_row(state.model, state.weight), state.online, stats)
    table = state.recipe.table(online.params)
    units = sum(each(partial(_total_units, table), data.source)) / stats.weight
    estimator._state = state._replace(table=table, params=online.params, training=None, online=online)
    estimator.objective_ = float((online.stats.objective + units) * online.weight)
    estimator.n_iter_, estimator.n_e_steps_ = owner.n_iter_ + 1, owner.n_e_steps_ + 1
    estimator.n_parameters_ = state.model.n_free(online.params)
    _publish_table(estimator)


def _further(estimator: EMImputer, state: State, X: Any, sample_weight: Any) -> Data:
    """A batch, in columns that are known."""
    kept = tuple(column for column, keep in zip(state.columns, state.kept, strict=True) if keep)
    coder = Coder(state.columns, state.kept, estimator.missing_values, estimator.unseen)
    blocks = blocks_of(X)
    if blocks is not None:
        return Stream(kept, coder, table_source(estimator, blocks, sample_weight))
    raw = as_table(estimator, X, reset=False)
    return Training(kept, *coder.codes(raw, check_sample_weight(sample_weight, len(raw), FLOAT64)))


def _total_units(table: Table, rows: Rows) -> float:
    return float(rows.weight @ log_units(table, rows.X))
