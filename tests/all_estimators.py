"""The estimators of emkit in small settings, with a plain table for each: for the tests that go over all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _num_samples

from emkit import (
    ComponentSearch,
    DegenerateSolutionWarning,
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)

N = 24
OF_ROWS = ("predict", "predict_proba", "predict_proba_filtered", "predict_expert_proba", "transform", "standard_error")
OTHER_OBJECTS = ("experts_", "best_estimator_", "indicator_")
CLUSTER = np.arange(N) // (N // 2)


def _numbers() -> np.ndarray:
    """Two clusters; multiples of 1/4, so that any floating-point type holds them, and four times them are integers."""
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[CLUSTER == 1] += [4, 4, 0]
    return np.rint(4 * X) / 4


def _counts(high: int, d: int) -> np.ndarray:
    """Integers below `high`, of which none is missing; no row is zero."""
    X = np.random.default_rng(1).integers(0, high, (N, d)).astype(float)
    X[CLUSTER == 1, 0] = high - 1
    X[0], X[-1] = 0, high - 1
    X[0, 1] = X[-1, 0] = 1
    return X


TABLES = {
    "numbers": _numbers(),
    "inputs": _numbers(),
    "counts": _counts(9, 3),
    "symbols": _counts(3, 3),
    "levels": _counts(3, 3),
    "bits": _counts(2, 3),
    "tokens": _counts(5, 6),
}
FIRST, SECOND = TABLES["inputs"][:, 0], TABLES["inputs"][:, 1]
RESPONSES = {
    "number": np.where(CLUSTER, SECOND, -SECOND) + np.arange(N) % 3 / 4,
    "count": np.arange(N) * 7 % 5 + 4.0 * CLUSTER,
    "positive": np.arange(N) * 7 % 5 + 4.0 * CLUSTER + 1,
    "class": (CLUSTER + np.arange(N) % 5 // 4) % 2,
}


class Column(NamedTuple):
    """An estimator in a setting: what makes it, and the kinds of table and response that it takes."""

    make: Callable[[], Any]
    kind: str
    response: str | None = None

    @property
    def X(self) -> np.ndarray:
        return TABLES[self.kind].copy()

    @property
    def y(self) -> np.ndarray | None:
        return None if self.response is None else RESPONSES[self.response].copy()


def _maker(cls: type, *args: Any, **options: Any) -> Callable[[], Any]:
    few = {"random_state": 0, "n_init": 1, "max_iter": 20, "tol": 1e-4, **options}
    return lambda: cls(*args, **few)


def _search() -> Any:
    return ComponentSearch(EMGaussianMixture(n_init=1, max_iter=20, tol=1e-4), n_components=(1, 2), random_state=0)


COLUMNS = {
    "gaussian": Column(_maker(EMGaussianMixture, 2), "numbers"),
    "auto": Column(_maker(EMGaussianMixture, "auto"), "numbers"),
    "noise": Column(_maker(EMGaussianMixture, 2, noise=True, covariance_type="VEE"), "numbers"),
    "prior": Column(_maker(EMGaussianMixture, 3, weight_concentration_prior=0.1), "numbers"),
    "student": Column(_maker(EMMixture, 2), "numbers"),
    "categorical": Column(_maker(EMMixture, 2, family="categorical"), "symbols"),
    "bernoulli": Column(_maker(EMMixture, 2, family="bernoulli"), "bits"),
    "poisson": Column(_maker(EMMixture, 2, family="poisson"), "counts"),
    "markov": Column(_maker(EMHiddenMarkov, 2), "numbers"),
    "markov mixture": Column(_maker(EMHiddenMarkov, 2, emission="mixture"), "numbers"),
    "markov poisson": Column(_maker(EMHiddenMarkov, 2, emission="poisson"), "counts"),
    **{f"topics {m}": Column(_maker(EMTopicModel, 2, method=m), "tokens") for m in ("map", "plsa", "vb", "cvb0")},
    **{
        f"imputer {m}": Column(_maker(EMImputer, m, columns="continuous", n_components=2), "numbers")
        for m in ("gaussian", "copula", "mixture", "factor")
    },
    "imputer latent_class": Column(_maker(EMImputer, "latent_class", columns="nominal", n_components=2), "levels"),
    "regressor": Column(_maker(EMMixtureOfExpertsRegressor), "inputs", "number"),
    "regressor student": Column(
        _maker(EMMixtureOfExpertsRegressor, expert="student", gate="gaussian"), "inputs", "number"
    ),
    "regressor poisson": Column(
        _maker(EMMixtureOfExpertsRegressor, expert="poisson", gate="constant"), "inputs", "count"
    ),
    "classifier": Column(_maker(EMMixtureOfExpertsClassifier), "inputs", "class"),
    "search": Column(_search, "numbers"),
}


class only_documented_warnings(warnings.catch_warnings):  # reads like a statement
    """Any other warning is an error."""

    def __enter__(self):
        entered = super().__enter__()
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DegenerateSolutionWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return entered


def fit(column, X, y=None, **metadata):
    model = column.make()
    return model.fit(X, **({} if y is None else {"y": y}), **metadata)


def attributes(model):
    """All that is public and fitted, properties included."""
    names = [name for name in dir(model) if name.endswith("_") and not name.startswith("_")]
    return {name: getattr(model, name) for name in names if name not in OTHER_OBJECTS and hasattr(model, name)}


def leaves(name, value):
    """The arrays in a fitted attribute, by name."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(key, inner)]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in leaves(name, inner)]
    array = np.asarray(value)
    if array.dtype.names:
        return [leaf for field in array.dtype.names for leaf in leaves(field, array[field])]
    return [(name, array)]


def assert_same(one, other):
    """To the bit; seconds apart."""
    assert list(one) == list(other)
    for name in one:
        for (leaf, a), (_, b) in zip(leaves(name, one[name]), leaves(name, other[name]), strict=True):
            if leaf != "seconds":
                np.testing.assert_array_equal(a, b, err_msg=f"{name} {leaf}")


def as_array(values):
    """What a method gives, as numbers where it can be."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    try:
        return array.astype(np.float64)
    except (ValueError, OverflowError):  # categories
        return array


def outputs(model, X, y=None):
    """What the methods of a fitted estimator say of rows."""
    out = {name: as_array(getattr(model, name)(X)) for name in OF_ROWS if hasattr(model, name)}
    given = () if y is None else (y,)
    out["score_samples"] = as_array(model.score_samples(X, *given))
    if _num_samples(X) > 1:  # R squared needs two rows
        out["score"] = as_array(model.score(X, *given))
    return out
