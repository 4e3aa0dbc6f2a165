"""What `partial_fit` of every mixture does: one step of stepwise EM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from ..chunks import Rows
from ..executors import Serial
from ..online import OnlineState
from .model import MixtureModel


def take_step(
    estimator: Any, owner: Any, model: MixtureModel, state: OnlineState[Any, Any], chunks: Iterable[Rows]
) -> OnlineState[Any, Any]:
    """One step; `estimator` gets what is counted."""
    stats = Serial().sum(partial(model.e_step, state.params), chunks)
    prior = model.family.with_prior_of(1 / (state.weight + stats.weight))  # statistics are those of one row
    state = estimator._online_step(replace(model, family=prior), state, stats)
    estimator.n_iter_, estimator.n_e_steps_ = owner.n_iter_ + 1, owner.n_e_steps_ + 1
    estimator.n_parameters_ = model.n_free(state.params)
    return state
