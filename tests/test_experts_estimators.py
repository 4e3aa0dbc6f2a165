"""Estimators of scikit-learn as experts: those that fit, and those that raise or predict nonsense."""

import numpy as np
import pytest
from experts_problem import (
    CLASSES,
    COUNTS,
    LABELS,
    N,
    X,
    Y,
    assert_refused,
    classifier,
    fitted,
    inf,
    nan,
    regressor,
)
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor


class Shaky(RegressorMixin, BaseEstimator):
    """Predicts what it is told to."""

    def __init__(self, answer=0.0):
        self.answer = answer

    def fit(self, X, y, sample_weight=None):
        if self.answer == "raise":
            raise RuntimeError("no fit today")
        self.fitted_ = True
        return self

    def predict(self, X):
        return self.answer(X) if callable(self.answer) else np.full(len(X), self.answer)


class ShakyClassifier(ClassifierMixin, Shaky):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), self.answer)


@pytest.mark.parametrize(
    "expert",
    [
        RandomForestRegressor(5),
        GradientBoostingRegressor(n_estimators=5),
        HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=3),
        SVR(),
        KernelRidge(kernel="rbf"),
        DummyRegressor(),
        DecisionTreeRegressor(max_depth=3),
        MultiOutputRegressor(Ridge()),
        EMMixtureOfExpertsRegressor(n_init=1, max_iter=3),
        Shaky(1.0),
        Shaky(lambda X: np.ones((len(X), 1))),
    ],
)
@pytest.mark.parametrize("gate", ["softmax", "constant"])
def test_regressors_as_experts(expert, gate):
    y = np.column_stack([Y, X[:, 2]]) if isinstance(expert, MultiOutputRegressor) else Y
    model = fitted(regressor(expert=expert, gate=gate, max_iter=4), X, y)
    assert [type(one.estimator_) for one in model.experts_] == [type(expert)] * 2


@pytest.mark.parametrize(
    "expert",
    [
        RandomForestClassifier(5),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=3),
        DummyClassifier(strategy="most_frequent"),
        DecisionTreeClassifier(),
        GaussianNB(),
        EMMixtureOfExpertsClassifier(n_init=1, max_iter=2),
        ShakyClassifier(1.0),
    ],
)
@pytest.mark.parametrize("y", [LABELS, np.clip(COUNTS, 0, 2)])
def test_classifiers_as_experts(expert, y):
    fitted(classifier(expert=expert, max_iter=3), X, y)


def test_experts_that_see_one_class():
    for max_iter in (0, 3):
        model = fitted(classifier(expert=GaussianNB(), init_params=CLASSES, max_iter=max_iter), X, LABELS)
        for expert in model.experts_:
            assert set(expert.predict(X)) <= {"yes", "no"}
            assert expert.predict_proba(X).shape == (N, 2)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_an_expert_that_raises_in_fit(make):
    kind, y = (Shaky, Y) if make is regressor else (ShakyClassifier, CLASSES)
    model = make().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="no fit today"):
        model.set_params(expert=kind("raise")).fit(X, y)
    assert {name: value for name, value in vars(model).items() if name != "expert"} == {
        name: value for name, value in before.items() if name != "expert"
    }


def test_an_expert_without_columns():
    assert_refused(regressor(expert=Ridge(), expert_features=[]), "minimum of 1 is required by Ridge")


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (regressor(expert=Shaky(nan)), Y, "expert"),
        (regressor(expert=Shaky(inf)), Y, "expert"),
        (regressor(expert=Shaky(1e200)), Y, "expert"),
        (classifier(expert=ShakyClassifier(nan)), CLASSES, "expert"),
        (regressor(expert=Shaky(lambda X: np.zeros(3))), Y, "expert"),
        (regressor(expert=Shaky(lambda X: np.zeros((len(X), 2)))), Y, "expert"),
    ],
)
def test_experts_that_predict_nonsense(model, y, message):
    """A ValueError that names the expert, not a fit whose predictions are NaN."""
    assert_refused(model.set_params(max_iter=3), message, y=y)


def test_an_estimator_that_fits_its_rows_exactly_warns():
    with pytest.warns(DegenerateSolutionWarning, match="expert 0"):
        regressor(expert=DecisionTreeRegressor(), max_iter=5, tol=0).fit(X, Y)
