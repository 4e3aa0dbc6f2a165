"""What mixtures of experts refuse, with a message that names it, and with nothing left half fitted."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from experts_problem import (
    BLOCK,
    CLASSES,
    COUNTS,
    FRAME,
    LABELS,
    ONES,
    POSITIVE,
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
from numpy.testing import assert_allclose
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor

pl = pytest.importorskip("polars")


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
    *(({"n_jobs": value}, r"n_jobs must be None or an integer other than 0 .*, but got") for value in (0, "all", 1.5)),
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
    ({"expert": "logistic"}, EXPERTS + ", but got 'logistic', which EMMixtureOfExpertsClassifier has"),
    ({"expert": Ridge}, EXPERTS + r", but got <class .*Ridge'>"),
    ({"expert": LogisticRegression()}, EXPERTS + r", but got LogisticRegression\(\)"),
    ({"expert": StandardScaler()}, EXPERTS),
    ({"expert": KNeighborsRegressor()}, r"expert must take sample_weight in fit, but KNeighborsRegressor\(\) does not"),
    ({"expert": make_pipeline(StandardScaler(), Ridge())}, r"expert must take sample_weight in fit, but Pipeline"),
    *(
        (
            {"covariance_type": v},
            r"covariance_type must be one of \['full', 'tied', 'diag', 'spherical', 'EII', 'VII', .*'VVV'\], but got",
        )
        for v in ("ful", None, 3, ["full"])
    ),
]
OF_CLASSIFIERS = [
    *(
        ({"expert": value}, r"expert must be one of \['logistic'\], or a scikit-learn classifier, but got")
        for value in ("gaussian", None, LogisticRegression, LinearRegression(), 3)
    ),
    ({"expert": "poisson"}, "but got 'poisson', which EMMixtureOfExpertsRegressor has"),
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
        (regressor(3, gate="hierarchical"), Y),
        (classifier(3), CLASSES),
        (regressor(3, expert=Ridge()), Y),
        (classifier(3, expert=GaussianNB()), CLASSES),
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
    (FunctionTransformer(lambda X: np.asarray(X)[:3]), "expert_features|gate_features"),
    (FunctionTransformer(lambda X: 1j * np.asarray(X)), "must give numbers"),
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
    (FRAME.assign(s="x"), r"X must be numbers \(could not convert string to float: 'x'\); .*OrdinalEncoder"),
    (np.full((N, 2), "x"), "could not convert string to float"),
    ("abc", "could not convert string to float|2D array"),
    (None, "2D array"),
    (5.0, "2D array"),
    (X[:-1], f"inconsistent numbers of samples: X has {N - 1}, y has {N}"),
    (FRAME.assign(a=None), "Input X contains NaN"),
    (X * 1e200, r"X has column\(s\) .* of standard deviation"),
    (X * 1e-200, r"X has column\(s\) .* of standard deviation"),
    (np.ma.masked_greater(X, 1), "NaN|mask"),
    (X.astype("M8[D]"), "dates"),
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
        (X[:, 0], "2D array"),
        (5.0, "2D array"),
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
    (
        np.array(["a", "b"] * (N // 2)),
        r"y must be numbers \(could .*\); EMMixtureOfExpertsClassifier takes classes",
    ),
    ("x", "could not convert string to float"),
    ([], r"0 sample\(s\)"),
    (np.empty((N, 0)), r"0 feature\(s\)"),
    (Y * 1e200, "y is too large: its variance is not finite; divide it by a constant"),
    (np.ma.masked_greater(Y, 1), "NaN|mask"),
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
            (
                pd.array([None, *ONES[1:]], dtype="Float64"),
                rf"{name} must be (finite, but {name}\[0\] is not|an array)",
            ),
        )
    ),
    ("exposure", 0, r"exposure must be positive, but exposure\[0\] is 0\.0"),
    ("exposure", -ONES, r"exposure must be positive, but exposure\[0\] is -1\.0"),
    ("exposure", np.r_[5, 0, -3, ONES[3:]], r"exposure\[1\] is 0\.0"),
    ("offset", 1j * ONES, "offset must be"),
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
    ("block_id", pd.Series([None, *"ab" * 30][:N], dtype="string"), "missing value"),
    ("block_id", np.array([1, "a"] * (N // 2), dtype=object), "block_id"),
    ("block_id", [[1], [1, 2]], "block_id"),
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
        (lambda: iter([(X, Y), (X, None)]), "y is None|y to be"),
        (lambda: iter([(X, Y), (X, np.column_stack([Y, Y]))]), r"\by\b"),
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
