"""What `partial_fit` of EMHiddenMarkov does: stepwise EM over batches of whole sequences.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. The step, for observations that are independent: here these are sequences.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from .._blas import one_blas_thread
from ..families.base import Options
from ..online import online_step
from ..restarts import executor_for
from .fitting import Online, by_chunk, check_continues, check_params, chunk_rows, fit, make_model, options_of, publish
from .model import HiddenMarkovModel, HiddenMarkovParams, HiddenMarkovStats
from .reading import Table, as_sequences, read
from .sequences import split
from .smoothing import ImpossibleRowError, filtered

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov

CARRIED = ("converged_", "history_", "_earlier", "_fitted_type", "_flaw", "n_features_in_", "feature_names_in_")


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
    for name in CARRIED:
        if hasattr(owner, name):
            setattr(estimator, name, getattr(owner, name))
    table = read(estimator, X, reset=False, **metadata)
    family.check_rows(table.X)
    model = make_model(estimator, family)
    with one_blas_thread():
        stats = _statistics(estimator, model, state.params, table)
        state = online_step(model.per_row(state.weight + stats.weight), state, stats)
    publish(estimator, model, state.params)
    estimator._online = Online(family, state)
    estimator.n_sequences_ = owner.n_sequences_ + len(table.ids)
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


def _statistics(
    estimator: EMHiddenMarkov, model: HiddenMarkovModel, params: HiddenMarkovParams, table: Table
) -> HiddenMarkovStats:
    """Those of a batch; a row that cannot have been made is named."""
    chunks = split(as_sequences(table), chunk_rows(model.family.n_components))
    try:
        with executor_for(estimator.n_jobs) as executor:
            return executor.sum(partial(model.e_step, params), chunks)
    except ImpossibleRowError:
        list(by_chunk(filtered, model, params, table))
        raise
