"""Standard errors of mixtures of any family: from the observed information, or from the spread of refits.

References
----------
.. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Section 2.15: information; 2.16: bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _bootstrap, _information
from .._bootstrap import Bootstrap, permuted, published_shared, resampled
from .._validation import check_sample_weight
from ..chunks import Rows
from ..executors import each
from ..families.base import only_known, posterior
from ..partitions import is_collection
from .fitting import fitted_model, published, read
from .model import MixtureModel, MixtureParams

if TYPE_CHECKING:
    from .estimator import EMMixture

PROBABILITIES = ("weights_", "noise_weight_", "emissionprob_")
KNOWN = "noise_range_"  # which has no error


def by_information(estimator: EMMixture, X: Any, sample_weight: Any, labels: Any) -> dict[str, Any]:
    """By the names of the fitted attributes; 0 for those that were fixed, and for probabilities of 0 or 1."""
    model, params = fitted_model(estimator)
    model = replace(model, fixed=frozenset(estimator.fixed))
    if not model.family.has_vector:
        raise ValueError(f"{type(model.family).__name__} has no unconstrained vector; use method='bootstrap'")
    source, _ = read(estimator, X, sample_weight, labels, reset=False)
    errors = by_differences(model, params, source, partial(_named, model))
    values = _named(model, params)
    return {
        name: _information.within_border(values[name], error) if name in PROBABILITIES else error
        for name, error in errors.items()
    }


def by_bootstrap(
    estimator: EMMixture, X: Any, sample_weight: Any, labels: Any, n_bootstrap: int, n_jobs: int | None
) -> dict[str, Any]:
    """By the names of the fitted attributes, from refits to rows drawn with replacement."""
    if is_collection(X):
        raise ValueError("method must be 'information' where X is a dask collection, but got 'bootstrap'")
    n_rows = sum(len(rows) for rows in read(estimator, X, reset=False)[0])
    weight = check_sample_weight(sample_weight, n_rows, np.dtype(np.float64))
    weight = np.ones(n_rows) if weight is None else weight
    bootstrap = Bootstrap(
        draw=lambda rng: {"X": X, "labels": labels, "sample_weight": resampled(weight, rng)},
        responsibilities=lambda mixture, sample: mixture.predict_proba(X),
        named=lambda mixture: _named(*fitted_model(mixture)),
        permuted=partial(matched, shared=published_shared(fitted_model(estimator)[0].family)),
    )
    return _bootstrap.standard_errors(estimator, bootstrap, n_bootstrap, n_jobs)


def by_differences(
    model: MixtureModel,
    params: MixtureParams,
    chunks: Iterable[Rows],
    named: Callable[[MixtureParams], dict[str, Any]],
) -> dict[str, Any]:
    """By the numerical Hessian: about 2 p^2 passes over the rows for p free parameters."""

    def at(vector: np.ndarray) -> MixtureParams:
        moved = model.from_vector(vector, params)
        if moved is None:
            raise ValueError("the fit is at the border of what the parameters may be: there is no standard error")
        return moved

    def value(vector: np.ndarray) -> float:
        return sum(each(partial(_log_likelihood, model, at(vector)), chunks))

    return _information.standard_errors(value, lambda vector: named(at(vector)), model.to_vector(params))


def _log_likelihood(model: MixtureModel, params: MixtureParams, rows: Rows) -> float:
    """Weighted total of a chunk."""
    return float(rows.weight @ posterior(only_known(model.log_joint(params, rows), rows.labels))[0])


def matched(named: dict[str, Any], order: np.ndarray, shared: frozenset[str]) -> dict[str, Any]:
    """Noise is not matched with components: if it stands for one now, the refit is of no use."""
    k = len(named["weights_"])
    if set(order[:k]) != set(range(k)):
        raise ValueError("noise and a component have changed places")
    return permuted(named, order[:k], shared)


def _named(model: MixtureModel, params: MixtureParams) -> dict[str, Any]:
    return {name: value for name, value in published(model, params).items() if name != KNOWN}
