"""What EMImputer refuses, with nothing left half fitted."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from imputer_problem import (
    ALL_MODELS,
    MIXED,
    MODELS,
    SMALL,
    X,
    assert_complete,
    assert_refused,
    case,
    make,
    n_gaps,
    nan,
    table_for,
)
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.exceptions import NotFittedError

from emkit import EMImputer

pl = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings(
    "ignore::emkit._estimator.DegenerateSolutionWarning",  # mixtures of few rows
)

# --- constructor arguments ----------------------------------------------------------------------------------------

KIND = r"\('continuous', 'count', 'ordinal', 'nominal'\)"
ARGUMENTS = [
    ({"model": "gauss"}, r"model must be one of \['auto', 'gaussian', .* 'factor'\], but got 'gauss'"),
    ({"model": None}, r"model must be one of .* None"),
    ({"model": ["gaussian"]}, r"model must be one of .* \['gaussian'\]"),
    ({"model": "latent_class"}, r"model='latent_class' needs columns of levels, but column 0 is numeric"),
    ({"n_components": 0}, r"n_components must be .* >= 1.*, but got 0"),
    ({"n_components": -1}, r"n_components .* -1"),
    ({"n_components": 2.5}, r"n_components .* 2\.5"),
    ({"n_components": True}, r"n_components .* True"),
    ({"n_components": "3"}, r"n_components .* '3'"),
    ({"n_components": None}, r"n_components .* None"),
    ({"n_components": [2]}, r"n_components .* \[2\]"),
    case({"n_components": "three"}, r"n_components .*'auto'"),
    ({"statistic": "avg"}, r"statistic must be one of \['auto', 'mean', 'median', 'mode', 'sample'\], but got 'avg'"),
    ({"statistic": None}, r"statistic must be one of .* None"),
    ({"ridge": -1}, r"ridge must be 'auto' or a finite number >= 0, but got -1"),
    ({"ridge": nan}, r"ridge .* nan"),
    ({"ridge": np.inf}, r"ridge .* inf"),
    ({"ridge": "x"}, r"ridge .* 'x'"),
    ({"ridge": None}, r"ridge .* None"),
    ({"ridge": True}, r"ridge .* True"),
    ({"ridge": [0.1]}, r"ridge .* \[0\.1\]"),
    case({"ridge": np.ones(2)}, r"ridge must be"),
    case({"ridge": "x"}, r"ridge .*'auto'"),
    ({"columns": "float"}, rf"columns must give a kind among {KIND} or a list of levels .* 'float'"),
    ({"columns": 1}, rf"columns must be None, a kind among {KIND}, a dict or a list, but got 1"),
    ({"columns": {"zz": "nominal"}}, r"columns has names that are not in X: \['zz'\]; the columns of X are \[0, 1, 2"),
    ({"columns": ["nominal"]}, r"columns must have one entry for each of the 4 columns of X, but has 1"),
    ({"columns": {0: "x"}}, r"columns must give a kind .* for 0, but got 'x'"),
    ({"columns": {0: 5}}, r"columns must give a kind .* for 0, but got 5"),
    ({"columns": {0: []}}, r"columns must give distinct levels of 0, at least one .* \[\]"),
    ({"columns": {0: [1, 1]}}, r"columns must give distinct levels of 0.* \[1, 1\]"),
    ({"columns": {0: [nan, 1]}}, r"columns must give distinct levels of 0, .* none of them missing"),
    ({"columns": {0: [None, 1]}}, r"columns must give distinct levels of 0, .* none of them missing"),
    ({"columns": {0: {1, 2}}}, r"columns must give a kind .* or a list of levels for 0"),
    ({"columns": {0: [[1], [2]]}}, r"columns must give strings or numbers as levels of 0"),
    ({"columns": {0: [100, 200]}}, r"Column 0 has the value .*, but its known values are \[100, 200\]"),
    ({"min_value": "x"}, r"min_value must be a number, one for each column, or a mapping, but got 'x'"),
    ({"min_value": nan}, r"min_value .* nan"),
    ({"min_value": [1, 2]}, r"min_value must be one number or one for each of the 4 columns, but got \[1, 2\]"),
    ({"min_value": {9: 1}}, r"min_value names the column 9, but the columns are \[0, 1, 2, 3\]"),
    ({"min_value": {0: "x"}}, r"min_value must have numbers for bounds, but got 'x'"),
    ({"min_value": {0: None}}, r"min_value must have numbers for bounds, but got None"),
    case({"min_value": np.inf}, r"min_value"),
    case({"max_value": -np.inf}, r"max_value"),
    ({"max_value": 1j}, r"max_value .* 1j"),
    ({"max_value": [1, 2]}, r"max_value must be one number or one for each of the 4 columns"),
    ({"max_value": np.ones((4, 1))}, r"max_value must be one number or one for each of the 4 columns"),
    ({"min_value": 3, "max_value": 1}, r"min_value is 3 but max_value is 1 for column 0"),
    ({"min_value": {2: 3}, "max_value": [1] * 4}, r"min_value is 3 but max_value is 1 for column 2"),
    ({"missing_values": [1]}, r"missing_values must be a number, a string, None or pandas\.NA, but got \[1\]"),
    ({"missing_values": 1j}, r"missing_values .* 1j"),
    ({"missing_values": -1}, r"X contains NaN, but missing_values is -1: column 0"),
    ({"add_indicator": 1}, r"add_indicator must be one of \[True, False\], but got 1"),
    ({"add_indicator": "auto"}, r"add_indicator .* 'auto'"),
    ({"keep_empty_features": None}, r"keep_empty_features must be one of \[True, False\], but got None"),
    ({"unseen": "ignore"}, r"unseen must be one of \['error', 'missing'\], but got 'ignore'"),
    ({"unseen": None}, r"unseen .* None"),
    ({"tol": -1}, r"tol must be a finite number >= 0, but got -1"),
    ({"tol": nan}, r"tol .* nan"),
    ({"tol": "small"}, r"tol .* 'small'"),
    ({"max_iter": -1}, r"max_iter must be an integer >= 0, but got -1"),
    ({"max_iter": 1.5}, r"max_iter .* 1\.5"),
    ({"max_iter": None}, r"max_iter .* None"),
    ({"n_init": 0}, r"n_init must be 'auto' or an integer >= 1, but got 0"),
    ({"n_init": "many"}, r"n_init .* 'many'"),
    ({"accelerate": "much"}, r"accelerate must be one of \['auto', 'squarem', 'anderson', False\], but got 'much'"),
    ({"accelerate": True}, r"accelerate .* True"),
    ({"random_state": "dice"}, r"'dice'"),
    ({"n_jobs": 0}, r"n_jobs must be None or an integer other than 0 .*, but got 0"),
    ({"n_jobs": "all"}, r"n_jobs must be None or an integer other than 0 .*, but got 'all'"),
    ({"verbose": -1}, r"verbose must be an integer >= 0, but got -1"),
    ({"verbose": 1.5}, r"verbose .* 1\.5"),
]


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_arguments(arguments, message, call):
    assert_refused(EMImputer(**arguments), message, call=call)


@pytest.mark.parametrize("n_components", [5, 6, 1000])
def test_more_factors_than_columns(n_components):
    with pytest.raises(ValueError, match=f"n_components must be at most 4, .* but got {n_components}"):
        EMImputer("factor", n_components=n_components).fit(X)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"c": ["x"]}, r"Column 'c' has the value 'y', but its known values are \['x'\]"),
        ({"c": "continuous"}, r"Column 'c' must have numbers, but has 'x'"),
        ({"c": "count"}, r"Column 'c' must have numbers, but has 'x'"),
        ({"d": "nominal"}, r"columns has names that are not in X: \['d'\]; the columns of X are \['a', 'c'\]"),
        ({0: "nominal"}, r"columns has names that are not in X: \[0\]"),
        ([None, ["x", "z"]], r"Column 'c' has the value 'y'"),
    ],
)
def test_columns_of_a_frame(columns, message):
    assert_refused(EMImputer(columns=columns), message, SMALL)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("min_value", "x", "min_value must be a number"),
        ("min_value", [1, 2], "min_value must be one number"),
        ("unseen", "ignore", "unseen must be one of"),
        ("missing_values", -1, "missing_values is -1"),
        ("missing_values", [], "missing_values must be"),
        case("statistic", "avg", "statistic must be"),
        case("min_value", 1e9, "min_value is 1e.09 but"),
    ],
)
def test_arguments_that_are_changed_after_the_fit(name, value, message):
    imputer = EMImputer("gaussian", max_value=100).fit(X).set_params(**{name: value})
    with pytest.raises(ValueError, match=message):
        imputer.transform(X)


# --- tables -------------------------------------------------------------------------------------------------------

TABLES = [
    (np.full((3, 2), nan), "no observed value"),
    (pd.DataFrame({"a": [nan, nan], "b": [None, None]}), "no observed value"),
    (pl.DataFrame({"a": [None, None], "b": [nan, None]}), "no observed value"),
    (pd.DataFrame(index=range(3)), r"0 feature\(s\)"),
    (np.empty((0, 3)), r"0 sample\(s\)"),
    (np.empty((3, 0)), r"0 feature\(s\)"),
    (pd.DataFrame(), r"0 feature\(s\)"),
    (pd.DataFrame({"a": []}), r"0 sample\(s\)"),
    (pl.DataFrame(), r"0 feature\(s\)"),
    (X[:, 0], "2D array"),
    ([1.0, 2.0], "2D array"),
    (5.0, "2D array"),
    (None, "2D array"),
    ("abc", "2D array"),
    ({"a": [1, 2]}, "2D array"),
    (pd.Series([1.0, nan]), "2-dimensional|2D array"),
    (pl.Series([1.0, None]), "2D array"),
    (np.zeros((2, 2, 2)), "dim 3"),
    ([[1, 2], [3]], "2D array"),
    (X + 1j, "Complex data not supported"),
    (np.array([[1j, 2]], dtype=object), "Complex data not supported: column 0"),
    (pd.DataFrame({"z": [1j, 2]}), "Complex data not supported: column 'z'"),
    (sp.csr_array(np.eye(3)), r"X is sparse \(csr_array\)"),
    (sp.coo_matrix(np.eye(3)), r"X is sparse \(coo_matrix\)"),
    (pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1])}), "Column 's' is sparse"),
    (np.array([["2020-01-01"]], dtype="M8[D]"), "Column 0 has dates or times"),
    (np.array([[3]], dtype="m8[s]"), "Column 0 has dates or times"),
    (np.array([[1, pd.Timestamp("2020-01-01")]], dtype=object), "Column 1 has dates or times"),
    (pd.DataFrame({"d": pd.to_datetime(["2020-01-01", None])}), "Column 'd' has dates or times"),
    (pd.DataFrame({"d": pd.to_datetime(["2020-01-01"], utc=True)}), "Column 'd' has dates or times"),
    (pd.DataFrame({"d": pd.to_timedelta([3])}), "Column 'd' has dates or times"),
    (pd.DataFrame({"d": pd.period_range("2020", periods=2)}), "Column 'd' has dates or times"),
    (pl.DataFrame({"d": [pd.Timestamp("2020-01-01")]}), "Column 'd' has dates or times"),
    (pl.DataFrame({"d": [[1, 2]]}), "Column 'd' must have numbers or categories, but has lists"),
    (pd.DataFrame({"d": [[1, 2], None]}), "Column 'd' must have numbers or categories, but has lists"),
    (np.array([[1.0, np.inf], [1, 2]]), "infinity .*: column 1"),
    ([[1.0, -np.inf], [1, 2]], "infinity .*: column 1"),
    (SMALL.assign(a=[1.0, np.inf, 2, 3]), "infinity .*: column 'a'"),
    (SMALL.assign(b=pd.Series([1.5, -np.inf, "x", None], dtype=object)), "infinity .*: column 'b'"),
    (pl.DataFrame({"a": [1.0, None], "b": [1.0, np.inf]}), "infinity .*: column 'b'"),
    (pd.DataFrame({"a": [1.0, 2], "b": pd.array([np.inf, 1], dtype="Float64")}), "infinity .*: column 'b'"),
    case(pl.LazyFrame({"a": [1.0]}), "LazyFrame"),
]


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize(("table", "message"), TABLES)
def test_tables(table, message, call):
    assert_refused(EMImputer(), message, table, call=call)


LATER = [
    (SMALL[["c", "a"]], "feature names .*match|Feature names must be in the same order"),
    (SMALL[["a"]], "feature names .*match|missing"),
    (SMALL.assign(d=1), "feature names .*match|unseen"),
    (SMALL.rename(columns={"a": "A"}), "feature names .*match"),
    (SMALL.assign(a="k"), "Column 'a' must have numbers, but has 'k'"),
    (SMALL.assign(a=np.inf), "infinity .*: column 'a'"),
    (SMALL.assign(c="z"), r"Column 'c' has the value 'z', but its known values are \['x', 'y'\]"),
    (SMALL.assign(c=3.5), r"Column 'c' has the value 3\.5, but its known values are"),
    (SMALL.iloc[:0], r"0 sample\(s\)"),
    (SMALL.to_numpy()[:, :1], "X has 1 features, but EMImputer is expecting 2"),
    (np.zeros((1, 2, 2)), "dim 3|expected <= 2"),
    (sp.csr_array(np.eye(2)), "X is sparse"),
    (SMALL.assign(a=pd.Timestamp("2020-01-01")), "Column 'a' has dates or times"),
]
READERS = ("transform", "impute", "predict_interval", "standard_error", "predict_proba", "score_samples", "score")


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("call", [*READERS, "partial_fit"])
@pytest.mark.parametrize(("table", "message"), LATER)
def test_later_tables(table, message, call):
    imputer = EMImputer("gaussian").fit(SMALL)
    before = dict(vars(imputer))
    with pytest.raises(ValueError, match=message):
        getattr(imputer, call)(table)
    assert vars(imputer) == before


def test_duplicate_names():
    frame = pd.DataFrame(X, columns=["a", "a", "b", "b"])
    try:
        imputer = make("gaussian").fit(frame)
    except ValueError as error:  # of scikit-learn >= 1.8
        assert "unique" in str(error)  # noqa: PT017
    else:
        assert_array_equal(imputer.transform(frame), make("gaussian").fit_transform(X))


def test_names_that_are_no_strings():
    frame = pd.DataFrame(X, columns=[10, 20, 30, 40])
    imputer = make("gaussian", columns={20: "continuous"}, min_value={30: 0}).fit(frame)
    out = imputer.transform(frame)
    assert list(out.columns) == [10, 20, 30, 40]
    assert out[30][frame[30].isna()].min() >= 0
    assert list(imputer.column_kinds_) == [10, 20, 30, 40]
    with pytest.raises(TypeError, match="string names"):  # as scikit-learn has it
        EMImputer().fit(frame.rename(columns={10: "a"}))
    pairs = frame.set_axis(pd.MultiIndex.from_product([["p", "q"], [1, 2]]), axis=1)
    assert make("gaussian").fit_transform(pairs).columns.equals(pairs.columns)


N = len(X)
WEIGHTS = [
    (-1, "sample_weight must be finite and not negative"),
    (nan, "sample_weight must be finite and not negative"),
    (np.inf, "sample_weight must be finite and not negative"),
    ([*np.ones(N - 1), -1e-9], rf"sample_weight\[{N - 1}\] is -1e-09"),
    ([nan, *np.ones(N - 1)], r"sample_weight\[0\] is nan"),
    (np.zeros(N), "sample_weight is zero for all rows"),
    (np.ones(N - 1), rf"sample_weight\.shape == \({N - 1},\), expected \({N},\)"),
    (np.ones((N, 1)), "Sample weights must be 1D array or scalar"),
    ("x", "sample_weight must be an array of numbers, but got 'x'"),
    (["a"] * N, "sample_weight must be an array of numbers"),
]


@pytest.mark.parametrize(("weight", "message"), WEIGHTS)
def test_weights(weight, message):
    for call in ("fit", "partial_fit"):
        assert_refused(make("gaussian"), message, call=call, sample_weight=weight)
    imputer = make("gaussian").fit(X)
    for call in ("score", "bic", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(imputer, call)(X, sample_weight=weight)


def test_nothing_observed_where_weights_are_positive():
    assert_refused(make(), "no observed value", [[nan], [1.0]], sample_weight=[1, 0])


@pytest.mark.parametrize("model", MODELS)
def test_rows_of_weight_zero_are_left_out(model):
    weight = np.arange(N) % 3
    weighted = make(model).fit(MIXED, sample_weight=weight)
    again = make(model).fit(MIXED[weight > 0], sample_weight=weight[weight > 0])
    assert_frame_equal(weighted.transform(MIXED), again.transform(MIXED))


def test_a_level_that_only_rows_of_weight_zero_have_is_unseen():
    with pytest.raises(ValueError, match="but its known values are"):
        EMImputer().fit_transform(SMALL, sample_weight=[1, 0, 1, 1])
    EMImputer(unseen="missing").fit_transform(SMALL, sample_weight=[1, 0, 1, 1])


# --- arguments of methods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [*READERS, "bic", "aic", "icl"])
def test_methods_before_fit(call):
    with pytest.raises(NotFittedError, match="EMImputer instance is not fitted"):
        getattr(EMImputer(), call)(X)


def test_other_methods_before_fit():
    for call in (
        EMImputer().sample,
        EMImputer().get_feature_names_out,
        lambda: EMImputer().categories_,
        lambda: EMImputer().predict_category_proba(X, 0),
    ):
        with pytest.raises(NotFittedError):
            call()


@pytest.mark.parametrize("level", [0, 1, -1, 0.0, 1.0, 1.5, nan, True, None, "x", [0.5]])
def test_level(level):
    with pytest.raises(ValueError, match=r"level must be a number between 0 and 1, but got " + re.escape(repr(level))):
        make("gaussian").fit(X).predict_interval(X, level)


@pytest.mark.parametrize("number", [0, -1, 1.5, "x", None, True])
def test_number_of_tables_and_rows(number):
    imputer = make("gaussian").fit(X)
    with pytest.raises(ValueError, match=re.escape(f"n_imputations must be an integer >= 1, but got {number!r}")):
        imputer.impute(X, number)
    with pytest.raises(ValueError, match=re.escape(f"n_samples must be an integer >= 1, but got {number!r}")):
        imputer.sample(number)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("a", "column must have levels, but 'a' is continuous"),
        (0, "column must have levels, but 0 is continuous"),
        ("zz", "column must be one of .*, but got 'zz'"),
        (7, "column must be one of .*, but got 7"),
        (-8, "column must be one of .*, but got -8"),
        (None, "column must be one of .*, but got None"),
        (1.0, "column must be one of .*, but got 1.0"),
        (True, "column must be one of .*, but got True"),
        (["size"], r"column must be one of .*, but got \['size'\]"),
    ],
)
def test_column_of_predict_category_proba(column, message):
    with pytest.raises(ValueError, match=message):
        make("copula").fit(MIXED).predict_category_proba(MIXED, column)


def test_columns_of_predict_category_proba_by_name_and_number():
    imputer = make("copula").fit(MIXED)
    by_name = imputer.predict_category_proba(MIXED, "size")
    for number in (5, -2, np.int64(5)):
        assert_array_equal(imputer.predict_category_proba(MIXED, number), by_name)
    assert imputer.categories_["size"] == ["S", "L"]


@pytest.mark.parametrize("call", ["bic", "aic", "icl"])
@pytest.mark.parametrize("model", ["gaussian", "copula", "factor"])
def test_criteria_need_a_likelihood(call, model):
    with pytest.raises(ValueError, match=rf"{call} needs a likelihood, but model '{model}' has .* indicators"):
        getattr(make(model).fit(MIXED), call)(MIXED)
    assert np.isfinite(getattr(make(model).fit(X), call)(X))


@pytest.mark.parametrize("model", ["mixture", "latent_class"])
def test_criteria_of_mixtures(model):
    table = table_for(model)
    imputer = make(model).fit(table)
    assert all(np.isfinite(getattr(imputer, call)(table)) for call in ("bic", "aic", "icl"))


def test_impute_after_partial_fit():
    imputer = make("gaussian").fit(X)
    assert n_gaps(imputer.impute(X, 1)[0]) == 0
    for later in (imputer.partial_fit(X), make("gaussian").partial_fit(X)):
        with pytest.raises(
            ValueError, match="impute needs the training rows, which are not kept after partial_fit or a fit of blocks"
        ):
            later.impute(X)
    assert n_gaps(imputer.fit(X).impute(X, 1)[0]) == 0


PRIOR = np.full(X.shape, nan), np.full(X.shape, nan)


def prior_of(mean, sd):
    parts = np.full((2, *X.shape), nan)
    rows = np.isnan(X[:, 0])
    parts[0, rows, 0], parts[1, rows, 0] = mean, sd
    return parts[0], parts[1]


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (3, r"cell_prior must be two tables of numbers, .* each of shape \(60, 4\)"),
        ("ab", "cell_prior must be two tables"),
        ((1, 2), "cell_prior must be two tables"),
        ((X,), "cell_prior must be two tables"),
        ((X, X, X), "cell_prior must be two tables"),
        ((X[:, :3], X[:, :3]), "cell_prior must be two tables"),
        ({"a": 1, "b": 2}, "cell_prior must be two tables"),
        ((X.astype(str), X), "cell_prior must have|cell_prior must be"),
        (prior_of(0, 0), "cell_prior must have a finite mean and a positive standard deviation, or NaN for both"),
        (prior_of(0, -1), "cell_prior must have a finite mean and a positive standard deviation"),
        (prior_of(0, nan), "cell_prior must have a finite mean and a positive standard deviation"),
        (prior_of(nan, 1), "cell_prior must have a finite mean and a positive standard deviation"),
        (prior_of(np.inf, 1), "cell_prior must have a finite mean and a positive standard deviation"),
    ],
)
def test_cell_prior(prior, message):
    imputer = make("gaussian").fit(X)
    for call in ("transform", "impute", "predict_interval", "standard_error"):
        with pytest.raises(ValueError, match=message):
            getattr(imputer, call)(X, cell_prior=prior)


@pytest.mark.parametrize("model", ["mixture", "factor"])
def test_models_without_cell_prior(model):
    with pytest.raises(ValueError, match=f"cell_prior needs model 'gaussian' or 'copula', .* '{model}'"):
        make(model).fit(X).transform(X, cell_prior=PRIOR)


def test_cell_prior_of_levels():
    parts = np.full((2, *MIXED.shape), nan)
    parts[:, 0, 4] = 1
    with pytest.raises(ValueError, match="cell_prior is about column 'colour', but it is nominal, not numeric"):
        make("copula").fit(MIXED).transform(MIXED, cell_prior=tuple(parts))


@pytest.mark.parametrize(
    ("model", "mean", "sd"),
    [
        ("gaussian", 0, 1),
        ("gaussian", 50, 1),
        ("gaussian", 1e200, 1),
        ("gaussian", 0, 1e100),
        ("gaussian", 0, np.inf),
        ("gaussian", 0, 1e-6),
        case("gaussian", 0, 1e-200),
        ("copula", 0, 1),
        ("copula", 0, 1e-6),
        ("copula", 0, 1e100),
        case("copula", 50, 1),
        case("copula", -50, 10),
        case("copula", 0, 1e-200),
    ],
)
def test_far_and_sharp_cell_priors(model, mean, sd):
    imputer = make(model).fit(X)
    prior = prior_of(mean, sd)
    tables = [imputer.transform(X, cell_prior=prior), *imputer.predict_interval(X, cell_prior=prior)]
    tables += [*imputer.impute(X, 1, cell_prior=prior), imputer.standard_error(X, cell_prior=prior)]
    assert np.isfinite(tables).all()
    if sd < 1e-3:
        missing = np.isnan(X[:, 0])
        assert_allclose(tables[0][missing, 0], mean, atol=1e-4)


def test_cell_prior_of_a_constant_column():
    imputer = make("copula").fit(np.array([[1, 1.0], [1, 2], [1, nan], [nan, 4]]))
    out = imputer.transform(np.array([[nan, 2.0]]), cell_prior=([[1.0, nan]], [[1.0, nan]]))
    assert np.isfinite(out).all()


# --- levels that were not seen ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ALL_MODELS)
def test_unseen_levels(model):
    table = table_for(model)
    new = table.head(3).assign(colour=["green", None, "red"])
    with pytest.raises(ValueError, match=r"Column 'colour' has the value 'green', but .* \['blue', 'red', 'white'\]"):
        make(model).fit(table).transform(new)
    imputer = make(model, unseen="missing").fit(table)
    expected = imputer.predict_category_proba(new.assign(colour=[None, None, "red"]), "colour")
    assert_array_equal(imputer.predict_category_proba(new, "colour"), expected)
    assert n_gaps(imputer.transform(new)) == 0
    assert n_gaps(imputer.impute(new, 1)[0]) == 0


def test_unseen_levels_are_filled():
    imputer = make("copula", unseen="missing").fit(MIXED)
    assert imputer.transform(MIXED.head(1).assign(colour="green"))["colour"].item() in ("red", "white", "blue")


def test_another_integer():
    frame = pd.DataFrame({"a": [*range(15), 20], "b": np.arange(16.0)})
    EMImputer().fit(frame).transform(pd.DataFrame({"a": [16], "b": [nan]}))


@pytest.mark.parametrize("model", MODELS)
def test_levels_that_are_listed_but_not_observed(model):
    levels = ["red", "blue", "white", "grey"]
    imputer = make(model, columns={"colour": levels}).fit(MIXED)
    assert imputer.categories_["colour"] == levels
    assert imputer.predict_category_proba(MIXED, "colour").shape == (N, 4)
    assert imputer.transform(MIXED.head(2).assign(colour="grey"))["colour"].tolist() == ["grey"] * 2
    assert_complete(imputer, MIXED)


@pytest.mark.parametrize("model", ["latent_class", "mixture"])
def test_rows_that_no_component_allows(model):
    table = pd.DataFrame({name: [f"{name}1", f"{name}1", f"{name}2", f"{name}2"] * 5 for name in "abc"})
    imputer = make(model, ridge=0, n_init="auto").fit(table)
    odd = pd.DataFrame({"a": ["a1"], "b": ["b2"], "c": [None]})
    with np.errstate(invalid="ignore"):
        assert_allclose(imputer.predict_proba(odd).sum(axis=1), 1)
        assert_allclose(imputer.predict_category_proba(odd, "c").sum(axis=1), 1)
