"""EMImputer as a citizen of scikit-learn: common checks, pipelines, searches, frames, pickles, callbacks, weights."""

import ast
import copy
import functools
import logging
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import (
    BEFORE_1_9,
    LIBRARIES,
    SEES_NAMES_OF_POLARS,
    needs_callbacks,
    needs_names_of_polars,
    routes_scores,
    skip_what_old_versions_get_wrong,
)
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning, NotFittedError, SkipTestWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import EMImputer, pool
from emkit.imputer.latent import LatentGaussianModel

pl = pytest.importorskip("polars")

pytestmark = pytest.mark.filterwarnings(
    "ignore::emkit._estimator.DegenerateSolutionWarning",  # mixtures of few rows
    "ignore:X does not have valid feature names",
    "ignore:X has feature names, but EMImputer was fitted without",
)


@parametrize_with_checks(
    [
        EMImputer(),
        EMImputer("gaussian"),
        EMImputer("copula"),
        EMImputer("mixture", n_components=2, n_init=1),
        EMImputer("latent_class", n_components=2, columns="nominal", unseen="missing", n_init=1),
        EMImputer("factor", n_components=1),
        EMImputer(statistic="sample"),
        EMImputer(statistic="median"),
    ]
)
def test_common_checks(estimator, check):
    skip_what_old_versions_get_wrong(check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        check(estimator)


def test_a_fit_of_levels_does_not_warn():
    table = np.random.RandomState(0).normal(100, size=(100, 2))
    table = np.round(table - table.min())
    EMImputer("latent_class", columns="nominal", n_components=2, n_init=1, random_state=0).fit(table)


def test_tags():
    tags = get_tags(EMImputer())
    assert tags.input_tags.allow_nan
    assert tags.input_tags.string
    assert tags.input_tags.categorical
    assert not tags.input_tags.sparse
    assert not tags.requires_fit or tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not tags.non_deterministic
    assert get_tags(EMImputer(statistic="sample")).non_deterministic


# --- scikit-learn's own tests of imputers, with EMImputer in the place of IterativeImputer -------------------------

CONTINUOUS = EMImputer(columns="continuous", tol=0.1)
BY_DTYPE = EMImputer(tol=0.1)
KEEPS_DTYPES = "test_imputers_pandas_na_integer_array_support"  # integers stay integers unless they are continuous


def bound(test, imputers):
    """A test of theirs for imputers of ours, or None if it is not one for IterativeImputer."""

    def ours(mark):
        is_theirs = mark.name == "parametrize" and any(isinstance(one, IterativeImputer) for one in mark.args[1])
        return pytest.mark.parametrize("imputer", imputers, ids=repr).mark if is_theirs else mark

    marks = [ours(mark) for mark in getattr(test, "pytestmark", [])]
    if marks == getattr(test, "pytestmark", []):
        return None

    @functools.wraps(test)
    def run(imputer, **arguments):
        return test(imputer=clone(imputer), **arguments)

    run.pytestmark = marks
    return run


try:
    from sklearn.impute.tests import test_common as theirs
except ImportError:

    @pytest.mark.skip(reason="the tests of scikit-learn are not installed")
    def test_of_imputers():
        pass

else:
    for _name, _test in list(vars(theirs).items()):
        if _name.startswith("test_"):
            _ours = bound(_test, [CONTINUOUS] if _name == KEEPS_DTYPES else [CONTINUOUS, BY_DTYPE])
            if _ours is not None:
                globals()[_name] = _ours


# --- a table of all kinds of columns ------------------------------------------------------------------------------

MODELS = ("gaussian", "copula", "mixture", "factor")
N = 60


def mixed(n=N, seed=0):
    """Numbers, counts, strings, ordered levels and booleans, all with holes; and a class."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    z[:, 1] += z[:, 0]
    z[:, 2] -= z[:, 0]
    frame = pd.DataFrame(
        {
            "a": z[:, 0],
            "b": 3 * z[:, 1] + 100,
            "count": pd.array(np.rint(50 * np.abs(z[:, 2])).astype(int), dtype="Int64"),
            "colour": np.where(z[:, 1] > 0.5, "red", np.where(z[:, 1] > -0.5, "green", "blue")),
            "size": pd.Categorical(np.where(z[:, 2] > 0, "L", "S"), categories=["S", "L"], ordered=True),
            "flag": pd.array(z[:, 3] > 0, dtype="boolean"),
        },
        index=[f"r{i}" for i in range(n)],
    )
    frame["colour"] = frame["colour"].astype(object)
    for j, name in enumerate(frame):
        frame.loc[frame.index[j :: 5 + j], name] = None
    return frame, (z[:, 0] + z[:, 1] > 0).astype(int)


FRAME, CLASSES = mixed()
POLARS = pl.DataFrame(
    {
        name: pl.Series([None if pd.isna(value) else value for value in FRAME[name]], dtype=sort)
        for name, sort in zip(
            FRAME, (pl.Float64, pl.Float64, pl.Int64, pl.String, pl.Enum(["S", "L"]), pl.Boolean), strict=True
        )
    }
)
NUMBERS = FRAME[["a", "b"]].assign(c=FRAME["count"].astype(float)).to_numpy()


def make(model="copula", **options):
    few = {"mixture": {"n_components": 2, "n_init": 1}, "factor": {"n_components": 1}}
    return EMImputer(model, random_state=0, **{**few.get(model, {}), **options})


def gaps(table):
    if isinstance(table, pl.DataFrame):
        return sum(
            column.is_null().sum() + (column.is_nan().sum() if column.dtype.is_float() else 0) for column in table
        )
    return int(pd.isna(table).to_numpy().sum()) if isinstance(table, pd.DataFrame) else int(pd.isna(table).sum())


def assert_observed_stay(before, after):
    """To the bit."""
    before, after = (np.asarray(table, dtype=object) for table in (before, after))
    observed = ~pd.isna(before)
    assert (before[observed] == after[observed]).all()


class TestFrames:
    @pytest.mark.parametrize("output", [None, "default", "pandas", "polars"])
    def test_set_output_of_pandas(self, output):
        if output == "polars":
            pytest.importorskip("pyarrow", exc_type=ImportError)
        out = make().set_output(transform=output).fit_transform(FRAME)
        assert isinstance(out, pl.DataFrame if output == "polars" else pd.DataFrame)
        assert list(out.columns) == list(FRAME.columns)
        assert gaps(out) == 0
        assert_observed_stay(FRAME, out)
        if output != "polars":
            assert out.dtypes.equals(FRAME.dtypes)
            assert out.index.equals(FRAME.index)

    @needs_names_of_polars
    @pytest.mark.parametrize("output", [None, "default", "pandas", "polars"])
    def test_set_output_of_polars(self, output):
        out = make().set_output(transform=output).fit_transform(POLARS)
        assert isinstance(out, pd.DataFrame if output == "pandas" else pl.DataFrame)
        assert list(out.columns) == POLARS.columns
        assert gaps(out) == 0
        if output != "pandas":
            assert out.schema == POLARS.schema

    @pytest.mark.parametrize("output", ["pandas", "polars"])
    def test_set_output_of_arrays(self, output):
        library = {"pandas": pd, "polars": pl}[output]
        imputer = make("gaussian", add_indicator=True).set_output(transform=output)
        out = imputer.fit_transform(NUMBERS)
        assert isinstance(out, library.DataFrame)
        assert list(out.columns) == imputer.get_feature_names_out().tolist()
        assert_array_equal(out.to_numpy(), clone(imputer).set_output(transform="default").fit_transform(NUMBERS))

    @pytest.mark.parametrize("library", LIBRARIES)
    @pytest.mark.parametrize("output", [None, "pandas", "polars"])
    def test_in_a_column_transformer(self, library, output):
        if output not in (None, library):
            pytest.importorskip("pyarrow", exc_type=ImportError)
        numbers, levels = ["a", "b", "count"], ["colour", "size", "flag"]
        both = ColumnTransformer(
            [("numbers", make("gaussian"), numbers), ("levels", make("latent_class", n_components=2), levels)],
            verbose_feature_names_out=False,
        ).set_output(transform=output)
        out = both.fit_transform({"pandas": FRAME, "polars": POLARS}[library])
        assert out.shape == FRAME.shape
        assert gaps(out) == 0
        assert both.get_feature_names_out().tolist() == numbers + levels
        if output == library == "pandas":
            assert out.dtypes.equals(FRAME.dtypes)

    @pytest.mark.parametrize("model", MODELS)
    def test_frames_and_arrays_of_objects_give_the_same(self, model):
        frame = make(model).fit(FRAME)
        filled = frame.transform(FRAME)
        objects = frame.transform(FRAME.to_numpy(dtype=object))
        assert isinstance(objects, np.ndarray)
        assert (objects == filled.to_numpy(dtype=object)).all()
        array = make(model).fit(FRAME.drop(columns="size").to_numpy(dtype=object))
        without = make(model).fit(FRAME.drop(columns="size"))
        assert_frame_equal(
            array.transform(FRAME.drop(columns="size")), without.transform(FRAME.drop(columns="size")), rtol=1e-9
        )

    @pytest.mark.parametrize("model", MODELS)
    def test_fitted_to_one_library_and_used_on_the_other(self, model):
        one = make(model).fit(FRAME)
        out = one.transform(POLARS)
        assert isinstance(out, pl.DataFrame)
        assert gaps(out) == 0
        assert_array_equal(out["a"].to_numpy(), one.transform(FRAME)["a"].to_numpy())
        if SEES_NAMES_OF_POLARS:
            back = make(model).fit(POLARS).transform(FRAME)
            assert back.dtypes.equals(FRAME.dtypes)
            assert gaps(back) == 0

    def test_numbers_of_a_frame_and_an_array(self):
        frame = pd.DataFrame(NUMBERS, columns=list("abc"))
        imputer = make("gaussian").fit(frame)
        assert_array_equal(imputer.transform(NUMBERS), imputer.transform(frame).to_numpy())
        assert_array_equal(make("gaussian").fit(NUMBERS).transform(NUMBERS), imputer.transform(frame).to_numpy())
        assert imputer.feature_names_in_.tolist() == ["a", "b", "c"]
        assert not hasattr(make("gaussian").fit(NUMBERS), "feature_names_in_")

    def test_the_input_is_as_it_was(self):
        before = FRAME.copy()
        imputer = make(add_indicator=True).fit(FRAME)
        for method in ("transform", "impute", "predict_interval", "standard_error", "predict_proba", "score_samples"):
            getattr(imputer, method)(FRAME)
        assert_frame_equal(FRAME, before)


EMPTY = pd.DataFrame(
    {"a": [1.0, np.nan, 3, 4, 5], "none": [np.nan] * 5, "b": [np.nan, 2, 3, 5, 1], "full": np.arange(5.0)}
)


class TestNames:
    @pytest.mark.parametrize("library", [*LIBRARIES, "array", "int"])
    @pytest.mark.parametrize("keep", [False, True])
    @pytest.mark.parametrize("indicator", [False, True])
    @pytest.mark.parametrize("output", [None, "pandas"])
    def test_names_are_those_of_the_output(self, library, keep, indicator, output):
        table = {
            "pandas": EMPTY,
            "polars": pl.DataFrame(EMPTY.to_dict("list")),
            "array": EMPTY.to_numpy(),
            "int": EMPTY.set_axis(range(4), axis=1),
        }[library]
        imputer = EMImputer("gaussian", keep_empty_features=keep, add_indicator=indicator)
        out = imputer.set_output(transform=output).fit_transform(table)
        names = imputer.get_feature_names_out()
        assert out.shape == (5, 3 + keep + 3 * indicator) == (5, len(names))
        if output == "pandas" or library in ("pandas", "polars"):
            assert list(out.columns) == names.tolist()
        if library in ("pandas", "polars"):
            flags = ["missingindicator_a", "missingindicator_none", "missingindicator_b"]
            assert names.tolist() == ["a", *(["none"] if keep else []), "b", "full"] + flags * indicator
        if indicator:
            expected = np.isnan(EMPTY[["a", "none", "b"]].to_numpy())
            assert_array_equal(np.asarray(out)[:, -3:].astype(float), expected)

    def test_names_that_are_given(self):
        imputer = EMImputer("gaussian", add_indicator=True).fit(EMPTY.to_numpy())
        names = imputer.get_feature_names_out(["p", "q", "r", "s"])
        assert names.tolist() == ["p", "r", "s", "missingindicator_p", "missingindicator_q", "missingindicator_r"]
        with pytest.raises(ValueError, match="input_features"):
            imputer.get_feature_names_out(["p"])
        with pytest.raises(ValueError, match="input_features"):
            EMImputer("gaussian").fit(EMPTY).get_feature_names_out(["p", "q", "r", "s"])

    @pytest.mark.parametrize("library", [pd.DataFrame, pytest.param(pl.DataFrame, marks=needs_names_of_polars)])
    def test_a_column_that_is_named_like_an_indicator(self, library):
        table = library({"a": [1.0, np.nan, 3.0, 4.0], "missingindicator_a": [1.0, 2.0, 3.0, 7.0]})
        with pytest.raises(ValueError, match="add_indicator would add a column 'missingindicator_a'"):
            EMImputer("gaussian", add_indicator=True).fit(table)

    def test_a_gap_where_there_was_none(self):
        imputer = EMImputer("gaussian", add_indicator=True, keep_empty_features=True).fit(EMPTY)
        new = EMPTY.assign(full=[np.nan, 1, 2, 3, np.nan])
        assert list(imputer.transform(new)["missingindicator_a"]) == [0, 1, 0, 0, 0]
        assert gaps(imputer.transform(new)) == 0
        assert imputer.transform(new).shape == imputer.transform(EMPTY).shape

    def test_what_was_empty_may_have_values_later(self):
        kept = EMImputer("gaussian", keep_empty_features=True).fit(EMPTY)
        new = EMPTY.assign(none=[7.0, np.nan, np.nan, 8, np.nan])
        assert kept.transform(EMPTY)["none"].tolist() == [0.0] * 5
        assert kept.transform(new)["none"].tolist() == [7.0, 0, 0, 8, 0]
        assert kept.transform(new)["a"].equals(kept.transform(EMPTY)["a"])
        assert np.isnan(kept.statistics_[1])
        assert kept.standard_error(new)[:, 1].tolist() == [0.0] * 5


class TestSearch:
    def test_grid(self):
        grid = {"model": ["gaussian", "copula", "factor"], "n_components": [1, 2], "ridge": [0.01, "auto"]}
        search = GridSearchCV(EMImputer(random_state=0), grid, cv=KFold(3), error_score="raise").fit(NUMBERS)
        by_hand = [
            clone(search.best_estimator_).fit(NUMBERS[train]).score(NUMBERS[test])
            for train, test in KFold(3).split(NUMBERS)
        ]
        assert search.best_score_ == pytest.approx(np.mean(by_hand))
        assert gaps(search.transform(NUMBERS)) == 0

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_grid_of_mixed_columns(self, n_jobs):
        grid = {"model": ["copula", "mixture"], "n_components": [1, 2], "statistic": ["auto", "median"]}
        imputer = EMImputer(random_state=0, n_init=1)
        with joblib.parallel_config("threading"):
            search = GridSearchCV(imputer, grid, cv=KFold(2), n_jobs=n_jobs, error_score="raise").fit(FRAME)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    @pytest.mark.parametrize(
        "grid",
        [
            {"model": np.array(["gaussian", "copula"])},
            {"statistic": np.array(["mean", "median"])},
            {"add_indicator": np.array([True, False])},
        ],
    )
    def test_grid_of_an_array(self, grid):
        GridSearchCV(EMImputer("gaussian"), grid, cv=KFold(2), error_score="raise").fit(NUMBERS)

    def test_before_a_classifier(self):
        pipeline = make_pipeline(make("gaussian"), LogisticRegression())
        assert cross_val_score(pipeline, NUMBERS, CLASSES, cv=3, error_score="raise").mean() > 0.85
        search = GridSearchCV(pipeline, {"emimputer__model": ["gaussian", "copula"]}, cv=3, error_score="raise")
        assert search.fit(NUMBERS, CLASSES).best_score_ > 0.85

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_before_an_encoder(self, library):
        # dense: scikit-learn 1.6 puts no sparse columns beside those of polars
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        encode = make_column_transformer((one_hot, ["colour", "size", "flag"]), remainder="passthrough")
        pipeline = make_pipeline(make(), encode, LogisticRegression(max_iter=5000))
        table = {"pandas": FRAME, "polars": POLARS}[library]
        assert pipeline.fit(table, CLASSES).score(table, CLASSES) > 0.9
        if library == "pandas":
            assert cross_val_score(pipeline, table, CLASSES, cv=3, error_score="raise").mean() > 0.8

    def test_categories_alone_before_an_encoder(self):
        levels = FRAME[["colour", "size", "flag"]]
        encoded = make_pipeline(make("latent_class", n_components=2), OneHotEncoder()).fit_transform(levels)
        assert encoded.shape == (N, 7)

    @routes_scores
    def test_weights_are_routed_without_a_request(self):
        weight = np.where(CLASSES, 3.0, 1.0)
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(make("gaussian")).fit(NUMBERS, sample_weight=weight)
            direct = make("gaussian").fit(NUMBERS, sample_weight=weight)
            assert_array_equal(pipeline[-1].location_, direct.location_)
            assert pipeline.score(NUMBERS, sample_weight=weight) == direct.score(NUMBERS, sample_weight=weight)
            assert direct.score(NUMBERS, sample_weight=weight) != direct.score(NUMBERS)
            search = GridSearchCV(make("gaussian"), {"ridge": [0.01]}, cv=KFold(3), error_score="raise")
            assert np.isfinite(search.fit(NUMBERS, sample_weight=weight).best_score_)

    def test_weights_are_routed_to_a_step_before_a_classifier(self):
        weight = np.where(CLASSES, 3.0, 1.0)
        with sklearn.config_context(enable_metadata_routing=True):
            last = LogisticRegression().set_fit_request(sample_weight=False)
            pipeline = make_pipeline(make("gaussian"), last).fit(NUMBERS, CLASSES, sample_weight=weight)
            assert_array_equal(pipeline[0].location_, make("gaussian").fit(NUMBERS, sample_weight=weight).location_)

    def test_fit_transform_takes_weights(self):
        weight = np.where(CLASSES, 3.0, 1.0)
        direct = make("gaussian").fit(NUMBERS, sample_weight=weight).transform(NUMBERS)
        assert_array_equal(make("gaussian").fit_transform(NUMBERS, sample_weight=weight), direct)
        assert (direct != make("gaussian").fit_transform(NUMBERS)).any()

    def test_imputed_tables_are_pooled(self):
        table = FRAME[["a", "b"]].assign(c=FRAME["count"].astype(float))
        tables = make().fit(table).impute(table, 4)
        pooled = pool(LinearRegression(), [(one[["a", "c"]], one["b"]) for one in tables])
        assert pooled.n_imputations_ == 4
        assert pooled.summary()["name"].tolist() == ["a", "c", "intercept"]
        assert (pooled.standard_error_ > 0).all()
        assert (pooled.fraction_missing_information_ > 0).all()


class TestConventions:
    def test_parameters(self):
        params = EMImputer().get_params()
        assert repr(EMImputer().set_params(**params).get_params()) == repr(params)
        with pytest.raises(ValueError, match="Invalid parameter 'kind'"):
            EMImputer().set_params(kind="mean")

    def test_documented_defaults_are_those_of_the_code(self):
        documented = {}
        for line in EMImputer.__doc__.splitlines():
            if ", default=" in line:
                names, rest = line.strip().split(" : ", 1)
                documented |= dict.fromkeys(names.split(", "), rest.split("default=")[1])
        params = EMImputer().get_params()
        assert set(documented) >= set(params)
        for name, value in params.items():
            default = documented[name]
            assert np.isnan(value) if default == "nan" else ast.literal_eval(default) == value, name

    def test_choices_are_documented(self):
        for name in ("model", "statistic", "unseen", "accelerate"):
            with pytest.raises(ValueError, match=f"{name} must be one of") as refused:
                EMImputer(**{name: "x"}).fit(NUMBERS)
            allowed = str(refused.value).split("[")[1].split("]")[0]
            assert f"    {name} : {{{allowed.replace(chr(39), chr(34))}}}" in EMImputer.__doc__

    @pytest.mark.parametrize("model", MODELS)
    def test_clone_is_not_fitted_and_fits_the_same(self, model):
        fitted = make(model, columns={"size": "nominal"}, min_value={"a": -1}).fit(FRAME)
        again = clone(fitted)
        assert not [name for name in vars(again) if name.endswith("_")]
        assert_frame_equal(again.fit_transform(FRAME), fitted.transform(FRAME))

    @pytest.mark.parametrize("model", [*MODELS, "latent_class"])
    def test_pickles_and_copies(self, model, tmp_path):
        table = FRAME[["colour", "size", "flag"]] if model == "latent_class" else FRAME
        options = {"n_components": 2} if model == "latent_class" else {}
        fitted = make(model, add_indicator=True, **options).fit(table)
        joblib.dump(fitted, tmp_path / "imputer")
        copies = pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), joblib.load(tmp_path / "imputer")
        later = copy.deepcopy(fitted).partial_fit(table)
        for again in copies:
            assert repr(again.get_params()) == repr(fitted.get_params())
            assert_frame_equal(again.transform(table), fitted.transform(table))
            assert_frame_equal(again.impute(table, 1)[0], fitted.impute(table, 1)[0])
            assert_frame_equal(again.partial_fit(table).transform(table), later.transform(table))
            assert again.fit(table).objective_ == fitted.objective_

    def test_pickle_of_another_version_warns(self):
        with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.0"):
            EMImputer().__setstate__({**make("gaussian").fit(NUMBERS).__getstate__(), "_emkit_version": "0.0.0"})

    def test_html_has_every_fitted_attribute_and_the_docstring_too(self):
        imputer = make(add_indicator=True, missing_values=pd.NA).fit(FRAME)
        html = estimator_html_repr(imputer)
        assert "missing_values=<NA>" in repr(imputer)
        fitted = [name for name in vars(imputer) if name.endswith("_") and name[0] != "_"]
        assert len(fitted) > 15
        for name in fitted:
            assert f"    {name} : " in EMImputer.__doc__, name
            assert BEFORE_1_9 or name in html, name

    def test_y_is_ignored(self):
        assert_frame_equal(make().fit_transform(FRAME, CLASSES), make().fit_transform(FRAME))
        assert make().fit(FRAME).score(FRAME, CLASSES) == make().fit(FRAME).score(FRAME)

    def test_score_is_the_mean_of_score_samples(self):
        imputer, weight = make().fit(FRAME), np.arange(N)
        scores = imputer.score_samples(FRAME)
        assert imputer.score(FRAME) == pytest.approx(scores.mean())
        assert imputer.score(FRAME, sample_weight=weight) == pytest.approx(np.average(scores, weights=weight))

    def test_a_changed_model_counts_from_the_next_fit(self):
        imputer = make("gaussian").fit(NUMBERS)
        before = imputer.transform(NUMBERS)
        imputer.set_params(model="factor", n_components=2, ridge=0.5, columns="nominal")
        assert_array_equal(imputer.transform(NUMBERS), before)
        assert imputer.model_ == "gaussian"

    def test_nothing_but_n_features_is_set_by_init(self):
        with pytest.raises(NotFittedError):
            EMImputer().transform(NUMBERS)
        assert not hasattr(EMImputer(), "categories_")

    @pytest.mark.parametrize("model", [*MODELS, "latent_class"])
    def test_each_fitted_attribute_has_its_shape(self, model):
        table = FRAME[["colour", "size", "flag"]] if model == "latent_class" else FRAME
        imputer = make(model, **({"n_components": 2} if model == "latent_class" else {})).fit(table)
        d = len(imputer.location_)
        assert imputer.covariance_.shape == (d, d)
        assert d == {"mixture": 3, "latent_class": 0}.get(model, 7)  # colour is two indicators
        assert imputer.statistics_.shape == (table.shape[1],)
        assert set(imputer.column_kinds_) == set(table)
        assert imputer.n_features_in_ == table.shape[1]
        assert imputer.n_iter_ > 0
        assert imputer.converged_
        assert imputer.objective_ in imputer.history_["objective"]
        assert imputer.predict_proba(table).shape == (N, imputer.n_components_)
        assert imputer.sample(3).shape == (3, table.shape[1])
        assert imputer.categories_["colour"] == ["blue", "green", "red"]


class TestArrays:
    @pytest.mark.parametrize("model", MODELS)
    def test_memory_layouts(self, model):
        expected = make(model).fit_transform(NUMBERS)
        fixed = NUMBERS.copy()
        fixed.setflags(write=False)
        wide = np.repeat(np.repeat(NUMBERS, 2, axis=0), 2, axis=1)[::2, ::2]
        for same in (fixed, np.asfortranarray(NUMBERS), wide, NUMBERS[::-1].copy()[::-1], NUMBERS.astype(">f8")):
            assert_array_equal(make(model).fit_transform(same), expected)
        assert_array_equal(make(model).fit_transform(NUMBERS.tolist()), expected)
        assert_array_equal(make(model).fit_transform(np.ma.masked_invalid(NUMBERS)), expected)

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("indicator", [False, True])
    def test_float32_is_kept(self, model, indicator):
        single = NUMBERS.astype(np.float32)
        imputer = make(model, add_indicator=indicator).fit(single)
        tables = [imputer.transform(single), *imputer.impute(single, 2), *imputer.predict_interval(single)]
        for out in tables:
            assert out.dtype == np.float32
            assert_observed_stay(single, out[:, :3])
        frame = pd.DataFrame(single, columns=list("abc"))
        assert set(make(model).fit_transform(frame).dtypes) == {np.dtype(np.float32)}
        assert imputer.transform(NUMBERS).dtype == np.float64

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, bool])
    def test_integers_become_floats(self, dtype):
        table = np.array([[0, 1], [1, 0], [1, 1], [0, 0]], dtype=dtype)
        out = EMImputer().fit_transform(table)
        assert out.dtype == np.float64
        assert_array_equal(out, table)

    @pytest.mark.parametrize("model", MODELS)
    def test_each_row_by_itself(self, model):
        imputer = make(model).fit(FRAME)
        together = imputer.transform(FRAME)
        alone = pd.concat([imputer.transform(FRAME.iloc[[i]]) for i in range(0, N, 7)])
        assert_frame_equal(alone, together.iloc[::7], rtol=1e-12)

    def test_small_blocks_of_rows_are_the_same(self, monkeypatch):
        for model in MODELS:
            imputer = make(model).fit(FRAME)
            expected = imputer.transform(FRAME), imputer.standard_error(FRAME), imputer.impute(FRAME, 1)[0]
            monkeypatch.setattr("emkit.imputer.imputing.BLOCK_CELLS", 100)
            assert_frame_equal(imputer.transform(FRAME), expected[0], rtol=1e-12)
            assert_allclose(imputer.standard_error(FRAME), expected[1], rtol=1e-9)
            assert gaps(imputer.impute(FRAME, 1)[0]) == 0
            monkeypatch.undo()


class TestRandomness:
    @pytest.mark.parametrize("model", MODELS)
    def test_n_jobs(self, model):
        one, two = (make(model, statistic="sample", n_jobs=n_jobs).set_params(n_init="auto") for n_jobs in (None, 2))
        assert_frame_equal(one.fit_transform(FRAME), two.fit_transform(FRAME))
        for first, second in zip(one.impute(FRAME, 3), two.impute(FRAME, 3), strict=True):
            assert_frame_equal(first, second)
        assert one.objective_ == two.objective_

    @pytest.mark.parametrize("model", MODELS)
    def test_an_integer_repeats_and_a_generator_goes_on(self, model):
        imputer = make(model, statistic="sample").fit(FRAME)
        assert_frame_equal(imputer.transform(FRAME), imputer.transform(FRAME))
        assert_frame_equal(imputer.impute(FRAME, 1)[0], imputer.impute(FRAME, 1)[0])
        assert_array_equal(imputer.sample(5), imputer.sample(5))
        assert_observed_stay(FRAME, imputer.transform(FRAME))
        imputer.set_params(random_state=1)
        other = imputer.transform(FRAME)
        imputer.set_params(random_state=np.random.RandomState(0))
        assert not imputer.transform(FRAME).equals(imputer.transform(FRAME))
        assert not imputer.impute(FRAME, 1)[0].equals(imputer.impute(FRAME, 1)[0])
        assert not other.equals(imputer.transform(FRAME))

    @pytest.mark.parametrize("model", MODELS)
    def test_the_tables_of_impute_differ(self, model):
        first, second = make(model).fit(FRAME).impute(FRAME, 2)
        assert not first.equals(second)
        assert gaps(first) == gaps(second) == 0
        assert first.dtypes.equals(FRAME.dtypes)
        assert_observed_stay(FRAME, first)

    def test_more_tables_start_with_the_same(self):
        imputer = make().fit(FRAME)
        for one, other in zip(imputer.impute(FRAME, 2), imputer.impute(FRAME, 4)[:2], strict=True):
            assert_frame_equal(one, other)


class Interrupted(KeyboardInterrupt):
    pass


class TestAtomicity:
    @pytest.mark.parametrize("error", [Interrupted, ValueError, MemoryError])
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_a_fit_that_fails_leaves_the_old_one(self, monkeypatch, error, method):
        imputer = make("gaussian").fit(NUMBERS)
        before, table = dict(vars(imputer)), imputer.transform(NUMBERS)

        def fail(self, stats, params):
            raise error("stop")

        monkeypatch.setattr(LatentGaussianModel, "m_step", fail)
        with pytest.raises(error):
            getattr(imputer, method)(NUMBERS[:40] * 2)
        monkeypatch.undo()
        assert vars(imputer) == before
        assert_array_equal(imputer.transform(NUMBERS), table)
        assert np.isfinite(imputer.partial_fit(NUMBERS).objective_)

    @pytest.mark.parametrize(
        "bad",
        [
            FRAME.assign(a=np.inf),
            FRAME.assign(a=None),
            FRAME.drop(columns="a"),
            FRAME.assign(a="x"),
            FRAME.assign(a=pd.Timestamp("2020-01-01")),
            FRAME.to_numpy(dtype=object)[:, :1],
            np.zeros(3),
        ],
    )
    def test_bad_input_leaves_the_old_fit(self, bad):
        imputer = make("gaussian").fit(FRAME)
        before = dict(vars(imputer))
        imputer.set_params(columns={"a": "count", "zz": "nominal"})
        for method in ("fit", "transform", "impute", "standard_error", "score"):
            if method == "transform":
                imputer.set_params(columns=None)
            if not isinstance(bad, pd.DataFrame) or method == "fit" or not bad.isna().all(axis=0).any():
                with pytest.raises(ValueError, match=r"."):
                    getattr(imputer, method)(bad)
            assert vars(imputer) == before | {"columns": imputer.columns}

    def test_a_first_fit_that_fails_leaves_nothing(self):
        imputer = EMImputer("latent_class")
        with pytest.raises(ValueError, match="latent_class"):
            imputer.fit(NUMBERS)
        assert not [name for name in vars(imputer) if name.endswith("_") or name == "_state"]


class Recorder:
    """A callback that scores each iteration."""

    def __init__(self, table, stop_after=None):
        self.table, self.tasks, self.scores, self.stop_after = table, [], [], stop_after

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.tasks.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "iteration":
            self.scores.append(fitted_estimator)
            return self.stop_after is not None and len(self.scores) >= self.stop_after
        return False


@needs_callbacks
class TestCallbacks:
    @pytest.mark.parametrize("model", MODELS)
    def test_every_iteration(self, model):
        recorder = Recorder(FRAME)
        imputer = make(model).set_callbacks(recorder).fit(FRAME)
        assert recorder.tasks[0] == "setup"
        assert recorder.tasks[-1] == "teardown"
        assert recorder.tasks.count("iteration") == len(imputer.history_)

    def test_callbacks_change_nothing(self):
        silent = make().fit_transform(FRAME)
        assert_frame_equal(make().set_callbacks(Recorder(FRAME)).fit_transform(FRAME), silent)

    def test_stop(self):
        with pytest.warns(ConvergenceWarning):
            imputer = make("gaussian").set_callbacks(Recorder(NUMBERS, stop_after=3)).fit(NUMBERS)
        assert imputer.n_iter_ == 2
        assert gaps(imputer.transform(NUMBERS)) == 0

    def test_starts_in_threads(self):
        recorder = Recorder(FRAME)
        imputer = make("mixture", n_jobs=2).set_params(n_init=3).set_callbacks(recorder).fit(FRAME)
        assert len(recorder.scores) == len(imputer.history_)

    def test_partial_fit(self):
        recorder = Recorder(NUMBERS)
        make("gaussian").set_callbacks(recorder).partial_fit(NUMBERS).partial_fit(NUMBERS)
        assert recorder.tasks.count("setup") == recorder.tasks.count("teardown") == 2


class TestReports:
    def test_log(self, caplog):
        with caplog.at_level(logging.INFO, logger="emkit"):
            make("gaussian").fit(NUMBERS)
            assert not caplog.records
            make("gaussian", verbose=1).fit(NUMBERS)
            short = len(caplog.records)
            assert "converged" in caplog.text
            make("gaussian", verbose=2).fit(NUMBERS)
            assert len(caplog.records) > 3 * short

    @pytest.mark.parametrize("model", MODELS)
    def test_max_iter_warns(self, model):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            imputer = make(model, max_iter=1, tol=1e-12).fit(FRAME)
        assert not imputer.converged_
        assert imputer.n_iter_ == 1
        assert gaps(imputer.transform(FRAME)) == 0

    @pytest.mark.parametrize("model", MODELS)
    def test_no_iteration_at_all(self, model):
        imputer = make(model, max_iter=0).fit(FRAME)
        assert imputer.n_iter_ == 0
        assert gaps(imputer.transform(FRAME)) == 0

    def test_warnings_name_the_line_of_the_caller(self):
        with pytest.warns(ConvergenceWarning) as caught:
            make("gaussian", max_iter=1, tol=1e-12).fit(NUMBERS)
        assert caught[0].filename == __file__
