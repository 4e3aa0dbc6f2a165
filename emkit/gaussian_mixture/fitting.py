"""What `fit` and `partial_fit` of EMGaussianMixture do, between raw input and fitted attributes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._report import SIZE
from .._validation import as_source, check_array, check_choice, check_number, check_rows
from ..chunks import Rows, Source
from ..description import Description, describe, describe_source
from ..engine import Earlier
from ..executors import Changed
from ..families.base import Family
from ..families.conjugate import ConjugateGaussians, is_conjugate, plain
from ..families.covariance import COVARIANCES, Covariance
from ..families.gaussian import GaussianFamily, check_range
from ..fences import fences_of, within
from ..mixture.given import (
    GivenStart,
    check_objective,
    check_start_and_fixed,
    given_responsibilities,
    given_weights,
    refuse_elsewhere,
    strategy,
)
from ..mixture.model import MixtureModel, MixtureParams
from ..mixture.noise import (
    WithNoise,
    fitted_weights,
    gaussians_of,
    noise_attributes,
    range_of,
    with_noise_of,
)
from ..mixture.problem import MixtureProblem, here_if_few
from ..mixture.stepwise import take_step
from ..mixture.weights import WEIGHTINGS, MostLikely, Weighting
from ..online import OnlineState, first_state
from .descent import Descent, descend, largest_size, with_size

if TYPE_CHECKING:
    from .estimator import EMGaussianMixture

PARAMETERS = ("weights", "means", "covariances")


class Online(NamedTuple):
    """What `partial_fit` keeps: the averaged statistics and a description of all rows seen."""

    state: OnlineState
    description: Description


def fit_batch(
    estimator: EMGaussianMixture, owner: EMGaussianMixture, X: Any, sample_weight: Any, labels: Any = None
) -> None:
    """Fit `estimator`, a blank copy of `owner`, by EM on all rows."""
    check_params(estimator)
    is_auto = owner.n_components == "auto"
    if is_auto and labels is not None:
        raise ValueError("labels must be None with n_components='auto', which finds components of its own")
    source, kept = as_source(estimator, X, sample_weight, labels, reset=True)
    description = describe_source(source, estimator.n_jobs)
    check_rows(description.n_rows, description.unobserved, 1 if is_auto else estimator.n_components)
    check_range(description, source.dtype)
    source = here_if_few(source, description.n_rows)
    if is_auto:
        estimator.n_components = _first_size(estimator, owner, description)
    model, description = _model_of(estimator, source, description)
    given = given_start(estimator, description, source, kept)
    rng = estimator._random_generator()
    methods, n_starts = strategy(estimator, given, model.family)
    problem = MixtureProblem(model, source, given, description, methods, rng)
    search = _found(estimator, owner, problem, 1 if problem.has_certain_start else n_starts, rng)
    _publish_found(estimator, search, model, description)


def _model_of(
    estimator: EMGaussianMixture, source: Source, description: Description
) -> tuple[MixtureModel, Description]:
    """The model of rows, and their description as it is to be used: without the far ones if noise takes these."""
    if not estimator.noise:
        return make_model(estimator, description, source.dtype, None), description
    usual = describe(_usual(source, description), source.n_features)
    return make_model(estimator, usual, source.dtype, range_of(source)), usual


def _found(
    estimator: EMGaussianMixture,
    owner: EMGaussianMixture,
    problem: MixtureProblem,
    n_starts: int | None,
    rng: np.random.Generator,
) -> Any:
    """The search for the best start, or for the number of components; or the previous fit, continued."""
    publish = partial(published, problem.model)
    if owner.n_components == "auto" and not _continues(owner):
        find = partial(
            descend, problem=problem, n_descents=n_starts or 1, accelerator_of=estimator._accelerator, rng=rng
        )
        return estimator._search(problem, n_starts, rng, owner, publish, find=find)
    start, earlier = _only_start(owner, problem, n_starts, rng)
    return estimator._search(problem, n_starts, rng, owner, publish, start, earlier)


def _publish_found(estimator: EMGaussianMixture, search: Any, model: MixtureModel, description: Description) -> None:
    best = search.best.result
    check_objective(best.objective)
    _publish(estimator, model, best.params, best.objective, best.stats.weight)
    if isinstance(search, Descent):
        estimator.sizes_ = search.sizes
        model = with_size(model, estimator.n_components_)
    steps = [step for step in best.history if step.phase not in ("start", "sample") and not step.phase.startswith(SIZE)]
    estimator.lower_bounds_ = np.array([step.objective for step in steps]) / best.stats.weight
    estimator._online = Online(first_state(search.best.result), description)
    estimator._record(search, model)


def fit_online(estimator: EMGaussianMixture, owner: EMGaussianMixture, X: Any, sample_weight: Any) -> None:
    """Update `owner` by a batch, into `estimator`, a blank copy of it; without an earlier fit, as `fit`."""
    online: Online | None = getattr(owner, "_online", None)
    if online is None:
        fit_batch(estimator, owner, X, sample_weight)
        return
    check_params(estimator)
    check_continues(owner, "partial_fit", owner.n_features_in_)
    estimator.n_components = len(owner.means_)
    estimator._carry_over(owner)
    dtype = owner.means_.dtype
    source, _ = as_source(estimator, X, sample_weight, reset=False)
    rows = _usual(source, describe(source, source.n_features)) if owner.noise else source
    description = describe(rows, source.n_features, online.description)
    check_range(description, dtype)
    model = make_model(estimator, description, dtype, getattr(owner, "noise_range_", None))
    state = take_step(estimator, owner, model, online.state, Changed(partial(_as_dtype, dtype), source))
    estimator._online = Online(state, description)
    _publish(estimator, model, state.params, state.stats.objective * state.weight, state.weight)
    estimator.lower_bounds_ = np.append(owner.lower_bounds_, estimator.lower_bound_)


def _as_dtype(dtype: np.dtype, rows: Rows) -> Rows:
    return Rows(rows.X.astype(dtype, copy=False), rows.weight.astype(dtype, copy=False))


def check_params(estimator: EMGaussianMixture) -> None:
    """ValueError for a constructor argument that is out of range."""
    estimator._check_shared_params()
    check_choice("covariance_type", estimator.covariance_type, tuple(COVARIANCES))
    check_number("reg_covar", estimator.reg_covar, 0)
    check_choice("assignment", estimator.assignment, ("soft", "hard"))
    check_choice("noise", estimator.noise, (True, False))
    check_start_and_fixed(estimator, PARAMETERS)
    check_prior(estimator)
    check_auto(estimator)


def check_prior(estimator: EMGaussianMixture) -> None:
    """ValueError for a prior on the weights that is none, or where the weights are not estimated."""
    check_choice("weight_concentration_prior_type", estimator.weight_concentration_prior_type, tuple(WEIGHTINGS))
    prior = estimator.weight_concentration_prior
    if prior is None:
        return
    if check_number("weight_concentration_prior", prior, 0) == 0:
        raise ValueError(f"weight_concentration_prior must be None or a number > 0, but got {prior!r}")
    if estimator.fixed:
        raise ValueError(f"fixed must be () with weight_concentration_prior={prior!r}, but got {estimator.fixed!r}")


def check_auto(estimator: EMGaussianMixture) -> None:
    """ValueError for what has no meaning while the number of components is searched for."""
    if estimator.n_components != "auto":
        return
    if estimator.fixed:
        raise ValueError(f"fixed must be () with n_components='auto', but got {estimator.fixed!r}")
    prior = estimator.weight_concentration_prior
    if prior is not None:
        raise ValueError(f"weight_concentration_prior must be None with n_components='auto', but got {prior!r}")


def make_model(
    estimator: EMGaussianMixture, description: Description, dtype: np.dtype, noise_range: np.ndarray | None
) -> MixtureModel:
    gaussians = GaussianFamily(
        COVARIANCES[estimator.covariance_type], estimator.n_components, description.scale, estimator.reg_covar, dtype
    )
    family: Family = gaussians
    if estimator.weight_concentration_prior is not None:
        family = _under_prior(gaussians, description.mean)
    if noise_range is not None:
        family = WithNoise.over(family, noise_range)
    return MixtureModel(family, estimator.assignment == "hard", frozenset(estimator.fixed), _weighting(estimator))


def _under_prior(family: GaussianFamily, centre: np.ndarray) -> ConjugateGaussians:
    if not is_conjugate(family.covariance, family.n_features):
        raise ValueError(
            "weight_concentration_prior takes a covariance_type that shares all or nothing between components, "
            f"but got covariance_type={family.covariance.name!r}"
        )
    return ConjugateGaussians(family, centre)


def _weighting(estimator: EMGaussianMixture) -> Weighting:
    if estimator.weight_concentration_prior is None:
        return MostLikely()
    made = WEIGHTINGS[estimator.weight_concentration_prior_type]
    return made(float(estimator.weight_concentration_prior))


def _usual(source: Source, description: Description) -> Iterable[Rows]:
    """The rows with far values moved to the fences: noise is for them, and they must not stretch the floor's units."""
    return within(source, fences_of(source, description))


def given_start(
    estimator: EMGaussianMixture, description: Description, source: Source, kept: np.ndarray | None
) -> GivenStart:
    """Check what the user gave of a start; `kept` are the indices of the rows that have weight."""
    k, d = estimator.n_components, len(description.mean)
    covariance = COVARIANCES[estimator.covariance_type]
    parts: dict[str, np.ndarray] = {}
    if estimator.weights_init is not None:
        parts["weights"] = given_weights(estimator.weights_init, k, estimator.noise)
    if estimator.means_init is not None:
        parts["means"] = check_array("means_init", estimator.means_init, (k, d), "means")
    if estimator.precisions_init is not None:
        label = f"{covariance.name} precision"
        precisions = check_array("precisions_init", estimator.precisions_init, covariance.shape(k, d), label)
        parts["covariances"] = covariance.from_precisions(precisions, k, d)
    if isinstance(estimator.init_params, str):
        return GivenStart(parts)
    refuse_elsewhere(source)
    return GivenStart(parts, given_responsibilities(estimator.init_params, description.n_rows, k, kept))


def _only_start(
    owner: EMGaussianMixture, problem: MixtureProblem, n_starts: int | None, rng: np.random.Generator
) -> tuple[MixtureParams | None, Earlier | None]:
    """The start where there is only one, and where the previous fit ended if that is continued."""
    if not _continues(owner):
        return (problem.draw(0, rng.spawn(1)[0]), None) if n_starts == 1 else (None, None)
    check_continues(owner, "warm_start=True", problem.model.family.n_features)
    parts = {name: getattr(owner, f"{name}_").astype(np.float64) for name in ("means", "covariances")}
    return problem.complete({"weights": fitted_weights(owner), **parts}), owner._earlier


def _continues(owner: EMGaussianMixture) -> bool:
    """Whether a fit goes on from the one before."""
    return bool(owner.warm_start) and hasattr(owner, "_earlier")


def _first_size(estimator: EMGaussianMixture, owner: EMGaussianMixture, description: Description) -> int:
    """With how many components "auto" begins: those of a fit that is continued, those of a given start, or many."""
    if _continues(owner):
        return len(owner.means_)
    for given in (estimator.means_init, estimator.weights_init):
        if given is not None and np.ndim(given):
            return len(given)
    if not isinstance(estimator.init_params, str):
        given = np.asarray(estimator.init_params)
        return given.shape[1] if given.ndim == 2 else len(np.unique(given))
    return largest_size(COVARIANCES[estimator.covariance_type], len(description.mean), description.weight)


def check_continues(estimator: EMGaussianMixture, what: str, n_features: int) -> None:
    """ValueError if `what` would continue a fit of another size or type."""
    fitted = (*estimator.means_.shape, estimator._fitted_type)
    wanted = fitted[0] if estimator.n_components == "auto" else estimator.n_components
    if hasattr(estimator, "noise_weight_") != estimator.noise:
        raise ValueError(f"{what} continues a fit with noise={not estimator.noise}, but now noise={estimator.noise}")
    if fitted != (wanted, n_features, estimator.covariance_type):
        raise ValueError(
            f"{what} continues a fit with n_components={fitted[0]}, {fitted[1]} features and "
            f"covariance_type={fitted[2]!r}, but now n_components={estimator.n_components}, "
            f"covariance_type={estimator.covariance_type!r} and X has {n_features} features"
        )


def published(model: MixtureModel, params: MixtureParams) -> dict[str, np.ndarray]:
    """Fitted attributes that hold parameters, of whatever number of components, in the dtype of the data."""
    family = gaussians_of(model.family)
    means, covariances, factors = plain(params.components)[:3]
    k = len(means)
    attributes = {
        "weights_": params.weights[:k],
        "means_": means,
        "covariances_": covariances,
        "precisions_": family.covariance.precisions(factors),
        "precisions_cholesky_": family.covariance.published_factors(factors),
        **noise_attributes(model.family, params),
    }
    return {name: np.asarray(value).astype(family.dtype) for name, value in attributes.items()}


def _publish(
    estimator: EMGaussianMixture,
    model: MixtureModel,
    params: MixtureParams,
    objective: float,
    weight: float,
) -> None:
    for name, value in published(model, params).items():
        setattr(estimator, name, value)
    estimator.n_components_ = len(estimator.means_)
    estimator._fitted_type = gaussians_of(model.family).covariance.name
    estimator.objective_ = float(objective)
    estimator.lower_bound_ = float(objective) / weight


def fitted_covariance(estimator: EMGaussianMixture) -> Covariance:
    """That of the fit, which `set_params` does not change; of the constructor where attributes were set by hand."""
    return COVARIANCES[getattr(estimator, "_fitted_type", estimator.covariance_type)]


def fitted_model(estimator: EMGaussianMixture, dtype: np.dtype) -> tuple[MixtureModel, MixtureParams]:
    """The model and parameters of a fitted estimator, for rows of a dtype."""
    k, d = estimator.means_.shape
    family = GaussianFamily(fitted_covariance(estimator), k, np.ones(d), estimator.reg_covar, dtype)
    components = family.from_factors(estimator.means_, estimator.covariances_, estimator.precisions_cholesky_)
    model = MixtureModel(with_noise_of(estimator, family), estimator.assignment == "hard")
    return model, MixtureParams(fitted_weights(estimator), components)
