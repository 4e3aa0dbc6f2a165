"""What `partial_fit` of the mixtures of experts does: stepwise EM.

Where an M-step is closed, the statistics are averaged as they are, moved to the present coefficients. Where it is a
step of Newton's, of gates and of generalised linear experts, each batch gives a quadratic function: its gradient and
its curvature where it was seen. These functions are averaged ([2]_), and the M-step goes to the maximum of the average.
That is a step by the inverse of the averaged curvature along the new batch's gradient: that of all before is zero.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. The step: equation (11).
.. [2] Mairal, J. (2013). Stochastic majorization-minimization algorithms for large-scale optimization. NIPS 26.
   Averages of functions that stand for the objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..blocks import blocks_of
from ..engine import UnusableStartError
from ..executors import executor_for
from ..partitions import is_collection
from .cases import Cases, CasesInMemory
from .experts.base import Experts
from .fitting import (
    State,
    check_params,
    check_streamed,
    extras_given,
    fit_batch,
    penalties_of,
    read_cases,
    set_published,
    signature_of,
    stream_of,
)
from .gates import Gate
from .model import ExpertsParams, ExpertsStats, MixtureOfExpertsModel
from .prediction import Fitted
from .reading import Extras
from .responses import classes_of, labels_of

if TYPE_CHECKING:
    from .estimator import MixtureOfExperts


FARTHEST = 1.0  # that a linear predictor may go in a step: beyond it, the curvature is another


class StepwiseModel(MixtureOfExpertsModel):
    """Of statistics of one block; no step goes far, as it would for a class that the batches before had not."""

    def m_step(self, stats: ExpertsStats, params: ExpertsParams) -> ExpertsParams:
        target = super().m_step(stats, params)
        return ExpertsParams(
            _nearby(self.gate, params.gate, target.gate), _nearby(self.experts, params.experts, target.experts)
        )


def _nearby(part: Gate | Experts, params: Any, target: Any) -> Any:
    """The target, or what lies on the way to it."""
    if not math.isfinite(part.stride(params, target)):
        raise UnusableStartError("coefficients have become infinite")
    while part.stride(params, target) > FARTHEST:
        target = part.between(params, target)
    return target


def _model_for(model: MixtureOfExpertsModel, weight: float) -> StepwiseModel:
    """In which penalties count once for rows of this weight, of which the statistics are the mean."""
    return StepwiseModel(model.gate.with_prior_of(1 / weight), model.experts.with_prior_of(1 / weight))


def takes_batches(estimator: MixtureOfExperts) -> bool:
    """AttributeError where there is no stepwise EM."""
    if not isinstance(estimator.expert, str):
        raise AttributeError(
            f"partial_fit needs one of the named experts, but got {estimator.expert!r}: a fitted estimator has no "
            "statistics that could be averaged"
        )
    return True


def fit_online(
    estimator: MixtureOfExperts,
    owner: MixtureOfExperts,
    X: Any,
    *,
    y: Any = None,
    classes: Any = None,
    **extras: Any,
) -> None:
    """Update `owner` by a batch, into `estimator`, a blank copy of it; without an earlier fit, as `fit`.

    Penalties count once for all rows seen, so that they have the weight that they would have in a fit to these.
    """
    if not hasattr(owner, "_state"):
        fit_batch(estimator, owner, X, y=y, classes=classes, **extras)
        return
    check_params(estimator)
    estimator._carry_over(owner, "classes_")
    _check_continues(owner, classes)
    owner._check_training_data(X, {"y": y, **extras})
    before: State = owner._state
    model, state = before.fitted.model, owner._online
    with executor_for(estimator.n_jobs) as executor:
        chunks = _batch(estimator, before, X, y, Extras(**extras))
        stats = executor.sum(partial(_checked_e_step, model, state.params), chunks)
        state = estimator._online_step(_model_for(model, state.weight + stats.weight), state, stats)
    given = tuple(dict.fromkeys((*before.extras, *extras_given(extras))))
    estimator._state = replace(before, fitted=Fitted(model, state.params), extras=given)
    estimator._online = state
    set_published(estimator, state.params, state.stats)
    estimator.objective_ = state.stats.objective * state.weight + model.log_prior(state.params)
    estimator.n_iter_, estimator.n_e_steps_ = owner.n_iter_ + 1, owner.n_e_steps_ + 1
    estimator.n_parameters_ = model.n_free(state.params)


def _checked_e_step(model: Any, params: Any, cases: Cases) -> Any:
    model.experts.check(cases)
    return model.e_step(params, cases)


def _check_continues(owner: MixtureOfExperts, classes: Any) -> None:
    """ValueError for a batch that is not like those before."""
    before: State = owner._state
    now = signature_of(owner, before.fitted.model, before.n_columns), penalties_of(owner)
    if now != (before.signature, before.penalties):
        raise ValueError(
            f"partial_fit continues a fit of {before.signature}, with {before.penalties}, but now it would be "
            f"{now[0]}, with {now[1]}"
        )
    if classes is not None and classes_of([labels_of(classes)]).tolist() != owner.classes_.tolist():
        raise ValueError(f"classes must be None or those of the first call, {owner.classes_.tolist()}, got {classes!r}")


def _batch(estimator: MixtureOfExperts, before: State, X: Any, y: Any, extras: Extras) -> Iterable[Cases]:
    """The chunks of a batch, in the units of the first."""
    if is_collection(X):
        raise ValueError(
            f"after the first call of partial_fit X must be in memory or in blocks, but is a dask {type(X).__name__}"
        )
    blocks, rest = blocks_of(X, pairs=True), (before.views, before.n_columns, extras, "the first batch")
    if blocks is None:
        return CasesInMemory(read_cases(estimator, (X, y), *rest, before.frame.inputs))
    check_streamed(estimator, y, extras)
    return stream_of(estimator, blocks, *rest).scaled(before.frame.inputs)
