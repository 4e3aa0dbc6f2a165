"""Odd tables that EMImputer does not refuse: dtypes, bounds, weights and batches."""

import warnings

import numpy as np
import pandas as pd
import pytest
from imputer_problem import (
    ALL_MODELS,
    LEVELS,
    MIXED,
    MODELS,
    X,
    assert_complete,
    assert_observed_stay,
    case,
    make,
    n_gaps,
    nan,
    numbers,
    table_for,
    with_holes,
)
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.exceptions import ConvergenceWarning

from emkit import EMImputer

pl = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings(
    "ignore::emkit._estimator.DegenerateSolutionWarning",  # mixtures of few rows
)

# --- odd tables that are not refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ALL_MODELS)
def test_mixed_columns(model):
    assert_complete(make(model).fit(table_for(model)), table_for(model), 3)


@pytest.mark.parametrize("model", ALL_MODELS)
@pytest.mark.parametrize("statistic", ["mean", "median", "mode", "sample"])
def test_every_statistic(model, statistic):
    assert_complete(make(model, statistic=statistic).fit(table_for(model)), table_for(model))


def test_tables_of_a_column_that_is_rarely_observed():
    table = np.column_stack([X, np.r_[1.0, 2, np.full(len(X) - 2, nan)]])
    assert n_gaps(make("factor").fit(table).impute(table, 30)[0]) == 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "table",
    [
        [[1.0, 2.0]],
        [[1.0, nan, 3]],
        [[1.0, 2], [nan, 5]],
        [[1.0, nan], [nan, 2]],
        [[nan, nan], [1, 2], [nan, nan]],
        [[1, nan], [nan, 5], [nan, nan]],
        [[3.0]] * 3 + [[nan]],
        [[1, 5], [1, nan], [1, 7], [nan, 5]],
        [[0, 0], [0, nan], [nan, 0]],
        [[1, 1], [2, 2], [3, nan], [nan, 4], [5, 5]],
        [[1, 2, 3], [2, 4, 6], [3, 6, nan], [nan, 8, 12], [5, nan, 15]],
    ],
    ids=str,
)
def test_tiny_tables(model, table):
    table = np.array(table, dtype=float)
    if model == "mixture" and len(table) == 1:
        with pytest.raises(ValueError, match="n_components must be at most 1, the number of rows, but got 2"):
            make(model).fit(table)
        return
    imputer = make(model).fit(table)
    out = imputer.transform(table)
    kept = ~np.isnan(table).all(axis=0)
    assert n_gaps(out) == 0
    assert_observed_stay(table[:, kept], out)
    assert (imputer.standard_error(table) >= 0).all()
    for bound in imputer.predict_interval(table):
        assert n_gaps(bound) == 0
    assert n_gaps(imputer.impute(table, 2)[1]) == 0
    assert np.isfinite(imputer.score(table))


@pytest.mark.parametrize("model", ["auto", *ALL_MODELS])
@pytest.mark.parametrize("kind", ["string", "ordered", "boolean", "and a number"])
def test_columns_of_one_level(capfd, model, kind):
    table = {
        "string": pd.DataFrame({"a": ["x", None, "x", "x"]}),
        "ordered": pd.DataFrame({"a": pd.Categorical(["x", None, "x", "x"], ordered=True)}),
        "boolean": pd.DataFrame({"a": pd.array([True, None, True, True], dtype="boolean")}),
        "and a number": pd.DataFrame({"b": [1.0, 2, 3, None], "a": ["x", None, "x", "x"]}),
    }[kind]
    if kind == "string" and model in ("gaussian", "factor"):
        with pytest.raises(ValueError, match="only categories of one level"):
            make(model).fit(table)
        return
    if model == "latent_class" and kind == "and a number":
        pytest.skip("it takes no numbers")
    imputer = make(model).fit(table)
    assert_complete(imputer, table)
    assert set(imputer.transform(table)["a"]) == set(table["a"].dropna())


@pytest.mark.parametrize("model", MODELS)
def test_three_rows_of_five_kinds(model):
    table = pd.DataFrame(
        {
            "a": [1.0, None, 3],
            "b": pd.array([None, 2, 3], dtype="Int64"),
            "c": pd.Series(["x", None, "y"], dtype=object),
            "d": pd.array([True, False, None], dtype="boolean"),
            "e": pd.Categorical(["l", "h", None], ordered=True),
        }
    )
    imputer = make(model).fit(table)
    assert_complete(imputer, table)
    assert imputer.transform(table).dtypes.equals(table.dtypes)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ridge", ["auto", 0])
def test_duplicated_collinear_and_constant_columns(request, model, ridge):
    table = np.column_stack([X, X[:, 0], 2 * X[:, 1] + 1, np.where(np.isnan(X[:, 2]), nan, 7.0)])
    if ridge == 0 and model == "mixture":
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            make(model, ridge=0).fit(table)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the covariance of the columns is singular with ridge=0")
        warnings.filterwarnings("ignore", "the objective fell")
        imputer = make(model, ridge=ridge).fit(table)
    assert_complete(imputer, table)
    out = imputer.transform(table)
    both = ~np.isnan(X[:, 0])
    assert_array_equal(out[both, 4], X[both, 0])
    assert_allclose(out[:, 6], 7)


@pytest.mark.parametrize("model", ["gaussian", "copula"])
def test_a_larger_ridge_is_announced(model):
    table = np.column_stack([X, X[:, 0]])
    with pytest.warns(RuntimeWarning, match="covariance of the columns is singular with ridge=0; .* is used"):
        imputer = make(model, ridge=0).fit(table)
    assert imputer.ridge_ > 0


@pytest.mark.filterwarnings("ignore:the covariance of the columns")
@pytest.mark.parametrize("model", ["gaussian", "copula"])
def test_a_constant_column_without_ridge(model):
    table = np.array([[1, 2.0], [1, nan], [nan, 4], [1, 3]])
    imputer = make(model, ridge=0).fit(table)
    assert n_gaps(imputer.transform(table)) == 0


def test_factors_without_ridge_do_not_fall():
    table = with_holes(np.random.default_rng(8).normal(size=(8, 8)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        for seed in range(5):
            EMImputer("factor", ridge=0).fit(with_holes(table, 0.1, seed))


@pytest.mark.parametrize("model", MODELS)
def test_few_rows_for_the_columns(model):
    table = with_holes(np.random.default_rng(0).normal(size=(8, 12)), 0.3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        imputer = make(model).fit(table)
    assert_complete(imputer, table)


@pytest.mark.parametrize("model", ALL_MODELS)
def test_complete_at_fit_and_missing_later_and_the_reverse(model):
    table = table_for(model)
    full = table.ffill().bfill()
    assert_complete(make(model).fit(full), table)
    imputer = make(model).fit(table)
    assert_frame_equal(imputer.transform(full), full)
    assert not imputer.standard_error(full).any()


@pytest.mark.parametrize("model", ALL_MODELS)
def test_rows_without_a_value(model):
    table = table_for(model)
    void = table.head(3).mask(np.ones((3, table.shape[1]), dtype=bool)).astype(table.dtypes)
    assert void.isna().all(axis=None)
    imputer = make(model).fit(pd.concat([table, void], ignore_index=True))
    assert_complete(imputer, void)
    out = imputer.transform(void)
    assert out.iloc[0].tolist() == imputer.statistics_.tolist()
    assert_allclose(imputer.score_samples(void), 0, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-100, 1e-12, 1e12, 1e100, 1e150, 1e300])
def test_scales(model, scale):
    if scale in (1e-300, 1e300):
        with pytest.raises(ValueError, match=r"column 0 has values up to .*; multiply the column by a constant"):
            make(model).fit(X * scale)
        return
    imputer, plain = make(model).fit(X * scale), make(model).fit(X)
    out = imputer.transform(X * scale)
    assert n_gaps(out) == 0
    assert_allclose(out / scale, plain.transform(X), atol=1e-5)
    assert_allclose(imputer.standard_error(X * scale) / scale, plain.standard_error(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("offset", [1e6, -1e12])
def test_offsets(model, offset):
    moved, plain = (make(model).fit(table) for table in (X + offset, X))
    assert_allclose(moved.transform(X + offset) - offset, plain.transform(X), atol=2e-3)
    assert_allclose(moved.standard_error(X + offset), plain.standard_error(X), atol=2e-3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("far", [1e6, -1e10])
def test_a_far_value_later(model, far):
    imputer = make(model).fit(MIXED)
    new = MIXED.assign(a=far)
    assert_complete(imputer, new)


@pytest.mark.parametrize("model", MODELS)
def test_a_value_at_the_end_of_the_range_later(model):
    imputer = make(model).fit(MIXED)
    new = MIXED.head(20).assign(a=1e200)
    assert n_gaps(imputer.transform(new)) == 0
    assert_allclose(imputer.predict_category_proba(new, "colour").sum(axis=1), 1)
    assert not np.isnan(imputer.standard_error(new)).any()
    assert not np.isnan(imputer.score_samples(new)).any()


@pytest.mark.parametrize("model", MODELS)
def test_ties_and_skewed_columns(model):
    rng = np.random.default_rng(0)
    table = with_holes(
        np.column_stack(
            [
                np.r_[np.zeros(270), rng.exponential(size=30)],
                rng.lognormal(sigma=3, size=300),
                rng.integers(0, 2, 300),
                rng.standard_cauchy(300),
            ]
        )
    )
    assert_complete(make(model).fit(table), table)


@pytest.mark.parametrize("model", MODELS)
def test_many_levels(model):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.integers(0, 120, 300).astype(str).astype(object), "b": rng.normal(size=300)})
    table.loc[::9, "a"] = None
    table.loc[1::9, "b"] = nan
    imputer = make(model).fit(table)
    assert n_gaps(imputer.transform(table)) == 0
    assert_allclose(imputer.predict_category_proba(table, "a").sum(axis=1), 1)


@pytest.mark.parametrize("model", ALL_MODELS)
def test_a_level_of_a_tiny_share(model):
    rng = np.random.default_rng(0)
    size = pd.Categorical(["l"] * 500 + ["m"] * 499 + ["h"], categories=["l", "m", "h"], ordered=True)
    table = pd.DataFrame({"size": size, "b": rng.normal(size=1000)})
    if model == "latent_class":
        table["b"] = np.where(table["b"] > 0, "x", "y").astype(object)
    table.loc[::9, "b"] = None
    table.loc[1::9, "size"] = None
    assert_complete(make(model).fit(table), table)


def test_standard_errors_of_ordered_levels_are_in_steps():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({n: pd.Categorical(rng.choice(list("1234"), 60), ordered=True) for n in "ab"})
    table.iloc[::4, 0] = None
    for model in ("gaussian", "copula"):
        imputer = make(model).fit(table)
        proba = imputer.predict_category_proba(table, "a")[0]
        variance = proba @ np.arange(4) ** 2 - (proba @ np.arange(4)) ** 2
        assert imputer.standard_error(table)[0, 0] == pytest.approx(np.sqrt(variance))


def test_standard_errors_of_ordered_levels_are_in_steps_for_latent_class():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({n: pd.Categorical(rng.choice(list("1234"), 60), ordered=True) for n in "ab"})
    table.iloc[::4, 0] = None
    imputer = make("latent_class").fit(table)
    proba = imputer.predict_category_proba(table, "a")[0]
    variance = proba @ np.arange(4) ** 2 - (proba @ np.arange(4)) ** 2
    assert imputer.standard_error(table)[0, 0] == pytest.approx(np.sqrt(variance))


# --- dtypes -------------------------------------------------------------------------------------------------------

TREND = np.array([1.0, 2, 3, 4, 40])


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("dtype", "values", "filled"),
    [
        ("Int8", [100, 110, 120, 127, None], 127),
        ("Int8", [-100, -110, -120, -128, None], -128),
        ("UInt8", [100, 70, 40, 10, None], 0),
        ("UInt8", [10, 70, 140, 250, None], 255),
        ("Int64", [5, 2**53 + 1, 2**61, 2**63 - 1, None], 2**63 - 1024),
        ("Int64", [5, -(2**53) - 1, -(2**61), -(2**63), None], -(2**63)),
        ("UInt64", [5, 2**53 + 1, 2**63, 2**64 - 1, None], 2**64 - 2048),
    ],
)
def test_integers_at_the_limits(library, dtype, values, filled):
    if library == "pandas":
        table = pd.DataFrame({"a": pd.array(values, dtype=dtype), "b": TREND})
    else:
        table = pl.DataFrame({"a": pl.Series(values, dtype=getattr(pl, dtype)), "b": TREND})
    out = EMImputer("gaussian", columns={"a": "count"}, ridge=0.01).fit_transform(table)
    assert out["a"].dtype == table["a"].dtype
    assert out["a"].to_list()[:4] == values[:4]
    assert out["a"].to_list()[4] == filled


NULLABLE = ["Int8", "UInt16", "Int64", "Float32", "Float64", "boolean", "int64[pyarrow]", "double[pyarrow]"]
NULLABLE += ["bool[pyarrow]", "string[pyarrow]", "string", "category", "object"]


@pytest.mark.parametrize("model", ["auto", *MODELS])
@pytest.mark.parametrize("dtype", NULLABLE)
def test_dtypes_stay(model, dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow", exc_type=ImportError)
    base = [1, 0, None, 1, 1, 0, 0, 1, None, 0] * 3
    values = {
        "bool": [None if v is None else bool(v) for v in base],
        "str": [None if v is None else f"s{v}" for v in base],
    }
    of_kind = values["bool"] if dtype.startswith("bool") else values["str"] if dtype in NULLABLE[-4:] else base
    table = pd.DataFrame({"a": pd.Series(of_kind, dtype=dtype), "b": with_holes(numbers(30)[:, 0])})
    imputer = make(model).fit(table)
    assert_complete(imputer, table)
    assert imputer.transform(table).dtypes.equals(table.dtypes)


def test_unused_categories_stay():
    dtype = pd.CategoricalDtype(["w", "x", "y", "z"])
    table = pd.DataFrame({"a": pd.Categorical(["x", None, "y", "x"], dtype=dtype), "b": [1.0, 2, 3, nan]})
    imputer = make("copula").fit(table)
    assert imputer.transform(table)["a"].dtype == dtype
    assert imputer.categories_ == {"a": ["x", "y"]}
    enum = pl.DataFrame({"a": pl.Series(["x", None, "y", "x"], dtype=pl.Enum(list("wxyz"))), "b": [1.0, 2, 3, None]})
    assert make("copula").fit_transform(enum).schema == enum.schema


def test_intervals_are_levels():
    cut = pd.cut(np.r_[numbers()[:, 0], nan], 4)
    table = pd.DataFrame({"a": cut, "b": np.r_[nan, numbers()[:, 1]]})
    out = make("copula").fit_transform(table)
    assert out.dtypes.equals(table.dtypes)
    assert n_gaps(out) == 0


def test_objects_of_all_sorts():
    table = np.array([[1, "a", True], [None, "b", False], [2.5, None, None], ["3", "a", True]], dtype=object)
    out = make("copula").fit_transform(table)
    assert n_gaps(out) == 0
    assert_observed_stay(table, out)
    assert isinstance(out[0, 0], int)
    assert out[3, 0] == "3"


@pytest.mark.parametrize(
    ("marker", "table"),
    [
        (-1, [[1, -1.0], [2, 3], [2, 0]]),
        (0, [[1, -1.0], [2, 0], [2, 5]]),
        (np.inf, [[1, np.inf], [2, 3], [2, 0]]),
        ("?", pd.DataFrame({"a": ["x", "?", "x", "y"], "b": [1.0, 2, 3, 4]})),
        (999, pd.DataFrame({"a": [1, 999, 3, 4], "b": [1.0, 2, 3, 4]})),
    ],
)
def test_markers(marker, table):
    imputer = EMImputer("gaussian", missing_values=marker, add_indicator=True).fit(table)
    out = np.asarray(imputer.transform(table), dtype=object)
    assert not (out[:, :2] == marker).any()
    before = np.asarray(table, dtype=object)
    assert (out[:, :2][before != marker] == before[before != marker]).all()
    assert out[:, 2].astype(float).tolist() == (before == marker).any(axis=1).astype(float).tolist()


@pytest.mark.parametrize("dtype", [float, int])
def test_masked_numbers(dtype):
    table = np.ma.array(np.arange(12, dtype=dtype).reshape(6, 2) ** 2, mask=np.arange(12).reshape(6, 2) == 3)
    expected = np.ma.filled(table.astype(float), nan)
    assert_array_equal(make("gaussian").fit_transform(table), make("gaussian").fit_transform(expected))


@pytest.mark.parametrize(
    "data",
    [
        np.array([["a", "b"], ["a", "c"], ["z", "c"], ["a", "b"]], dtype=object),
        np.array([["a", "b"], ["a", "c"], ["z", "c"], ["a", "b"]]),
        np.array([[True, False], [True, True], [False, True], [True, False]]),
    ],
    ids=["object", "str", "bool"],
)
def test_masked_levels(data):
    table = np.ma.array(data, mask=[[0, 1], [0, 0], [1, 0], [0, 0]])
    imputer = make("latent_class", columns="nominal").fit(table)
    assert np.isnan(imputer._state.training.codes).sum() == 2


# --- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_bounds(model):
    for options in (
        {"min_value": 0, "max_value": 0.25},
        {"min_value": [0] * 4, "max_value": dict.fromkeys(range(4), 0.25)},
    ):
        imputer = make(model, **options).fit(X)
        for out in (imputer.transform(X), *imputer.impute(X, 1), *imputer.predict_interval(X)):
            assert_observed_stay(X, out)
            assert out[np.isnan(X)].min() >= 0
            assert out[np.isnan(X)].max() <= 0.25


def test_bounds_of_counts():
    table = pd.DataFrame({"a": pd.array([*range(0, 90, 3), None], dtype="Int64"), "b": np.arange(31.0)})
    assert EMImputer(max_value={"a": 2.6}).fit_transform(table)["a"].iloc[-1] <= 2.6


def test_bounds_of_zeros_and_ones():
    frame = pd.DataFrame({"a": pd.array([0, 1, 1, 1, None], dtype="Int64"), "b": [1.0, 2, 3, 4, 5]})
    assert EMImputer(max_value={"a": 0}).fit_transform(frame)["a"].tolist() == [0, 1, 1, 1, 0]
    truth = frame.assign(a=frame["a"].astype("boolean"))
    with pytest.raises(ValueError, match="max_value bounds the column 'a', but its values are no numbers"):
        EMImputer(max_value={"a": 0}).fit(truth)


def test_bounds_of_few_integers():
    table = pd.DataFrame({"a": pd.array([3, 4, 5, 1, 2, None], dtype="Int64"), "b": [3.0, 4, 5, 1, 2, 5]})
    assert EMImputer(max_value={"a": 3}).fit_transform(table)["a"].iloc[-1] <= 3


# --- weights and batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        "gaussian",
        "copula",
        "mixture",
        case("factor"),
    ],
)
@pytest.mark.parametrize("scale", [1e-2, 1e3])
def test_the_scale_of_the_weights_does_not_matter_for_a_given_ridge(model, scale):
    plain, scaled = (make(model, ridge=0.01).fit(X, sample_weight=weight) for weight in (None, scale))
    assert_allclose(scaled.transform(X), plain.transform(X), atol=5e-3)


@pytest.mark.parametrize(
    "model",
    [
        "gaussian",
        "copula",
        "mixture",
        case("factor"),
        "latent_class",
    ],
)
def test_batches_of_the_same_rows_change_nothing(model):
    table = LEVELS if model == "latent_class" else X
    imputer = make(model).partial_fit(table)
    before = imputer.score(table)
    for _ in range(20):
        imputer.partial_fit(table)
    assert imputer.score(table) == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("model", ALL_MODELS)
def test_odd_batches(model):
    table = table_for(model)
    imputer = make(model, unseen="missing").partial_fit(table)
    void = table.head(2).mask(np.ones((2, table.shape[1]), dtype=bool)).astype(table.dtypes)
    for batch in (table.head(1), void, table.assign(colour="green").head(4), table.head(5)):
        imputer.partial_fit(batch)
        assert_complete(imputer, table)
    imputer.partial_fit(table, sample_weight=np.arange(len(table)) % 2)
    assert_complete(imputer, table)
