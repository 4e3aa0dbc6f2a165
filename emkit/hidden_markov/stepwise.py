"""What `partial_fit` of EMHiddenMarkov does: stepwise EM over batches of whole sequences.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. The step, for observations that are independent: here these are sequences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from ..blocks import blocks_of
from ..executors import each, executor_for
from ..families.base import Family, Options
from ..partitions import is_collection
from .fitting import (
    Online,
    check_continues,
    check_params,
    chunk_rows,
    fit,
    make_model,
    name_impossible_row,
    options_of,
    publish,
)
from .model import HiddenMarkovModel, HiddenMarkovParams, HiddenMarkovStats
from .partitioned import collected
from .reading import Table, as_sequences, check_values, read
from .sequences import Sequences, split
from .smoothing import ImpossibleRowError
from .streams import SequenceSource, source_of

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov


def fit_online(estimator: EMHiddenMarkov, owner: EMHiddenMarkov, X: Any, **metadata: Any) -> None:
    """Update `owner` by a batch, into `estimator`, a blank copy of it; without an earlier fit, as `fit`.

    Priors count once for all rows seen, so that they have the weight that they would have in a fit to these.
    """
    if not hasattr(owner, "_online"):
        fit(estimator, owner, X, **metadata)
        return
    check_params(estimator)
    family, state = owner._online
    check_continues("partial_fit", _settings(owner, estimator))
    estimator._carry_over(owner)
    chunks, tables = _batch(estimator, family, X, metadata)
    model = make_model(estimator, family)
    stats = _statistics(estimator, model, state.params, chunks, tables)
    state = estimator._online_step(model.per_row(state.weight + stats.weight), state, stats)
    publish(estimator, model, state.params)
    estimator._online = Online(family, state)
    n_sequences = chunks.n_positive if isinstance(chunks, SequenceSource) else sum(each(len, chunks))
    estimator.n_sequences_ = owner.n_sequences_ + n_sequences
    estimator.objective_ = state.stats.objective * state.weight + model.log_prior(state.params)
    estimator.n_iter_, estimator.n_e_steps_ = owner.n_iter_ + 1, owner.n_e_steps_ + 1
    estimator.n_parameters_ = model.n_free(state.params)


def _settings(owner: EMHiddenMarkov, estimator: EMHiddenMarkov) -> dict[str, tuple[Any, Any]]:
    """What a batch may not change, then and now."""
    (then, then_options), now_options = owner._fitted_type, options_of(estimator)
    return {
        "n_components": (len(owner.startprob_), estimator.n_components),
        "emission": (then, estimator.emission),
        **{
            field.name: (getattr(then_options, field.name), getattr(now_options, field.name))
            for field in fields(Options)
        },
    }


def _batch(
    estimator: EMHiddenMarkov, family: Family, X: Any, metadata: dict[str, Any]
) -> tuple[Iterable[Sequences], Callable[[], Iterable[Table]]]:
    """The chunks of a batch, of values that the family knows, and what gives its tables."""
    rows = chunk_rows(estimator.n_components)
    if is_collection(X):
        batch = collected(estimator, X, reset=False, family=family, **metadata)
        return batch.chunks(rows), batch.tables
    source = source_of(estimator, X, rows, reset=False, **metadata)
    if source is not None:
        return source.checked_by(family), source.tables
    table = read(estimator, X, reset=False, **metadata)
    check_values(family, table.X, table.passed)
    return split(as_sequences(table), rows), lambda: [table]


def check_passes(estimator: EMHiddenMarkov, X: Any, sample_weight: Any) -> None:
    """ValueError for passes over what is no blocks of whole sequences, or has weights, which belong to sequences."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight must be None: the weights of a hidden Markov model belong to sequences, so give them with "
            "these to partial_fit"
        )
    blocks = blocks_of(X)
    if blocks is None:
        raise ValueError(
            "X must be a function that returns an iterable of blocks at each call, or a list of sequences: where rows "
            "follow each other, one table cannot be cut into batches"
        )
    reader = estimator._blank_copy()
    if is_collection(X):
        collected(reader, X, reset=True).check_whole()
        return
    source = source_of(reader, blocks, reset=True)
    assert source is not None  # of blocks there is one
    deque(source.tables(), maxlen=0)  # an id that comes again is an error


def _statistics(
    estimator: EMHiddenMarkov,
    model: HiddenMarkovModel,
    params: HiddenMarkovParams,
    chunks: Iterable[Sequences],
    tables: Callable[[], Iterable[Table]],
) -> HiddenMarkovStats:
    """Those of a batch; a row that cannot have been made is named."""
    try:
        with executor_for(estimator.n_jobs) as executor:
            return executor.sum(partial(model.e_step, params), chunks)
    except ImpossibleRowError:
        name_impossible_row(model, params, tables)
        raise
