"""Standard errors of the parameters: from the observed information, or from the spread of refits.

References
----------
.. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Section 2.15: information; 2.16: bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import csr_array, hstack

from .. import _bootstrap, _information
from .._bootstrap import Bootstrap, published_shared, resampled
from .._validation import as_source, check_sample_weight
from ..chunks import Rows
from ..families.covariance import Covariance
from ..mixture.errors import by_differences, matched
from ..mixture.model import MixtureModel, MixtureParams
from ..mixture.noise import fitted_weights
from .fitted import model_of
from .fitting import fitted_covariance, fitted_model
from .information import Pairs, observed_information

if TYPE_CHECKING:
    from .estimator import EMGaussianMixture

F64 = np.dtype(np.float64)


def by_information(estimator: EMGaussianMixture, X: Any, sample_weight: Any, labels: Any) -> dict[str, np.ndarray]:
    """By the names of the fitted attributes; 0 for those that were fixed."""
    if estimator.assignment == "hard":
        raise ValueError(
            "method='information' needs a maximum of the likelihood, which assignment='hard' does not look for; use "
            "method='bootstrap'"
        )
    if estimator.weight_concentration_prior is not None:
        raise ValueError(
            "method='information' needs a maximum of the likelihood, which a fit with weight_concentration_prior is "
            "not; use method='bootstrap'"
        )
    covariance, fixed = fitted_covariance(estimator), frozenset(estimator.fixed)
    weights = fitted_weights(estimator)
    if not (weights > 0).all():
        raise ValueError(f"component {int(weights.argmin())} has weight 0, so X tells nothing of its parameters")
    source, _ = as_source(estimator, X, sample_weight, labels, reset=False)
    chunks = [Rows(rows.X.astype(np.float64), rows.weight.astype(np.float64), rows.labels) for rows in source]
    parts = weights, estimator.means_, estimator.covariances_
    model, params = model_of(covariance, *parts, F64, getattr(estimator, "noise_range_", None))
    entries = free_entries(covariance, *estimator.means_.shape)
    if entries is None:
        errors = by_differences(replace(model, fixed=fixed), params, chunks, _named)
    else:
        errors = exactly(covariance, model, params, chunks, fixed, entries)
    return _published(errors, len(estimator.weights_))


def by_bootstrap(
    estimator: EMGaussianMixture, X: Any, sample_weight: Any, labels: Any, n_bootstrap: int, n_jobs: int | None
) -> dict[str, np.ndarray]:
    """By the names of the fitted attributes, from refits to rows drawn with replacement."""
    weight = _weight_of_rows(estimator, X, sample_weight)
    shared = published_shared(fitted_model(estimator, F64)[0].family)
    bootstrap = Bootstrap(
        draw=lambda rng: {"X": X, "labels": labels, "sample_weight": resampled(weight, rng)},
        responsibilities=lambda mixture, sample: mixture.predict_proba(X),
        named=lambda mixture: _published(_named_of(mixture), len(mixture.weights_)),
        permuted=partial(matched, shared=shared),
    )
    return _bootstrap.standard_errors(estimator, bootstrap, n_bootstrap, n_jobs)


def _named_of(estimator: EMGaussianMixture) -> dict[str, np.ndarray]:
    return {"weights": fitted_weights(estimator), "means": estimator.means_, "covariances": estimator.covariances_}


def _published(named: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """By the names of the fitted attributes; the weight of noise, if it has one, by itself."""
    weights, *noise = np.split(named["weights"], [k]) if len(named["weights"]) > k else (named["weights"],)
    parts = {**{f"{name}_": value for name, value in named.items()}, "weights_": weights}
    return {**parts, "noise_weight_": noise[0][0]} if noise else parts


def _weight_of_rows(estimator: EMGaussianMixture, X: Any, sample_weight: Any) -> np.ndarray:
    """(n,) float64."""
    source, _ = as_source(estimator, X, reset=False)
    n_rows = sum(len(rows) for rows in source)
    weight = check_sample_weight(sample_weight, n_rows, F64)
    return np.ones(n_rows) if weight is None else weight


def exactly(
    covariance_type: Covariance,
    model: MixtureModel,
    params: MixtureParams,
    chunks: Sequence[Rows],
    fixed: frozenset[str],
    entries: Entries,
) -> dict[str, np.ndarray]:
    """By the exact Hessian, for covariances that are linear in their free entries."""
    named = _named(params)
    errors = {name: np.zeros(np.shape(value)) for name, value in named.items()}
    pairs = _pairs(covariance_type, *params.components.means.shape)
    parts = [part for part in _parts(covariance_type, params, pairs, entries) if part.name not in fixed]
    if not parts or sum(part.steps.shape[1] for part in parts) == 0:
        return errors
    information, score = observed_information(model, params, chunks, pairs)
    atoms = hstack([part.atoms for part in parts], format="csr")
    covariance = _information.exact_covariance(atoms.T @ (atoms.T @ information).T, atoms.T @ score)
    start = 0
    for part in parts:
        own = slice(start, start + part.steps.shape[1])
        variances = ((part.steps @ covariance[own, own]) * part.steps.toarray()).sum(axis=1)
        errors[part.name], start = np.sqrt(variances).reshape(errors[part.name].shape), own.stop
    return errors


class Entries(NamedTuple):
    """Places in `covariances_` of its free entries, (p,), and of the same entries above the diagonal of matrices."""

    place: np.ndarray
    mirror: np.ndarray


def free_entries(covariance: Covariance, k: int, d: int) -> Entries | None:
    """None for a type whose free parameters are not entries of `covariances_`."""
    shape = covariance.shape(k, d)
    places = np.arange(np.prod(shape, dtype=np.intp)).reshape(shape)
    if covariance.n_free(k, d) == places.size:
        return Entries(places.ravel(), places.ravel())
    is_dense = covariance.zero_scatter(k, d).ndim == 3
    if is_dense and covariance.n_free(k, d) == places.size // d**2 * d * (d + 1) // 2:
        a, b = np.tril_indices(d)
        return Entries(places[..., a, b].ravel(), places[..., b, a].ravel())
    return None


class Part(NamedTuple):
    """Free parameters of one name, and what a step in each of them moves."""

    name: str
    steps: csr_array  # (size of the published array, p)
    atoms: csr_array  # (number of atoms, p), see `information`


def _parts(covariance: Covariance, params: MixtureParams, pairs: Pairs, entries: Entries) -> tuple[Part, Part, Part]:
    k, d = params.components.means.shape
    k_all, size = len(params.weights), 1 + d + len(pairs.a)  # with noise
    first, n_atoms = size * np.arange(k)[:, None], size * k + k_all - k
    balanced = csr_array(null_space(np.ones((1, k_all))))  # weights keep their sum
    whole = csr_array(np.eye(k * d))
    p, shape = len(entries.place), covariance.shape(k, d)
    steps = np.zeros((int(np.prod(shape)), p))
    steps[entries.place, np.arange(p)] = steps[entries.mirror, np.arange(p)] = 1.0
    moved = [covariance.dense(step.reshape(shape), k, d)[:, pairs.a, pairs.b].ravel() for step in steps.T]
    return (
        Part("weights", balanced, _placed(balanced, size * np.arange(k_all), n_atoms)),
        Part("means", whole, _placed(whole, (first + 1 + np.arange(d)).ravel(), n_atoms)),
        Part(
            "covariances",
            csr_array(steps),
            _placed(csr_array(np.stack(moved, axis=1)), (first + 1 + d + np.arange(len(pairs.a))).ravel(), n_atoms),
        ),
    )


def _placed(rows: csr_array, places: np.ndarray, n: int) -> csr_array:
    """Rows at some places of n, zero elsewhere."""
    spread = csr_array((np.ones(len(places)), (places, np.arange(len(places)))), shape=(n, len(places)))
    return spread @ rows


def _pairs(covariance: Covariance, k: int, d: int) -> Pairs:
    """Entries of the covariances that the type lets differ from zero."""
    moved = covariance.dense(np.ones(covariance.shape(k, d)), k, d)[0] != 0
    return Pairs(*np.nonzero(np.tril(moved)))


def _named(params: MixtureParams) -> dict[str, np.ndarray]:
    return {
        "weights": params.weights,
        "means": params.components.means,
        "covariances": params.components.covariances,
    }
