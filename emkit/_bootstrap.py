"""Standard errors from the spread of refits to resampled data, for any estimator.

References
----------
.. [1] Efron, B. and Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman and Hall. Algorithm 6.1.
.. [2] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Section 2.16: refits that start from the fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone

from . import _information
from ._estimator import DegenerateSolutionWarning
from ._validation import check_integer, check_n_jobs
from ._warnings import callers_level
from .families.base import Family


@dataclass(frozen=True)
class Bootstrap:
    """What must be known of an estimator to refit it and to compare the refit with it.

    Attributes
    ----------
    draw : callable
        ``draw(rng)`` gives the arguments of `fit` for one bootstrap sample, weights of its rows among them.
    responsibilities : callable
        ``responsibilities(estimator, sample)`` gives those of the rows of such a sample, (n, k).
    named : callable
        ``named(estimator)`` gives the parameters whose errors are wanted: arrays, or lists of them, by name.
    permuted : callable
        ``permuted(named, order)`` are the same parameters with component ``order[k]`` in the place of k.
    settings : dict
        Constructor arguments that a refit must have.
    """

    draw: Callable[[np.random.Generator], dict[str, Any]]
    responsibilities: Callable[[Any, dict[str, Any]], np.ndarray]
    named: Callable[[Any], dict[str, Any]]
    permuted: Callable[[dict[str, Any], np.ndarray], dict[str, Any]]
    settings: dict[str, Any] = field(default_factory=dict)


def standard_errors(estimator: Any, bootstrap: Bootstrap, n_bootstrap: int, n_jobs: int | None) -> dict[str, Any]:
    """Standard deviation of the parameters over refits that start where the fit ended, shaped as the parameters.

    A refit is left out, with a warning, if it fails or if a component of it is degenerate. ValueError if fewer than
    two are left.
    """
    check_integer("n_bootstrap", n_bootstrap, 2)
    check_n_jobs(n_jobs)
    rngs = estimator._random_generator().spawn(n_bootstrap)
    refits = Parallel(n_jobs=n_jobs)(delayed(_refit)(estimator, bootstrap, rng) for rng in rngs)
    _report_failures([refit for refit in refits if isinstance(refit, str)], n_bootstrap)
    values = np.array([refit for refit in refits if not isinstance(refit, str)])
    spread = (values - values[0]).std(axis=0, ddof=1)  # exactly 0 for what never changes
    return _information.like(bootstrap.named(estimator), spread)


def resampled(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights of units in a bootstrap sample: a unit of weight w is drawn as w of them would be, (n,)."""
    total = weight.sum()
    n_draws = max(round(float(total)), 1)
    drawn: np.ndarray = rng.multinomial(n_draws, weight / total) * (total / n_draws)
    return drawn


def published_shared(family: Family) -> frozenset[str]:
    """Fitted attributes that all components of a family have in common."""
    return frozenset(f"{name}_" for name in family.shared)


def permuted(named: dict[str, Any], order: np.ndarray, shared: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Arrays whose first axis is that of the components, in another order; those that are `shared` by all stay."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(element) for element in value]
        return value[order] if np.ndim(value) and len(value) == len(order) else value

    return {name: value if name in shared else moved(value) for name, value in named.items()}


def _again(estimator: Any, bootstrap: Bootstrap) -> Any:
    """A copy that a fit continues, silent and without callbacks."""
    again = clone(estimator).set_params(**bootstrap.settings, warm_start=True, verbose=0, n_jobs=None, checkpoint=None)
    again.__dict__.pop("_skl_callbacks", None)
    again._adopt(estimator)
    return again


def _refit(estimator: Any, bootstrap: Bootstrap, rng: np.random.Generator) -> np.ndarray | str:
    """All parameters of a refit, (m,), or why there are none."""
    again, sample = _again(estimator, bootstrap), bootstrap.draw(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", DegenerateSolutionWarning)
        try:
            before = bootstrap.responsibilities(again, sample)
            after = bootstrap.responsibilities(again.fit(**sample), sample)
            order = _matched(before, after, sample["sample_weight"])
            return _information.flat(bootstrap.permuted(bootstrap.named(again), order))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError, DegenerateSolutionWarning) as error:
            return str(error)


def _matched(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each component the one that stands for it after a refit: those that share most of the rows."""
    return np.asarray(linear_sum_assignment((before * weight[:, None]).T @ after, maximize=True)[1])


def _report_failures(reasons: list[str], n_bootstrap: int) -> None:
    n_left = n_bootstrap - len(reasons)
    if n_left < 2:
        raise ValueError(f"{len(reasons)} of {n_bootstrap} bootstrap refits failed; the first: {reasons[0]}")
    if reasons:
        warnings.warn(
            f"{len(reasons)} of {n_bootstrap} bootstrap refits failed and are left out; the first: {reasons[0]}",
            RuntimeWarning,
            stacklevel=callers_level(),
        )
