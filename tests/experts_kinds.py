"""Mixtures of experts of each kind, and data for them; what tests with scikit-learn share."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor

pl = pytest.importorskip("polars")

warnings_are_errors = pytest.mark.filterwarnings(
    "error",
    "ignore::emkit._estimator.DegenerateSolutionWarning",  # of experts with few rows
)


N = 120


def simulated(n=N, seed=0):
    """Inputs, responses on two lines that the first input chooses, counts, three classes and ids of blocks of three."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    block = np.repeat(np.arange(n // 3), 3)
    X[:, 0] = X[::3, 0].repeat(3) + 0.1 * X[:, 0]
    upper = X[::3, 0].repeat(3) > 0
    y = np.where(upper, 2 * X[:, 1] + 4, -X[:, 1]) + 0.3 * rng.normal(size=n)
    counts = rng.poisson(np.exp(np.where(upper, 0.8 * X[:, 1] + 1, -0.5 * X[:, 1])))
    classes = (X[:, 1] * np.where(upper, 1, -1) + 0.7 * rng.normal(size=n) > 0).astype(int) + (rng.random(n) > 0.8)
    return X, y, counts, classes, block


X, Y, COUNTS, CLASSES, BLOCK = simulated()
LABELS = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"], index=[f"r{i}" for i in range(N)])
POLARS = pl.DataFrame({name: FRAME[name].to_numpy() for name in FRAME})
MIXED = FRAME.assign(kind=pd.Categorical(np.where(LABELS, "up", "down")), size=np.where(X[:, 2] > 0, "L", "S"))
PAIR = np.column_stack([Y, X[:, 2] - Y + 0.2 * np.random.default_rng(1).normal(size=N)])
STRINGS = np.array(["blue", "green", "red"])[CLASSES]
QUICK = {"random_state": 0, "n_init": 1, "tol": 1e-6}


def regressor(**options):
    return EMMixtureOfExpertsRegressor(**{**QUICK, **options})


def classifier(**options):
    return EMMixtureOfExpertsClassifier(**{**QUICK, "gate": "constant", **options})


def outputs(model, X, y):
    """All that a fitted model says of rows, by name."""
    out = {
        "predict": model.predict(X),
        "predict_expert_proba": model.predict_expert_proba(X),
        "responsibilities": model.predict_expert_proba(X, y),
        "score_samples": model.score_samples(X, y),
        "score": np.array(model.score(X, y)),
        "sample": model.sample(X, 2),
    }
    if is_classifier(model):
        return {**out, "predict_proba": model.predict_proba(X)}
    return {**out, "quantile": model.predict_quantile(X, [0.1, 0.9]), "lower": model.predict_interval(X)[0]}


def assert_same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        if tolerance and one[name].dtype.kind == "f":
            assert_allclose(one[name], other[name], err_msg=name, **tolerance)
        else:
            assert_array_equal(one[name], other[name], err_msg=name)


KINDS = [
    pytest.param(regressor, {}, Y, id="gaussian"),
    pytest.param(regressor, {"gate": "gaussian", "expert": "student"}, Y, id="student"),
    pytest.param(regressor, {"n_components": 3, "gate": "hierarchical", "noise": True}, Y, id="hierarchical-noise"),
    pytest.param(regressor, {"gate": "constant"}, PAIR, id="two-outputs"),
    pytest.param(regressor, {"expert": "poisson"}, COUNTS, id="poisson"),
    pytest.param(regressor, {"expert": "gamma"}, np.exp(Y / 4), id="gamma"),
    pytest.param(regressor, {"expert": "binomial", "alpha": 0.1}, COUNTS > 1, id="binomial"),
    pytest.param(regressor, {"expert": Ridge(), "tol": 1e-4}, Y, id="ridge"),
    pytest.param(classifier, {}, CLASSES, id="classes"),
    pytest.param(classifier, {"gate": "softmax", "noise": True}, STRINGS, id="strings"),
    pytest.param(classifier, {"expert": GaussianNB(), "tol": 1e-3}, STRINGS, id="naive-bayes"),
]
of_each_kind = pytest.mark.parametrize(("make", "options", "y"), KINDS)
