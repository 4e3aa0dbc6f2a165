"""What mixtures of experts refuse, with nothing left half fitted; hostile data that they take; data at random."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import gammaincinv
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.mixture_of_experts import prediction

pl = pytest.importorskip("polars")

nan, inf = np.nan, np.inf
N = 60


def defect(*values, reason):
    """A case that fails now and should not."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture(autouse=True, scope="module")
def searches_end():
    """A search for a quantile that does not end is an error after 5000 looks at the distribution."""
    patch, original = pytest.MonkeyPatch(), getattr(prediction, "_least_count", None)

    def counted(cdf, *args):
        left = iter(range(5000))

        def looked_at(values):
            assert next(left, None) is not None, "endless search"
            return cdf(values)

        return original(looked_at, *args)

    patch.setattr(prediction, "_least_count", counted, raising=False)
    yield
    patch.undo()


def simulated(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    upper = X[:, 0] > 0
    y = np.where(upper, 2 * X[:, 1] + 4, -X[:, 1]) + 0.3 * rng.normal(size=n)
    return X, y, rng.poisson(np.exp(0.5 * X[:, 1])), (X[:, 1] * np.where(upper, 1, -1) + rng.normal(size=n) > 0) * 1


X, Y, COUNTS, CLASSES = simulated()
POSITIVE = np.exp(Y / 4)
BLOCK = np.arange(N) // 3
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


# --- constructor arguments ----------------------------------------------------------------------------------------

EXPERTS = (
    r"expert must be one of \['gaussian', 'student', 'poisson', 'binomial', 'gamma'\], or a scikit-learn regressor"
)
HALF = np.full((N, 2), 0.5)
SHARED = [
    ({"n_components": 0}, "n_components must be an integer >= 1, but got 0"),
    ({"n_components": 2.5}, r"n_components .* 2\.5"),
    ({"n_components": "2"}, r"n_components .* '2'"),
    ({"n_components": True}, r"n_components .* True"),
    ({"n_components": None}, r"n_components .* None"),
    ({"n_components": N + 1}, f"n_components = {N + 1}, n_samples = {N}"),
    (
        {"gate": "soft"},
        r"gate must be one of \['softmax', 'constant', 'gaussian', 'hierarchical'\], but got 'soft'",
    ),
    ({"gate": None}, r"gate must be one of .* None"),
    ({"gate": ["softmax"]}, r"gate must be one of .* \['softmax'\]"),
    ({"gate": Ridge()}, r"gate must be one of .* Ridge\(\)"),
    *(({"alpha": value}, "alpha must be a finite number >= 0, but got") for value in (-1, nan, inf, "a", None, True)),
    *(({"alpha": value}, "alpha must be a finite number >= 0, but got") for value in ([0.1], 1j, np.ones(2))),
    *(({"gate_alpha": value}, "gate_alpha must be a finite number >= 0, but got") for value in (-1e-9, nan, "a", None)),
    *(({"reg_covar": value}, "reg_covar must be a finite number >= 0, but got") for value in (-1, nan, inf, "a", None)),
    *(({"noise": value}, r"noise must be one of \[True, False\], but got") for value in (1, 0, "yes", None)),
    *(({"n_groups": value}, "n_groups must be an integer >= 2, but got") for value in (1, 0, -2, 2.0, "2", None, True)),
    *(({"tol": value}, "tol must be a finite number >= 0, but got") for value in (-1, nan, "x", None)),
    *(({"max_iter": value}, "max_iter must be an integer >= 0, but got") for value in (-1, 1.5, None, "x")),
    *(({"n_init": value}, "n_init must be 'auto' or an integer >= 1, but got") for value in (0, "many", None, True)),
    *(({"accelerate": value}, r"accelerate must be one of .* but got") for value in (True, "much", None, 0)),
    *(({"random_state": value}, "random_state|seed|Seed") for value in ("dice", -1, 1.5)),
    *(({"n_jobs": value}, r"n_jobs must be .* got") for value in (0, "all", 1.5)),
    *(({"warm_start": value}, r"warm_start must be one of \[True, False\], but got") for value in (1, "yes", None)),
    *(({"verbose": value}, "verbose must be an integer >= 0, but got") for value in (-1, 1.5, None)),
    *(({"init_params": value}, r"init_params must be .*'auto'") for value in ("kmeans", None, 3)),
    *(
        ({"init_params": np.asarray(value)}, r"init_params must be 'auto', labels from 0 to 1 .* responsibilities")
        for value in (
            *(np.zeros(5), np.full(N, 2), -np.ones(N), np.full(N, 0.5), ["a"] * N, np.full(N, nan)),
            *(np.full((N, 3), 1 / 3), HALF * nan, 0.9 * HALF, HALF + 0j, HALF[:, :, None], HALF[:-1]),
            np.column_stack([np.full(N, 1.5), np.full(N, -0.5)]),
        )
    ),
    *(
        ({"init_params": value}, "init_params must be 'auto', labels")
        for value in (np.zeros(N + 5, dtype=int), np.full((N + 5, 2), 0.5), [[1], [1, 2]])
    ),
]
OF_REGRESSORS = [
    *(({"expert": value}, EXPERTS) for value in ("gauss", "logistic", None, ["gaussian"], 3, np.array(["gaussian"]))),
    ({"expert": Ridge}, EXPERTS + r", but got <class .*Ridge'>"),
    ({"expert": LogisticRegression()}, EXPERTS + r", but got LogisticRegression\(\)"),
    ({"expert": StandardScaler()}, EXPERTS),
    ({"expert": KNeighborsRegressor()}, r"expert must take sample_weight in fit, but KNeighborsRegressor\(\) does not"),
    ({"expert": make_pipeline(StandardScaler(), Ridge())}, r"expert must take sample_weight in fit, but Pipeline"),
    *(
        ({"covariance_type": v}, r"covariance_type must be one of \['full', 'tied', 'diag', 'spherical', 'EII'\]")
        for v in ("ful", None, 3, ["full"])
    ),
]
OF_CLASSIFIERS = [
    *(
        ({"expert": value}, r"expert must be one of \['logistic'\], or a scikit-learn classifier, but got")
        for value in ("gaussian", None, LogisticRegression, LinearRegression(), 3)
    ),
    ({"expert": KNeighborsClassifier()}, r"expert must take sample_weight in fit, but KNeighborsClassifier\(\) does"),
    ({"expert": RidgeClassifier()}, r"expert must have predict_proba, but RidgeClassifier\(\) does not"),
    ({"expert": SVC()}, r"expert must have predict_proba, but SVC\(\) does not"),
]


@pytest.mark.parametrize(("arguments", "message"), [*SHARED, *OF_REGRESSORS])
def test_arguments_of_regressors(arguments, message):
    assert_refused(EMMixtureOfExpertsRegressor(**arguments), message)


@pytest.mark.parametrize(("arguments", "message"), [*SHARED, *OF_CLASSIFIERS])
def test_arguments_of_classifiers(arguments, message):
    assert_refused(EMMixtureOfExpertsClassifier(**arguments), message, y=CLASSES)


@pytest.mark.parametrize("n", [N - 1, N + 3])
def test_the_length_of_the_start_where_weights_are_zero(n):
    weight = np.ones(N)
    weight[-5:] = 0
    with pytest.raises(ValueError, match="init_params must be 'auto', labels"):
        regressor(init_params=np.arange(n) % 2).fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (regressor(3), Y),
        (regressor(3, gate="constant"), Y),
        (regressor(3, gate="gaussian"), Y),
        (regressor(3, expert="student"), Y),
        (regressor(3, expert="poisson"), COUNTS),
        (regressor(3, expert="gamma"), POSITIVE),
        pytest.param(regressor(3, gate="hierarchical"), Y),
        pytest.param(classifier(3), CLASSES),
        pytest.param(regressor(3, expert=Ridge()), Y),
        pytest.param(classifier(3, expert=GaussianNB()), CLASSES),
    ],
)
def test_a_start_that_leaves_an_expert_without_rows(model, y):
    fitted(model.set_params(init_params=np.arange(N) % 2, max_iter=5), X, y)


FEATURES = "_features must be None, a list of columns, or a transformer, but got"
COLUMNS = [
    *((value, FEATURES) for value in (["z"], ["a", "z"], [3], [-4], [1.0], [True], [True, False, True], 0, 3.5, True)),
    *((value, FEATURES) for value in (slice(0, 2), [None], [["a"]], [nan], np.array([[0, 1]]), np.array([True] * 3))),
    ("passthrough", FEATURES),
    (make_pipeline(StandardScaler(), Ridge()), FEATURES),
    (["z"], r"X has (the )?columns \['a', 'b', 'c'\]"),
    (FunctionTransformer(lambda X: np.full((len(X), 2), nan)), "must give a table of finite numbers"),
    (FunctionTransformer(lambda X: np.full((len(X), 2), inf)), "must give a table of finite numbers"),
    (FunctionTransformer(lambda X: np.asarray(X)[:, 0]), "must give a table of finite numbers"),
    (FunctionTransformer(lambda X: None), "must give a table of finite numbers"),
    (FunctionTransformer(lambda X: np.full((len(X), 2), "a")), "must give numbers"),
    *(
        (value, FEATURES)
        for value in (
            *("abc", "a", {"a": 1}, {"a", "b"}, (i for i in range(2))),
            *(pd.Series(["a", "b"]), StandardScaler),  # both have a method transform
        )
    ),
    pytest.param(FunctionTransformer(lambda X: np.asarray(X)[:3]), "expert_features|gate_features"),
    pytest.param(FunctionTransformer(lambda X: 1j * np.asarray(X)), "must give numbers"),
]


@pytest.mark.parametrize("name", ["expert_features", "gate_features"])
@pytest.mark.parametrize(("value", "message"), COLUMNS)
def test_columns_and_transformers(value, message, name):
    assert_refused(regressor(**{name: value}), message, FRAME)


@pytest.mark.parametrize("name", ["expert_features", "gate_features"])
def test_names_of_columns_that_have_none(name):
    assert_refused(
        regressor(**{name: ["a"]}), name + FEATURES.removeprefix("_features") + r" \['a'\]; X has .*3 columns"
    )


def test_a_gaussian_gate_without_columns():
    assert_refused(regressor(gate="gaussian", gate_features=[]), "gate='gaussian' needs inputs, but gate_features has")


def test_no_columns_at_all():
    """A mixture of laws of the response alone."""
    model = fitted(regressor(expert_features=[], gate_features=[]), X, Y)
    assert model.coef_.shape == (2, 0)
    assert np.ptp(model.predict(X)) < 1e-12
    fitted(regressor(expert_features=[], gate="constant", expert="poisson"), X, COUNTS)
    fitted(classifier(expert_features=[]), X, CLASSES)
    fitted(classifier(gate_features=[], expert_features=[0]), X, CLASSES)


# --- X ------------------------------------------------------------------------------------------------------------

TABLES = [
    (np.where(X > 1, nan, X), "Input X contains NaN"),
    (np.where(X > 1, inf, X), "Input X contains infinity"),
    (np.where(X > 1, -inf, X), "Input X contains infinity"),
    (X * 1j, "Complex data not supported"),
    (X[:, 0], "Expected 2D array, got 1D array"),
    (X[:, :, None], "Found array with dim 3"),
    (X[:0], r"Found array with 0 sample\(s\)"),
    (X[:, :0], r"Found array with 0 feature\(s\)"),
    (sp.csr_array(X), r"X is sparse \(csr_array\), but dense data is required"),
    (sp.coo_matrix(X), r"X is sparse \(coo_matrix\)"),
    (FRAME.assign(s="x"), "could not convert string to float"),
    (np.full((N, 2), "x"), "could not convert string to float"),
    ("abc", "could not convert string to float|2D array"),
    (None, "2D array"),
    (5.0, "2D array"),
    (X[:-1], f"inconsistent numbers of samples: X has {N - 1}, y has {N}"),
    (FRAME.assign(a=None), "Input X contains NaN"),
    (X * 1e200, r"X has column\(s\) .* of standard deviation"),
    (X * 1e-200, r"X has column\(s\) .* of standard deviation"),
    pytest.param(np.ma.masked_greater(X, 1), "NaN|mask"),
    pytest.param(X.astype("M8[D]"), "dates"),
]


@pytest.mark.parametrize(("table", "message"), TABLES)
def test_tables(table, message):
    assert_refused(regressor(), message, table)
    assert_refused(classifier(), message, table, CLASSES)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X[:0], r"0 sample\(s\)"),
        (sp.csr_array(X), r"X is sparse \(csr_array\)"),
        (X[:-1], "inconsistent numbers of samples"),
        (np.where(X > 1, nan, X), "the transformer expert_features must give a table of finite numbers"),
        pytest.param(X[:, 0], "2D array"),
        pytest.param(5.0, "2D array"),
    ],
)
def test_tables_for_a_transformer(table, message):
    assert_refused(regressor(expert_features=StandardScaler()), message, table)


def test_lists_for_a_transformer_and_columns():
    model = regressor(expert_features=StandardScaler(), gate_features=[0]).fit(X.tolist(), Y)
    assert_allclose(model.predict(X.tolist()), model.predict(X))


def test_columns_that_nobody_looks_at():
    regressor(expert_features=["a", "b"], gate_features=["c"]).fit(FRAME.assign(name="x"), Y)


def test_strings_that_somebody_looks_at():
    table = FRAME.assign(kind=np.where(X[:, 0] > 0, "up", "down"))
    encode = make_column_transformer((OneHotEncoder(), ["kind"]))
    assert_refused(
        regressor(expert_features=encode, gate_features=["kind"]), "could not convert string to float", table
    )
    assert_refused(regressor(expert_features=encode), "could not convert string to float", table)


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X[:, :2], "X has 2 features, but .* is expecting 3"),
        (np.where(X > 1, nan, X), "contains NaN"),
        (np.where(X > 1, inf, X), "contains infinity"),
        (X[:0], r"0 sample\(s\)"),
        (X[0], "2D array"),
        (sp.csr_array(X), "X is sparse"),
        (X + 1j, "Complex data"),
        (np.full((3, 3), "x"), "could not convert"),
    ],
)
def test_later_tables(make, table, message):
    model = make().fit(X, CLASSES)
    before = dict(vars(model))
    names = ("predict", "predict_expert_proba", "score_samples", "sample", "predict_proba", "predict_quantile")
    for name in (*names, "predict_interval"):
        if hasattr(model, name):
            with pytest.raises(ValueError, match=message):
                getattr(model, name)(table)
    with pytest.raises(ValueError, match=message):
        model.experts_[0].predict(table)
    assert vars(model) == before


# --- y ------------------------------------------------------------------------------------------------------------

RESPONSES = [
    (None, "requires y to be passed, but the target y is None"),
    (np.r_[nan, Y[1:]], "Input y contains NaN"),
    (np.r_[inf, Y[1:]], "Input y contains infinity"),
    (np.column_stack([Y, np.r_[nan, Y[1:]]]), "Input y contains NaN"),
    (pd.array([None, *Y[1:]], dtype="Float64"), "Input y contains NaN"),
    (Y[:-1], f"inconsistent numbers of samples: X has {N}, y has {N - 1}"),
    (Y[:, None, None], "Found array with dim 3"),
    (Y * 1j, "Complex data not supported"),
    (np.array(["a", "b"] * (N // 2)), "could not convert string to float"),
    ("x", "could not convert string to float"),
    ([], r"0 sample\(s\)"),
    (np.empty((N, 0)), r"0 feature\(s\)"),
    (Y * 1e200, "y is too large: its variance is not finite; divide it by a constant"),
    pytest.param(np.ma.masked_greater(Y, 1), "NaN|mask"),
]
OTHERS = [
    ("poisson", COUNTS - 1, "expert='poisson' takes counts, not negative, but y holds -1"),
    ("poisson", np.column_stack([COUNTS, COUNTS]), "expert='poisson' takes one response, but y has 2 columns"),
    ("gamma", np.r_[0.0, POSITIVE[1:]], r"expert='gamma' takes positive numbers, but y holds 0\.0"),
    ("gamma", Y, "expert='gamma' takes positive numbers, but y holds -"),
    ("gamma", np.column_stack([POSITIVE, POSITIVE]), "expert='gamma' takes one response"),
    ("binomial", COUNTS, r"expert='binomial' takes numbers of successes, from 0 to the number of trials .* holds"),
    ("binomial", CLASSES - 1, "expert='binomial' takes numbers of successes"),
    ("binomial", np.column_stack([CLASSES, CLASSES]), "expert='binomial' takes one response"),
    ("poisson", np.r_[nan, COUNTS[1:]], "Input y contains NaN"),
]
LABELS = np.where(CLASSES, "yes", "no")
LABELS_REFUSED = [
    (None, "requires y to be passed"),
    (np.zeros(N), "y must have two classes or more, but has 1 class"),
    (np.full(N, "a"), "y must have two classes or more, but has 1 class"),
    (Y, "Unknown label type: continuous"),
    (CLASSES + 0.5, "Unknown label type: continuous"),
    (np.column_stack([CLASSES, CLASSES]), "y should be a 1d array"),
    (np.eye(2)[CLASSES], "y should be a 1d array"),
    (np.r_[nan, CLASSES[1:]], "contains NaN"),
    (np.r_[inf, CLASSES[1:]], "contains infinity"),
    (np.array([None, *LABELS[1:]], dtype=object), "."),
    (pd.Series([None, *LABELS[1:]]), "contains NaN"),
    (pd.array([None, *CLASSES[1:]], dtype="Int64"), "contains NaN"),
    (np.array([1, "a"] * (N // 2), dtype=object), "Unknown label type"),
    (CLASSES[:-1], "inconsistent numbers of samples"),
    (CLASSES * 1j, "Complex data not supported|Unknown label type"),
    (3, "y should be a 1d array"),
    ("ab", "y should be a 1d array"),
    ([], "0 sample|inconsistent|class"),
]


@pytest.mark.parametrize(("y", "message"), RESPONSES)
def test_responses(y, message):
    assert_refused(regressor(), message, y=y)


@pytest.mark.parametrize(("expert", "y", "message"), OTHERS)
def test_responses_that_an_expert_cannot_give(expert, y, message):
    assert_refused(regressor(expert=expert), message, y=y)


@pytest.mark.parametrize(("y", "message"), LABELS_REFUSED)
def test_labels(y, message):
    assert_refused(classifier(), message, y=y)


CALLS = ("score_samples", "predict_expert_proba", "bic", "icl", "standard_errors")


@pytest.mark.parametrize("call", CALLS)
class TestLaterResponses:
    one = EMMixtureOfExpertsRegressor(gate_features=[0], random_state=0).fit(X, Y)
    two = EMMixtureOfExpertsRegressor(gate_features=[0], random_state=0).fit(X, np.column_stack([Y, X[:, 2] * Y]))

    def test_too_few_columns(self, call):
        with pytest.raises(ValueError, match=r"y .* 2"):
            getattr(self.two, call)(X, Y)

    def test_too_many_columns(self, call):
        with pytest.raises(ValueError, match=r"^y .* 2"):
            getattr(self.one, call)(X, np.column_stack([Y, Y]))

    def test_half_of_a_row_is_missing(self, call):
        y = np.column_stack([Y, np.r_[nan, Y[1:]]])
        with pytest.raises(ValueError, match="y has a row of which some responses are missing"):
            getattr(self.two, call)(X, y)

    @pytest.mark.parametrize(
        ("y", "message"), [(Y[:-1], "inconsistent"), (np.r_[inf, Y[1:]], "infinity"), (Y + 1j, "Complex")]
    )
    def test_what_no_response_is(self, call, y, message):
        with pytest.raises(ValueError, match=message):
            getattr(self.one, call)(X, y)

    def test_classes_that_were_not_there(self, call):
        model = classifier(gate="constant").fit(X, LABELS)
        with pytest.raises(ValueError, match=r"y has the class .*'maybe'.*, which was not there in fit; there were"):
            getattr(model, call)(X, np.r_[LABELS[1:], ["maybe"]])
        with pytest.raises(ValueError, match=r"y has the class .*0.*, which was not there in fit"):
            getattr(model, call)(X, CLASSES)


def test_responses_of_experts_of_one_law_later():
    model = regressor(expert="poisson").fit(X, COUNTS)
    with pytest.raises(ValueError, match="expert='poisson' takes counts, not negative, but y holds"):
        model.score_samples(X, COUNTS - 1)
    with pytest.raises(ValueError, match="expert='poisson' takes one response, but y has 2 columns"):
        model.score_samples(X, np.column_stack([COUNTS, COUNTS]))
    assert np.isfinite(model.score_samples(X, np.where(COUNTS > 1, nan, COUNTS))).all()


@pytest.mark.parametrize("y", [Y[:-1], np.column_stack([Y, Y]), None])
def test_score_of_the_wrong_shape(y):
    with pytest.raises((ValueError, TypeError), match=r"."):
        regressor().fit(X, Y).score(X, y)
    with pytest.raises((ValueError, TypeError), match=r"."):
        classifier().fit(X, CLASSES).score(X, y if y is None else y > 0)


@pytest.mark.parametrize("call", ["bic", "aic", "icl", "standard_errors"])
def test_criteria_need_responses(call):
    for model in (regressor(gate_features=[0]).fit(X, Y), classifier().fit(X, CLASSES)):
        with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
            getattr(model, call)(X)


# --- what is given for each row -----------------------------------------------------------------------------------

ONES = np.ones(N)
ROWS = [
    *(
        (name, value, message)
        for name in ("offset", "exposure")
        for value, message in (
            (ONES[:-1], rf"{name} must have one number for each of the {N} rows of X, but has shape \({N - 1},\)"),
            (ONES[:, None], rf"{name} must have one number for each .* \({N}, 1\)"),
            (np.ones((N, 2)), rf"{name} must have one number for each .* \({N}, 2\)"),
            ([nan] * N, rf"{name} must be finite, but {name}\[0\] is not"),
            (np.r_[1, inf, ONES[2:]], rf"{name} must be finite, but {name}\[1\] is not"),
            ("x", f"{name} must be an array of numbers, but got 'x'"),
            (["a"] * N, f"{name} must be an array of numbers"),
            ([[1], [1, 2]], f"{name} must be an array of numbers"),
            (sp.csr_array(ONES[:, None]), f"{name} must be an array of numbers"),
            (pd.array([None, *ONES[1:]], dtype="Float64"), rf"{name} must be finite, but {name}\[0\] is not"),
        )
    ),
    ("exposure", 0, r"exposure must be positive, but exposure\[0\] is 0\.0"),
    ("exposure", -ONES, r"exposure must be positive, but exposure\[0\] is -1\.0"),
    pytest.param("exposure", np.r_[5, 0, -3, ONES[3:]], r"exposure\[1\] is 0\.0"),
    pytest.param("offset", 1j * ONES, "offset must be"),
    *(
        ("sample_weight", value, message)
        for value, message in (
            (-1, r"sample_weight must be finite and not negative, but sample_weight\[0\] is -1\.0"),
            (
                np.r_[ONES[1:], nan],
                rf"sample_weight must be finite and not negative, .*\[{N - 1}\] is nan",
            ),
            (inf, "sample_weight must be finite and not negative"),
            (0, "sample_weight is zero for all rows"),
            (np.zeros(N), "sample_weight is zero for all rows"),
            (ONES[:-1], rf"sample_weight\.shape == \({N - 1},\), expected \({N},\)"),
            (ONES[:, None], "Sample weights must be 1D array or scalar"),
            ("x", "sample_weight must be an array of numbers, but got 'x'"),
            (np.eye(N)[0], "Expected n_samples >= n_components but got n_components = 2, n_samples = 1"),
        )
    ),
    *(
        ("block_id", value, message)
        for value, message in (
            (BLOCK[:-1], rf"block_id must have one value for each of the {N} rows of X, but has shape \({N - 1},\)"),
            (BLOCK[:, None], "block_id must have one value for each"),
            (pd.DataFrame(BLOCK), "block_id must have one value for each"),
            ([("a", 1)] * N, "block_id must have one value for each"),
            (3, "block_id must have one value for each"),
            ("x", "block_id must have one value for each"),
            (np.where(BLOCK == 0, nan, BLOCK), "block_id has a missing value; each row must belong to a block"),
            (np.where(BLOCK == 0, None, BLOCK), "block_id has a missing value"),
            ([pd.NaT] + [1] * (N - 1), "block_id has a missing value"),
            (np.array(["NaT"] + ["2020"] * (N - 1), dtype="M8[D]"), "block_id has a missing value"),
            (pl.Series([None] + [1] * (N - 1)), "block_id has a missing value"),
            (pd.array([None, *BLOCK[1:]], dtype="Int64"), "block_id has a missing value"),
            (np.zeros(N), "Expected n_samples >= n_components but got n_components = 2, n_samples = 1"),
        )
    ),
    pytest.param("block_id", pd.Series([None, *"ab" * 30][:N], dtype="string"), "missing value"),
    pytest.param("block_id", np.array([1, "a"] * (N // 2), dtype=object), "block_id"),
    pytest.param("block_id", [[1], [1, 2]], "block_id"),
]


@pytest.mark.parametrize(("name", "value", "message"), ROWS)
def test_what_is_given_for_each_row(name, value, message):
    assert_refused(regressor(expert="poisson"), message, y=COUNTS, **{name: value})
    if name != "sample_weight":
        model = regressor(expert="poisson").fit(X, COUNTS)
        if "n_samples" not in message:
            for call in ("predict", "predict_expert_proba", "score_samples", "sample", "predict_quantile"):
                with pytest.raises(ValueError, match=message):
                    getattr(model, call)(X, **{name: value})
    else:
        assert_refused(classifier(), message, y=CLASSES, sample_weight=value)


@pytest.mark.parametrize(
    ("model", "y", "names"),
    [
        (regressor(), Y, ["exposure"]),
        (regressor(expert="student"), Y, ["exposure"]),
        (regressor(noise=True), Y, ["exposure"]),
        (regressor(expert=Ridge()), Y, ["offset", "exposure"]),
        (classifier(), CLASSES, ["offset", "exposure"]),
        (classifier(expert=GaussianNB()), CLASSES, ["offset", "exposure"]),
    ],
)
def test_what_has_no_meaning(model, y, names):
    for name in names:
        message = f"{name} has no meaning for these experts; those that take it are 'gaussian|{name} has no meaning"
        assert_refused(model, message, y=y, **{name: ONES})
    model.fit(X, y)
    for name in names:
        with pytest.raises(ValueError, match=f"{name} has no meaning"):
            model.score_samples(X, y, **{name: ONES})


def test_weights_that_differ_in_a_block():
    message = "sample_weight must be the same for all rows of a block; it is the weight of the block"
    assert_refused(regressor(), message, block_id=BLOCK, sample_weight=np.arange(N) + 1.0)
    assert_refused(regressor(21), f"n_components = 21, n_samples = {N // 3}", block_id=BLOCK)
    weight = (BLOCK < 2) * 1.0
    assert_refused(regressor(3), "n_components = 3, n_samples = 2", block_id=BLOCK, sample_weight=weight)


def test_one_block_and_one_expert():
    fitted(regressor(1), X, Y, block_id=np.zeros(N))
    fitted(classifier(1), X, CLASSES, block_id=["all"] * N)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (lambda: None, "X is a function, so each call must return an iterable of blocks of rows"),
        (lambda: iter([]), r"X is a function that yields no block of rows \(n_samples=0\)"),
        (lambda: iter([(X[:0], Y[:0])]), "yields no block of rows"),
        (lambda: iter([X]), r"X is a function, so it must yield pairs of blocks \(X, y\)"),
        (lambda: iter([(X, None)]), "requires y to be passed, but the target y is None"),
        (lambda: iter([(X, Y), (X[:, :2], Y)]), "X has 2 features, but EMMixtureOfExpertsRegressor is expecting 3"),
        (lambda: iter([(X, Y[:-1])]), "inconsistent numbers of samples"),
        (lambda: iter([(sp.csr_array(X), Y)]), "X is sparse"),
        (lambda: iter([(X, np.where(Y > 1, nan, Y))]), "Input y contains NaN"),
        ((lambda once: lambda: once)(iter([(X, Y), (X, Y)])), "must be a function that returns a new iterator"),
        pytest.param(lambda: iter([(X, Y), (X, None)]), "y is None|y to be"),
        defect(lambda: iter([(X, Y), (X, np.column_stack([Y, Y]))]), r"\by\b", reason="the message of concatenate"),
    ],
)
def test_functions_that_yield_blocks(blocks, message):
    assert_refused(regressor(), message, blocks, None)


@pytest.mark.parametrize(
    ("arguments", "extras", "message"),
    [
        ({}, {"y": Y}, "so y, block_id, offset and exposure must be None"),
        ({}, {"block_id": BLOCK}, "so y, block_id, offset and exposure must be None"),
        ({}, {"offset": ONES}, "so y, block_id, offset and exposure must be None"),
        ({"expert": Ridge()}, {}, "and expert one of the names"),
        ({"init_params": np.arange(N) % 2}, {}, "init_params must be 'auto' where X is a function"),
        ({}, {"sample_weight": ONES[:-1]}, "sample_weight has fewer values than the blocks have rows"),
        ({}, {"sample_weight": np.ones(N + 1)}, f"sample_weight has {N + 1} values, but the blocks have {N} rows"),
    ],
)
def test_what_cannot_go_with_blocks(arguments, extras, message):
    assert_refused(regressor(**arguments), message, lambda: iter([(X, Y)]), **{"y": None, **extras})


# --- arguments of methods -----------------------------------------------------------------------------------------


class TestQuantiles:
    model = EMMixtureOfExpertsRegressor(random_state=0).fit(X, Y)

    @pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, nan, inf, [0.1, nan], [0.5, 1], [[0.1]], None, True])
    def test_out_of_range(self, value):
        with pytest.raises(ValueError, match="quantile must be one or several numbers between 0 and 1, but got"):
            self.model.predict_quantile(X, value)

    @pytest.mark.parametrize("value", ["a", [], 1j, ["a"]])
    def test_no_numbers(self, value):
        with pytest.raises(ValueError, match="quantile must be"):
            self.model.predict_quantile(X, value)

    @pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, nan, "a", None, True, [0.5], -0.5, 95])
    def test_levels(self, value):
        with pytest.raises(ValueError, match="level must be a number between 0 and 1, but got"):
            self.model.predict_interval(X, value)

    @pytest.mark.parametrize("value", [0, -1, 1.5, "a", None, True])
    def test_draws(self, value):
        with pytest.raises(ValueError, match="n_draws must be an integer >= 1, but got"):
            self.model.sample(X, value)

    @pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-16, 1 - 1e-16, np.float32(0.5), np.array(0.5)])
    def test_extreme_ones(self, value):
        for model in (self.model, regressor(expert="student").fit(X, Y), regressor(expert="poisson").fit(X, COUNTS)):
            assert np.isfinite(model.predict_quantile(X, value)).all()

    @pytest.mark.parametrize("method", ["bootstrap", None, 3])
    def test_method_of_standard_errors(self, method):
        with pytest.raises(ValueError, match=r"method must be one of \['information'\], but got"):
            self.model.standard_errors(X, Y, method=method)

    def test_standard_errors_of_estimators(self):
        with pytest.raises(ValueError, match="expert is an estimator, whose parameters have no standard errors here"):
            regressor(expert=Ridge()).fit(X, Y).standard_errors(X, Y)

    def test_of_gamma_near_zero(self):
        """Shape 0.14: the quantile is about 1e-28 of the mean."""
        y = np.random.default_rng(1).gamma(0.15, 10, size=N) + 1e-12
        model = regressor(1, expert="gamma", expert_features=[]).fit(X, y)
        expected = gammaincinv(model.shape_[0], 1e-4) * np.exp(model.intercept_[0]) / model.shape_[0]
        low = model.predict_quantile(X, 1e-4)
        assert (low >= 0).all()
        assert_allclose(low, expected, rtol=1e-6)


# --- estimators as experts ----------------------------------------------------------------------------------------


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
        pytest.param(regressor(expert=Shaky(nan)), Y, "expert"),
        pytest.param(regressor(expert=Shaky(inf)), Y, "expert"),
        defect(regressor(expert=Shaky(1e200)), Y, "expert", reason="the fit is NaN throughout"),
        pytest.param(classifier(expert=ShakyClassifier(nan)), CLASSES, "expert"),
        pytest.param(regressor(expert=Shaky(lambda X: np.zeros(3))), Y, "expert"),
        pytest.param(regressor(expert=Shaky(lambda X: np.zeros((len(X), 2)))), Y, "expert"),
    ],
)
def test_experts_that_predict_nonsense(model, y, message):
    """A ValueError that names the expert, not a fit whose predictions are NaN."""
    assert_refused(model.set_params(max_iter=3), message, y=y)


def test_an_estimator_that_fits_its_rows_exactly_warns():
    with pytest.warns(DegenerateSolutionWarning, match="expert 0"):
        regressor(expert=DecisionTreeRegressor(), max_iter=5, tol=0).fit(X, Y)


# --- hostile data -------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
HOSTILE = {
    "K rows": (X[:2], Y[:2]),
    "three rows": (X[:3], Y[:3]),
    "more columns than rows": (RNG.normal(size=(10, 30)), Y[:10]),
    "one row again and again": (np.ones((20, 2)), np.ones(20)),
    "two rows again and again": (np.repeat(X[:2], 10, axis=0), np.repeat(Y[:2], 10)),
    "zeros": (np.zeros((20, 2)), np.zeros(20)),
    "constant responses": (X, np.full(N, 5.0)),
    "two values": (X, (Y > 1) * 1.0),
    "constant columns": (np.column_stack([X, ONES, 1e6 * ONES, 0 * ONES]), Y),
    "copies of columns": (np.column_stack([X, X, 1e8 * X]), Y),
    "sums of columns": (np.column_stack([X, X @ [1, 2, 3], X @ [1, 0, -1]]), Y),
    "nearly copies": (np.column_stack([X, X + 1e-9]), Y),
    "exactly linear": (X, X @ [1.0, 2, 3] + 5),
    "two lines exactly": (X, np.where(np.arange(N) % 2, X @ [1.0, 2, 3], 5 - X @ [1.0, 0, 1])),
    "separated by the gate": (X, np.where(X[:, 0] > 0, 1000, 0) + Y),
    "offset of X": (X + 1e8, Y),
    "offset of y": (X, Y + 1e8),
    "small X": (X * 1e-12, Y),
    "large X": (X * 1e12, Y),
    "small y": (X, Y * 1e-12),
    "large y": (X, Y * 1e12),
    "one wild response": (X, np.r_[1e6, Y[1:]]),
    "one very wild response": (X, np.r_[1e100, Y[1:]]),
    "one wild row": (np.vstack([1e9 * np.ones(3), X[1:]]), Y),
    "columns of all scales": (X * [1e-9, 1, 1e9], Y),
    "whole numbers": (np.rint(X), np.rint(Y)),
    "heavy tails": (X, RNG.standard_cauchy(N) * 100),
    "cubes of heavy tails": (RNG.standard_cauchy((N, 2)) ** 3, Y),
}
GATES = ("softmax", "constant", "gaussian", "hierarchical")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("gate", GATES)
def test_hostile_data_for_gaussian_experts(name, gate):
    data, y = HOSTILE[name]
    fitted(regressor(gate=gate), data, y)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "options",
    [
        {"n_init": "auto"},
        {"alpha": 0, "gate_alpha": 0},
        {"expert": "student"},
        {"noise": True},
        {"covariance_type": "tied", "gate": "constant", "alpha": 10},
        {"expert": LinearRegression(), "max_iter": 20},
    ],
)
def test_hostile_data_and_options(name, options):
    data, y = HOSTILE[name]
    fitted(regressor(**options), data, y)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_without_any_floor(name):
    """Here a ValueError is an answer too."""
    data, y = HOSTILE[name]
    try:
        fitted(regressor(reg_covar=0, alpha=0, gate_alpha=0), data, y)
    except ValueError as error:
        assert "reg_covar" in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("options", [{}, {"gate": "gaussian"}, {"alpha": 0, "gate_alpha": 0, "max_iter": 100}])
def test_hostile_data_for_classifiers(name, options):
    data, y = HOSTILE[name]
    labels = y > np.median(y)
    if len(np.unique(labels)) == 2:
        fitted(classifier(**options), data, labels)
        fitted(classifier(**options, noise=True), data, np.where(labels, "a", "b"))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("expert", ["poisson", "binomial", "gamma"])
def test_hostile_data_for_other_laws(name, expert):
    data, y = HOSTILE[name]
    y = np.abs(y)
    counts = np.rint(np.minimum(y, 50))
    y = {"poisson": counts, "binomial": (counts > 1) * 1, "gamma": np.maximum(y, 1e-9)}[expert]
    fitted(regressor(expert=expert), data, y)


@pytest.mark.parametrize("gate", ["softmax", "constant"])
@pytest.mark.parametrize(
    ("expert", "y", "exposure"),
    [
        ("poisson", np.zeros(N), None),
        ("poisson", np.r_[0.0, 1, COUNTS[2:]], None),
        ("poisson", COUNTS * 1e9, None),
        ("poisson", np.r_[1e15, COUNTS[1:]], None),
        ("poisson", COUNTS + 0.5, None),
        ("poisson", COUNTS, 1e-9),
        ("poisson", COUNTS, 1e9),
        ("poisson", (X[:, 0] > 0) * 5, None),
        ("binomial", np.zeros(N), None),
        ("binomial", np.ones(N), None),
        ("binomial", (X[:, 0] > 0) * 1, None),
        ("binomial", (X[:, 0] > 0) * 1e6, 1e6),
        ("binomial", COUNTS, COUNTS + 1),
        ("binomial", COUNTS * 1e5, 1e6),
        ("gamma", np.full(N, 3.0), None),
        ("gamma", np.full(N, 1e-300), None),
        ("gamma", POSITIVE * 1e-12, None),
        ("gamma", POSITIVE * 1e12, None),
        ("gamma", np.r_[1e-300, POSITIVE[1:]], None),
        ("gamma", np.r_[1e100, POSITIVE[1:]], None),
        ("gamma", np.exp(20 * X[:, 0]), None),
    ],
)
def test_hostile_responses_of_other_laws(expert, y, exposure, gate):
    fitted(regressor(expert=expert, gate=gate), X, y, **({} if exposure is None else {"exposure": exposure}))


@pytest.mark.parametrize(
    ("expert", "y", "rtol"),
    [
        ("poisson", np.r_[1e3, np.zeros(N - 1)], 1e-5),
        ("poisson", np.r_[1e9, np.zeros(N - 1)], 1e-5),
        ("binomial", np.r_[1, np.zeros(N - 1)], 1e-5),
        ("gamma", RNG.gamma(0.5, 10, size=N) + 1e-12, 1e-5),
        ("gamma", RNG.gamma(0.2, 10, size=N) + 1e-12, 1e-4),
        ("gamma", RNG.gamma(0.1, 10, size=N) + 1e-12, 1e-4),
        ("poisson", np.r_[1e12, np.zeros(N - 1)], 1e-4),
    ],
)
def test_the_mean_of_one_expert_without_inputs_is_that_of_the_responses(expert, y, rtol):
    """The score equation of the intercept, whatever the dispersion; with a fit that says that it has converged."""
    model = regressor(1, expert=expert, expert_features=[], tol=1e-10).fit(X, y)
    assert model.converged_
    assert_allclose(model.predict(X), y.mean(), rtol=rtol)


@pytest.mark.parametrize("expert", ["poisson", "binomial", "gamma"])
def test_scaled_exposures_scale_the_mean(expert):
    y = {"poisson": COUNTS, "binomial": np.clip(COUNTS, 0, 3), "gamma": POSITIVE}[expert]
    one = regressor(expert=expert).fit(X, y, exposure=3.0)
    if expert == "binomial":
        assert_allclose(one.predict(X, exposure=6.0), 2 * one.predict(X, exposure=3.0))
    else:
        other = regressor(expert=expert).fit(X, y, exposure=3e6)
        assert_allclose(one.predict(X, exposure=3.0), other.predict(X, exposure=3e6), rtol=1e-5)
        shifted = regressor(expert=expert).fit(X, y, offset=400.0)
        assert_allclose(shifted.predict(X, offset=400.0), one.predict(X, exposure=3.0), rtol=1e-5)


def test_trials_that_are_no_whole_numbers():
    """Either refused, or the same for all methods."""
    model = regressor(1, expert="binomial", alpha=1.0)
    try:
        model.fit(X, np.clip(COUNTS, 0, 2), exposure=2.5)
    except ValueError as error:
        assert "exposure" in str(error)  # noqa: PT017
        return
    assert_allclose(model.sample(X, 4000, exposure=2.5).mean(axis=0), model.predict(X, exposure=2.5), rtol=0.1)


def test_many_experts_for_few_rows():
    for gate in ("softmax", "constant", "hierarchical"):
        model = fitted(regressor(20, gate=gate, n_groups=4, max_iter=100), X[:50], Y[:50])
        assert model.weights_.shape == (20,)
    with pytest.warns(DegenerateSolutionWarning, match=r"expert \d+"):
        regressor(20).fit(X[:50], Y[:50])
    fitted(classifier(20, max_iter=20), X[:50], CLASSES[:50])


@pytest.mark.parametrize("n_groups", [2, 3, 7, 100])
def test_any_number_of_groups(n_groups):
    for k in (1, 2, 5):
        fitted(regressor(k, gate="hierarchical", n_groups=n_groups), X, Y)


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (5, 0), (5, 5)])
def test_lost_experts_of_several_responses(k, seed):
    from sklearn.datasets import make_regression

    data, y = make_regression(10, 10, n_targets=5, random_state=42)
    fitted(EMMixtureOfExpertsRegressor(k, n_init=1, random_state=seed), data, y)


class TestSeparation:
    """Finite, and the warning says where."""

    upper = X[:, 0] > 0

    @pytest.mark.parametrize("gate_alpha", [0, 1e-6])
    @pytest.mark.parametrize("gate", ["softmax", "hierarchical"])
    def test_in_the_gate(self, gate, gate_alpha):
        model = regressor(gate=gate, gate_alpha=gate_alpha, gate_features=[0])
        with pytest.warns(DegenerateSolutionWarning, match="the gate tells expert 0 from the others perfectly"):
            model.fit(X, np.where(self.upper, 1000, 0) + Y)
        fitted(model, X, np.where(self.upper, 1000, 0) + Y)
        assert_allclose(np.sort(model.weights_), np.sort([self.upper.mean(), 1 - self.upper.mean()]), atol=1e-3)

    @pytest.mark.parametrize("alpha", [0, 1e-6])
    @pytest.mark.parametrize("cuts", [[0.0], [-0.5, 0.5]])
    def test_of_classes(self, alpha, cuts):
        model, y = classifier(1, alpha=alpha), np.digitize(X[:, 0], cuts)
        with pytest.warns(DegenerateSolutionWarning, match="expert 0 tells classes apart perfectly"):
            model.fit(X, y)
        assert fitted(model, X, y).score(X, y) == 1

    def test_the_warning_names_the_penalty_that_was_given(self):
        with pytest.warns(DegenerateSolutionWarning, match="alpha=1e-06"):
            classifier(1, alpha=1e-6).fit(X, self.upper)

    @pytest.mark.parametrize("alpha", [0, 1e-6])
    def test_of_shares(self, alpha):
        model = regressor(1, expert="binomial", alpha=alpha)
        with pytest.warns(DegenerateSolutionWarning, match="expert 0"):
            model.fit(X, self.upper)
        fitted(model, X, self.upper)

    @pytest.mark.parametrize("make", [regressor, classifier])
    def test_a_penalty_heals_it(self, make):
        y = Y if make is regressor else self.upper
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(1, alpha=0.1, gate_alpha=1.0).fit(X, y)


class TestDegenerateSolutions:
    def test_exact_lines_name_the_expert(self):
        y = np.where(np.arange(N) % 2, X @ [1.0, 2, 3], 5 - X @ [1.0, 0, 1])
        with pytest.warns(DegenerateSolutionWarning, match=r"reg_covar=1e-06 keeps the noise of expert 0 above"):
            regressor(gate="constant").fit(X, y)

    def test_a_wild_response_names_the_expert(self):
        with pytest.warns(
            DegenerateSolutionWarning,
            match=r"expert \d( has collapsed onto rows of total weight 1|.* its rows, which it fits exactly)",
        ):
            regressor().fit(X, np.r_[1e6, Y[1:]])

    def test_warnings_name_the_line_of_the_caller(self):
        with pytest.warns(DegenerateSolutionWarning) as caught:
            regressor().fit(X, np.full(N, 5.0))
        assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e6, 1e9])
@pytest.mark.parametrize(
    ("model", "y"),
    [
        (regressor(gate="constant"), Y),
        (regressor(expert="student", gate="constant"), Y),
        (regressor(expert="poisson", gate="constant", expert_features=[1]), COUNTS),
        (regressor(expert="gamma", gate="constant", expert_features=[1]), POSITIVE),
        (regressor(gate_features=[1]), Y),
        (classifier(1), CLASSES),
        (regressor(1, expert="binomial"), CLASSES),
    ],
)
def test_scaled_weights(model, y, factor):
    """Without penalties the unit of weight is none."""
    model.set_params(alpha=0, gate_alpha=0, tol=1e-9)
    one = model.fit(X, y).objective_
    fitted(model, X, y, sample_weight=factor)
    assert model.objective_ / factor == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (regressor(1, expert="poisson"), COUNTS),
        (regressor(1, expert="gamma"), POSITIVE),
        (regressor(1, expert="binomial"), CLASSES),
    ],
)
def test_tiny_weights_are_weights_too(model, y):
    model.set_params(alpha=0, tol=1e-9)
    one = model.fit(X, y).objective_
    assert model.fit(X, y, sample_weight=1e-12).objective_ / 1e-12 == pytest.approx(one, rel=1e-3)


def test_weights_of_all_sizes():
    for weight in (10.0 ** RNG.uniform(-12, 3, size=N), np.r_[1e12, ONES[1:]], np.r_[1e-300, ONES[1:]]):
        fitted(regressor(), X, Y, sample_weight=weight)
        fitted(regressor(expert="poisson"), X, COUNTS, sample_weight=weight)
        fitted(classifier(), X, CLASSES, sample_weight=weight)


# --- far away -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [30.0, 1e3, 1e10, 1e100])
@pytest.mark.parametrize(
    ("model", "y"),
    [
        *((regressor(gate=gate), Y) for gate in GATES),
        (regressor(expert="student"), Y),
        (regressor(expert="binomial", alpha=0.1), CLASSES),
        (classifier(), CLASSES),
        (classifier(gate="gaussian"), CLASSES),
        (regressor(expert=LinearRegression(), max_iter=3), Y),
    ],
)
def test_inputs_far_from_those_of_the_fit(model, y, factor):
    with only_documented_warnings():
        model.fit(X, y)
        assert_sound(model, factor * X, y)


@pytest.mark.parametrize("factor", [1e3, 1e10])
def test_inputs_far_from_those_of_gamma_experts(factor):
    with only_documented_warnings():
        assert_sound(regressor(expert="gamma").fit(X, POSITIVE), factor * X, POSITIVE)


@pytest.mark.parametrize("value", [1e10, 1e100, -1e140])
@pytest.mark.parametrize("options", [{}, {"expert": "student"}, {"gate": "gaussian"}, {"noise": True}])
def test_responses_far_from_those_of_the_fit(options, value):
    with only_documented_warnings():
        assert_sound(regressor(**options).fit(X, Y), X, np.r_[value, Y[1:]])


@pytest.mark.parametrize("call", ["predict_quantile", "predict_interval"])
def test_quantiles_of_counts_that_are_expected_to_be_huge(call):
    model = regressor(1, expert="poisson", expert_features=[1]).fit(X, COUNTS)
    far = np.array([[0.0, 200.0 * np.sign(model.coef_[0, 0]), 0.0]])
    assert model.predict(far) > 2.0**60
    assert np.isfinite(getattr(model, call)(far)).all()


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (EMMixtureOfExpertsRegressor(expert="poisson", random_state=0), np.eye(N)[0]),
        (regressor(expert="poisson"), np.r_[1e9, COUNTS[1:]]),
    ],
)
def test_intervals_where_one_count_is_wild(model, y):
    """Some expert expects 1e60 for rows of the fit that are not its own."""
    fitted(model, X, y)


def test_draws_of_counts_that_are_expected_to_be_huge():
    """NumPy's generator ends at 9.2e18."""
    model = regressor(1, expert="poisson", expert_features=[1]).fit(X, COUNTS)
    far = np.array([[0.0, 400.0 * np.sign(model.coef_[0, 0]), 0.0]])
    assert model.predict(far) > 1e20
    assert 1e18 < model.sample(far)[0, 0] < np.inf


def test_scores_of_a_block_do_not_hang_on_other_blocks():
    model = regressor(gate="constant").fit(X, Y, block_id=BLOCK)
    wild = np.r_[1e9, Y[1:]]
    scores = model.score_samples(X, wild, block_id=BLOCK)
    assert_allclose(scores[3:], model.score_samples(X, Y, block_id=BLOCK)[3:])


@pytest.mark.parametrize("expert", ["gaussian", "poisson"])
def test_offsets_out_of_range(expert):
    """A ValueError that names the offset, or a finite answer."""
    with only_documented_warnings():
        try:
            model = regressor(expert=expert).fit(X, COUNTS, offset=1e300 * X[:, 0])
        except ValueError as error:
            assert "offset" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(model.objective_)


class TestWarmStart:
    @pytest.mark.parametrize("order", [1, -1])
    def test_another_number_of_responses(self, order):
        first, second = [Y, np.column_stack([Y, X[:, 2] * Y])][::order]
        model = regressor(warm_start=True).fit(X, first)
        before = dict(vars(model))
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.fit(X, second)
        assert vars(model) == before

    def test_other_classes(self):
        model = classifier(warm_start=True).fit(X, LABELS)
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.fit(X, np.where(CLASSES, "a", "b"))

    @pytest.mark.parametrize("name", ["expert_features", "gate_features"])
    def test_other_columns(self, name):
        model = regressor(warm_start=True, **{name: [0]}).fit(X, Y)
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.set_params(**{name: [1]}).fit(X, Y)

    def test_degenerate_fits_go_on(self):
        model = regressor(warm_start=True)
        fitted(model, X, np.full(N, 3.0))
        fitted(model, X, Y)
        fitted(model, X * 1e6, Y * 1e6)
        fitted(model, X[:5], Y[:5])


# --- at random ----------------------------------------------------------------------------------------------------

options = st.fixed_dictionaries(
    {
        "n_components": st.integers(1, 4),
        "gate": st.sampled_from(GATES),
        "n_groups": st.integers(2, 3),
        "alpha": st.sampled_from([0, 1e-6, 1.0]),
        "gate_alpha": st.sampled_from([0, 0.1, 10.0]),
        "reg_covar": st.sampled_from([0, 1e-6, 1e-3]),
        "noise": st.booleans(),
        "accelerate": st.sampled_from(["auto", "squarem", "anderson", False]),
        "n_init": st.sampled_from([1, 2]),
        "max_iter": st.integers(0, 25),
        "expert_features": st.sampled_from([None, [], [0], [-1, 0], PolynomialFeatures(2)]),
        "gate_features": st.sampled_from([None, [], [0], StandardScaler()]),
        "random_state": st.integers(0, 3),
    }
)
numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 1e-9, 1e9, -1e9]), st.floats(-10, 10), st.integers(-3, 3).map(float)
)


@st.composite
def problems(draw, responses):
    n, p = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    data = np.array(draw(st.lists(st.lists(numbers, min_size=p, max_size=p), min_size=n, max_size=n)))
    y = np.array(draw(st.lists(responses, min_size=n, max_size=n)))
    weight = draw(st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e-6]), min_size=n, max_size=n))
    ids = draw(st.none() | st.lists(st.integers(0, 4), min_size=n, max_size=n))
    if ids is not None and weight is not None:
        weight = [weight[i] for i in ids] if max(ids) < n else None
    return data, y, {"sample_weight": weight, "block_id": ids}


def assert_answers(model, problem, **more):
    """A sound fit, or a ValueError, with no warning that is not documented."""
    data, y, extras = problem
    with only_documented_warnings():
        try:
            model.fit(data, y, **extras, **more)
        except ValueError as error:
            assert str(error)  # noqa: PT017
            assert not [name for name in vars(model) if name.endswith("_") or name == "_state"]
            return
        assert_sound(model, data, y, block_id=extras["block_id"], **more)


random_problems = settings(max_examples=40, deadline=None, derandomize=True)


@random_problems
@given(problems(numbers), options, st.sampled_from(["gaussian", "student"]))
def test_random_problems(problem, options, expert):
    assert_answers(EMMixtureOfExpertsRegressor(expert=expert, **options), problem)


@random_problems
@given(problems(st.tuples(numbers, numbers)), options, st.sampled_from(["full", "tied", "diag", "spherical", "EII"]))
def test_random_problems_of_two_responses(problem, options, covariance_type):
    assert_answers(EMMixtureOfExpertsRegressor(covariance_type=covariance_type, **options), problem)


@random_problems
@given(problems(st.sampled_from([0.0, 1.0, 2.0, 7.0, 1000.0])), options, st.sampled_from(["poisson", "gamma"]))
def test_random_counts(problem, options, expert):
    data, y, extras = problem
    assert_answers(EMMixtureOfExpertsRegressor(expert=expert, **options), (data, y + (expert == "gamma"), extras))


@random_problems
@given(problems(st.sampled_from(["a", "b", "c"])), options)
def test_random_classes(problem, options):
    assert_answers(EMMixtureOfExpertsClassifier(**options), problem)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(problems(numbers), options)
def test_random_problems_with_estimators(problem, options):
    tree = DecisionTreeRegressor(max_depth=2)
    assert_answers(EMMixtureOfExpertsRegressor(expert=tree, **options | {"expert_features": None}), problem)
