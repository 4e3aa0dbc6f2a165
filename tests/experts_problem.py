"""Small data for mixtures of experts, and what a sound fit and a refusal are."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor

nan, inf = np.nan, np.inf
N = 60


def simulated(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    upper = X[:, 0] > 0
    y = np.where(upper, 2 * X[:, 1] + 4, -X[:, 1]) + 0.3 * rng.normal(size=n)
    return X, y, rng.poisson(np.exp(0.5 * X[:, 1])), (X[:, 1] * np.where(upper, 1, -1) + rng.normal(size=n) > 0) * 1


X, Y, COUNTS, CLASSES = simulated()
POSITIVE = np.exp(Y / 4)
BLOCK = np.arange(N) // 3
LABELS = np.where(CLASSES, "yes", "no")
ONES = np.ones(N)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def regressor(*args, **options):
    return EMMixtureOfExpertsRegressor(*args, **{"random_state": 0, "n_init": 1, "tol": 1e-6, **options})


def classifier(*args, **options):
    return EMMixtureOfExpertsClassifier(*args, **{"random_state": 0, "n_init": 1, "tol": 1e-6, **options})


class only_documented_warnings(warnings.catch_warnings):  # reads like a statement
    """Any other warning is an error."""

    def __enter__(self):
        entered = super().__enter__()
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DegenerateSolutionWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return entered


def assert_sound(model, X, y, **extras):
    """All that a fitted model says is finite and what it should be."""
    for name, value in vars(model).items():
        if name.endswith("_") and isinstance(value, float | np.ndarray) and np.asarray(value).dtype.kind == "f":
            assert np.isfinite(value).all(), name
    assert np.isfinite(model.history_["objective"]).all()
    assert model.weights_.sum() == pytest.approx(1)
    for proba in (model.predict_expert_proba(X, **extras), model.predict_expert_proba(X, y, **extras)):
        assert (proba >= 0).all()
        assert_allclose(proba.sum(axis=1), 1)
    assert np.isfinite(model.score_samples(X, y, **extras)).all()
    assert np.isfinite(model.score_samples(X, **extras)).all()
    if is_classifier(model):
        assert_allclose(model.predict_proba(X).sum(axis=1), 1)
        assert set(model.predict(X)) <= set(model.classes_)
        assert set(model.sample(X, 2).ravel()) <= set(model.classes_)
        return
    assert np.isfinite(model.predict(X, **extras)).all()
    assert np.isfinite(model.sample(X, 2, **extras)).all()
    low, middle, high = np.moveaxis(model.predict_quantile(X, [0.025, 0.5, 0.975], **extras), 1, 0)
    assert np.isfinite([low, middle, high]).all()
    rounding = 1e-12 * np.abs(middle)
    assert (low <= middle + rounding).all()
    assert (middle <= high + rounding).all()
    assert_allclose(model.predict_interval(X, 0.95, **extras)[0], low, rtol=1e-6, atol=1e-12)


def fitted(model, X, y, **extras):
    """Fit with none but documented warnings, and look at everything."""
    with only_documented_warnings():
        model.fit(X, y, **extras)
        extras.pop("sample_weight", None)
        assert_sound(model, X, y, **extras)
    return model


def assert_refused(model, message, data=X, y=Y, error=ValueError, **extras):
    with only_documented_warnings(), pytest.raises(error, match=message):
        model.fit(data, y, **extras)
    assert not [name for name in vars(model) if name.endswith("_") or name == "_state"]
