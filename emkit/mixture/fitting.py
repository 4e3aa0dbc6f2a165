"""What `fit` and `partial_fit` of EMMixture do, between raw input and fitted attributes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._validation import as_source, check_choice, check_number, check_rows
from ..chunks import Rows, Source
from ..description import Description, describe, describe_source
from ..engine import Earlier
from ..families.base import Family, Options
from ..families.covariance import COVARIANCES
from ..families.discrete import Checked
from ..families.table import family_class, family_of_chunks, takes_only
from ..fences import fences_of, within
from ..online import OnlineState, first_state
from .given import (
    GivenStart,
    check_objective,
    check_start_and_fixed,
    given_responsibilities,
    given_weights,
    refuse_elsewhere,
    strategy,
)
from .model import MixtureModel, MixtureParams, MixtureStats
from .noise import WithNoise, fitted_weights, noise_attributes, range_of, with_noise_of, without_noise
from .problem import MixtureProblem, here_if_few
from .stepwise import take_step

if TYPE_CHECKING:
    from .estimator import EMMixture


class Online(NamedTuple):
    """What `partial_fit` keeps: the averaged statistics, and the model, in units of the first rows."""

    state: OnlineState[MixtureParams, MixtureStats]
    model: MixtureModel


def fit(estimator: EMMixture, owner: EMMixture, X: Any, sample_weight: Any = None, labels: Any = None) -> None:
    """Fit `estimator`, a blank copy of `owner`, by EM on all rows."""
    check_params(estimator)
    source, kept = read(estimator, X, sample_weight, labels, reset=True)
    described = describe_source(source, estimator.n_jobs)
    check_rows(described.n_rows, described.unobserved, estimator.n_components)
    source = here_if_few(source, described.n_rows)
    model = make_model(estimator, source, described, kept)
    given = given_start(estimator, model, source, described.n_rows, kept)
    rng = estimator._random_generator()
    methods, n_starts = strategy(estimator, given, model.family)
    problem = MixtureProblem(model, source, given, described, methods, rng)
    if problem.has_certain_start:
        n_starts = 1
    start, earlier = _only_start(owner, problem, n_starts, rng)
    search = estimator._search(problem, n_starts, rng, owner, partial(published, model), start, earlier)
    check_objective(search.best.result.objective)
    for name, value in published(model, search.best.result.params).items():
        setattr(estimator, name, value)
    estimator._fitted_type = _type_of(estimator)
    estimator._online = Online(first_state(search.best.result), model)
    estimator._record(search, model)


def fit_online(estimator: EMMixture, owner: EMMixture, X: Any, sample_weight: Any = None) -> None:
    """Update `owner` by a batch, into `estimator`, a blank copy of it; without an earlier fit, as `fit`."""
    online: Online | None = getattr(owner, "_online", None)
    if online is None:
        fit(estimator, owner, X, sample_weight)
        return
    check_params(estimator)
    _check_continues(owner, "partial_fit")
    estimator._carry_over(owner)
    source, kept = read(estimator, X, sample_weight, reset=False)
    known = Checked(source, online.model.family.check_rows, kept)
    model = replace(online.model, fixed=frozenset(estimator.fixed))
    state = take_step(estimator, owner, model, online.state, known)
    estimator._online = Online(state, model)
    for name, value in published(model, state.params).items():
        setattr(estimator, name, value)
    estimator.objective_ = state.stats.objective * state.weight + model.log_prior(state.params)


def read(
    estimator: EMMixture, X: Any, sample_weight: Any = None, labels: Any = None, *, reset: bool
) -> tuple[Source, np.ndarray | None]:
    """Rows in float64, and the indices of those with weight (None for all)."""
    return as_source(estimator, X, sample_weight, labels, reset=reset, floats=(np.float64,))


def check_params(estimator: EMMixture) -> None:
    """ValueError for a constructor argument that is out of range."""
    estimator._check_shared_params()
    check_choice("covariance_type", estimator.covariance_type, tuple(COVARIANCES))
    check_number("reg_covar", estimator.reg_covar, 0)
    check_choice("noise", estimator.noise, (True, False))
    if estimator.noise and not takes_only(estimator.family, ("gaussian", "student")):
        raise ValueError(f"noise=True needs family 'gaussian' or 'student', but got family={estimator.family!r}")
    names = tuple(family_class(estimator.family, "family").names)
    if "weights" in names:
        raise ValueError(f"family={estimator.family!r} calls a parameter 'weights', as the mixture calls its own")
    names = ("weights", *names)
    check_start_and_fixed(estimator, names)
    given = estimator.parts_init
    if given is not None and (not isinstance(given, dict) or any(name not in names for name in given)):
        raise ValueError(f"parts_init must be None or a dict with keys among {names}, but got {given!r}")


def options_of(estimator: EMMixture) -> Options:
    return Options(
        covariance_type=estimator.covariance_type,
        reg_covar=estimator.reg_covar,
        n_symbols=_settled(estimator.n_symbols),
        emissionprob_prior=estimator.emissionprob_prior,
    )


def _type_of(estimator: EMMixture) -> tuple[Any, Options]:
    """What `fitted_model` needs to know besides the parameters."""
    return _settled(estimator.family), options_of(estimator)


def _settled(value: Any) -> Any:
    """A list or an array, which the user may change later, as a tuple; anything else as it is."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(value) if isinstance(value, list) else value


def make_model(estimator: EMMixture, source: Source, described: Description, kept: np.ndarray | None) -> MixtureModel:
    usual: Iterable[Rows] = source
    if estimator.noise:  # far rows, which noise is for, must not stretch the family's units
        usual = within(source, fences_of(source, described))
        described = describe(usual, source.n_features)
    family: Family = family_of_chunks(
        estimator.family, "family", estimator.n_components, options_of(estimator), usual, described, kept
    )
    if estimator.noise:
        family = WithNoise.over(family, range_of(source))
    return MixtureModel(family, fixed=frozenset(estimator.fixed))


def given_start(
    estimator: EMMixture, model: MixtureModel, source: Source, n_rows: int, kept: np.ndarray | None
) -> GivenStart:
    """What the user gave of a start, checked; `kept` are the indices of the rows that have weight."""
    k = estimator.n_components
    parts = {}
    for name, value in (estimator.parts_init or {}).items():
        parts[name] = (
            given_weights(value, k, estimator.noise, "parts_init['weights']")
            if name == "weights"
            else _checked(model, name, value)
        )
    if isinstance(estimator.init_params, str):
        return GivenStart(parts)
    refuse_elsewhere(source)
    return GivenStart(parts, given_responsibilities(estimator.init_params, n_rows, k, kept))


def _checked(model: MixtureModel, name: str, value: Any) -> Any:
    try:
        return model.family.check_part(name, value)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{name}_init", f"parts_init[{name!r}]")) from None


def _only_start(
    owner: EMMixture, problem: MixtureProblem, n_starts: int | None, rng: np.random.Generator
) -> tuple[MixtureParams | None, Earlier | None]:
    """The start where there is only one, and where the previous fit ended if that is continued."""
    if not owner.warm_start or not hasattr(owner, "_earlier"):
        return (problem.draw(0, rng.spawn(1)[0]), None) if n_starts == 1 else (None, None)
    _check_continues(owner, "warm_start=True", problem.model.family.n_features)
    model, params = fitted_model(owner)
    return problem.complete({"weights": params.weights, **model.family.parts(params.components)}), owner._earlier


def _check_continues(owner: EMMixture, what: str, n_features: int | None = None) -> None:
    """ValueError if `what` would continue a fit of another size or type."""
    now = (owner.n_components, n_features or owner.n_features_in_, _type_of(owner), owner.noise)
    then = (len(owner.weights_), owner.n_features_in_, owner._fitted_type, hasattr(owner, "noise_weight_"))
    if now != then:
        raise ValueError(
            f"{what} continues a fit with n_components={then[0]}, {then[1]} features, family={then[2][0]!r}, "
            f"{then[2][1]} and noise={then[3]}, but now they are {now[0]}, {now[1]}, {now[2][0]!r}, {now[2][1]} "
            f"and {now[3]}"
        )


def published(model: MixtureModel, params: MixtureParams) -> dict[str, Any]:
    """Fitted attributes that hold parameters."""
    parts = model.family.parts(params.components)
    k = without_noise(model.family).n_components
    return {
        "weights_": params.weights[:k],
        **{f"{name}_": value for name, value in parts.items()},
        **noise_attributes(model.family, params),
    }


def fitted_model(estimator: EMMixture) -> tuple[MixtureModel, MixtureParams]:
    """The model and parameters of a fitted estimator; the settings are those of the fit."""
    kind, options = estimator._fitted_type
    made = family_class(kind, "family")
    parts = {name: getattr(estimator, f"{name}_") for name in made.names}
    family = made.for_parts(len(estimator.weights_), options, parts)
    model = MixtureModel(with_noise_of(estimator, family))
    return model, MixtureParams(fitted_weights(estimator), model.family.from_parts(parts))
