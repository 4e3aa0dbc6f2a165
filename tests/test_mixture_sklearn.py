"""EMMixture, and noise, as citizens of scikit-learn: common checks, searches, pipelines, frames, copies, callbacks."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import OLD_SCIKIT_LEARN, needs_names_of_polars, skip_what_old_versions_get_wrong
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMMixture
from emkit.chunks import ArraySource, joined
from emkit.families.table import COUNTED, takes_only
from emkit.mixture import estimator as estimator_module
from emkit.mixture import fitting

NOT_OF_THE_KIND = {
    "check_sample_weight_equivalence_on_dense_data": "its rows are no counts, and no tag can ask for such"
}


class OfWholeNumbers(EMMixture):
    """Under a tag that makes the checks hand out whole numbers, which is what this family takes."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


def expected_failed_checks(estimator):
    return NOT_OF_THE_KIND if takes_only(getattr(estimator, "family", "gaussian"), COUNTED) else {}


@pytest.fixture
def ones_for_more(monkeypatch):
    """Values above 1 are read as 1: no tag tells the checks to hand out zeros and ones."""

    def read(*args, **kwargs):
        source, kept = original(*args, **kwargs)
        rows = joined(source)
        return ArraySource(np.where(rows.X > 1, 1.0, rows.X), rows.weight, rows.labels), kept

    original = fitting.read
    monkeypatch.setattr(fitting, "read", read)
    monkeypatch.setattr(estimator_module, "read", read)


@parametrize_with_checks(
    [
        EMMixture(),
        EMMixture(2, covariance_type="diag"),  # for full, the weighted rows of a check have no maximum
        EMMixture(2, covariance_type="spherical", n_init=2),
        EMMixture(2, family="gaussian", noise=True),
        EMMixture(family="student", noise=True, covariance_type="tied"),
        EMMixture(2, family="gaussian", covariance_type="tied", warm_start=True, accelerate=False),
        EMMixture(2, family="categorical"),
        EMMixture(2, family="categorical", emissionprob_prior=2.0, n_init=1),
        OfWholeNumbers(2, family="poisson"),
        EMGaussianMixture(2, noise=True),
        EMGaussianMixture(1, noise=True, covariance_type="diag", assignment="hard"),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_common_checks(estimator, check):
    run_check(estimator, check)


@parametrize_with_checks([EMMixture(2, family="bernoulli")], expected_failed_checks=expected_failed_checks)
def test_common_checks_of_zeros_and_ones(estimator, check, ones_for_more):
    run_check(estimator, check)


def run_check(estimator, check):
    skip_what_old_versions_get_wrong(check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.SkipTestWarning)
        warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of some checks, whose rows take four values
        check(estimator)


def counts(n=120, seed=0):
    """Rows of three counts from two groups, and the groups."""
    rng = np.random.default_rng(seed)
    z = np.repeat([0, 1], n // 2)
    return rng.poisson(np.array([[2, 6, 1], [7, 2, 5]])[z]).astype(float), z


def normals(n=120, seed=0):
    rng = np.random.default_rng(seed)
    z = np.repeat([0, 1], n // 2)
    return rng.normal(4.0 * z[:, None], 1, (n, 2)), z


@pytest.mark.parametrize(
    ("family", "positive_only", "categorical"),
    [
        ("student", False, False),
        ("poisson", True, False),
        ("categorical", True, True),
        (["bernoulli", "bernoulli"], True, True),
        (["poisson", "gaussian"], False, False),
        ([], False, False),
        (7, False, False),
    ],
)
def test_tags(family, positive_only, categorical):
    tags = get_tags(EMMixture(family=family)).input_tags
    assert (tags.positive_only, tags.categorical, tags.allow_nan) == (positive_only, categorical, True)


class TestCitizenship:
    def test_search_chooses_the_number_of_classes(self):
        X, _ = counts(300)
        folds = KFold(4, shuffle=True, random_state=0)
        search = GridSearchCV(EMMixture(family="poisson", random_state=0), {"n_components": [1, 2, 3, 4]}, cv=folds)
        assert search.fit(X).best_params_ == {"n_components": 2}
        assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())
        assert np.isfinite(search.score(X))

    def test_probabilities_before_a_classifier(self):
        X, y = counts()
        pipeline = make_pipeline(EMMixture(2, family="poisson", random_state=0), LogisticRegression())
        assert cross_val_score(pipeline, X, y, cv=KFold(4, shuffle=True, random_state=0)).mean() > 0.9
        assert cross_val_predict(pipeline, X, y, method="predict_proba").shape == (120, 2)

    def test_categories_through_an_encoder(self):
        frame = pd.DataFrame({"a": ["x", "y", None, "x"] * 20, "b": ["u", "v", "v", None] * 20})
        classes = make_pipeline(OrdinalEncoder(), EMMixture(2, family="categorical", random_state=0)).fit(frame)
        assert_allclose(classes.predict_proba(frame).sum(axis=1), 1)

    @pytest.mark.parametrize("make", [clone, copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
    @pytest.mark.parametrize("family", ["student", "poisson", ["poisson", "bernoulli", "gaussian"]])
    def test_copies(self, make, family):
        X, _ = counts()
        if family != "poisson":
            X = normals()[0] if family == "student" else np.column_stack([X[:, 0], X[:, 1] > 3, normals()[0][:, 0]])
        mixture = EMMixture(2, family=family, random_state=0).fit(X)
        again = make(mixture)
        if make is clone:
            assert not hasattr(again, "weights_")
            again.fit(X)
        assert_array_equal(again.predict_proba(X), mixture.predict_proba(X))
        assert again.get_params() == mixture.get_params()

    @pytest.mark.parametrize("library", [pd, pytest.param(pl, marks=needs_names_of_polars)])
    def test_frames(self, library):
        X, _ = counts()
        frame = library.DataFrame({name: X[:, j] for j, name in enumerate("abc")})
        mixture = EMMixture(2, family="poisson", random_state=0).fit(frame)
        assert mixture.feature_names_in_.tolist() == ["a", "b", "c"]
        assert_array_equal(mixture.predict(frame), EMMixture(2, family="poisson", random_state=0).fit(X).predict(X))
        with pytest.raises(ValueError, match="feature names"):
            mixture.predict(frame[["b", "a", "c"]])
        name = {pd: "pandas", pl: "polars"}[library]
        out = mixture.set_output(transform=name).transform(frame)
        assert isinstance(out, library.DataFrame)
        assert list(out.columns) == ["emmixture0", "emmixture1"]

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float32, object, "Int64", "boolean"])
    def test_dtypes(self, dtype):
        X = (counts()[0] > 3).astype(float)
        given = pd.DataFrame(X.astype(int)).astype(dtype) if isinstance(dtype, str) else X.astype(dtype)
        mixture, expected = (EMMixture(2, family="bernoulli", random_state=0).fit(data) for data in (given, X))
        assert_array_equal(mixture.emissionprob_, expected.emissionprob_)
        assert_array_equal(mixture.predict(given), expected.predict(X))

    def test_missing_values_of_frames_and_masks(self):
        X, _ = counts()
        X[::7, 1] = np.nan
        expected = EMMixture(2, family="poisson", random_state=0).fit(X).rates_
        others = [
            np.ma.masked_invalid(X),
            pd.DataFrame(X).astype("Int64"),
            pl.DataFrame(X).with_columns(pl.all().fill_nan(None)),
            [[None if np.isnan(cell) else cell for cell in row] for row in X],
        ]
        for data in others:
            assert_allclose(EMMixture(2, family="poisson", random_state=0).fit(data).rates_, expected, rtol=1e-12)

    @pytest.mark.parametrize(
        "change",
        [
            {"n_components": 5},
            {"family": "gaussian"},
            {"fixed": None},
            {"covariance_type": "EII"},
            {"noise": True},
            {"n_symbols": [9]},
            {"emissionprob_prior": 7.0},
            {"reg_covar": "none"},
            {"parts_init": 3},
        ],
    )
    def test_set_params_after_fit_leaves_the_fit(self, change):
        X, _ = counts()
        mixture = EMMixture(2, family="categorical", random_state=0).fit(X)
        before = mixture.predict_proba(X)
        assert_array_equal(mixture.set_params(**change).predict_proba(X), before)

    def test_a_list_that_the_user_changes_later(self):
        X = np.column_stack([counts()[0][:, 0], normals()[0][:, 0]])
        family = ["poisson", "gaussian"]
        mixture = EMMixture(2, family=family, random_state=0).fit(X)
        before = mixture.predict_proba(X)
        family[:] = ["gaussian", "gaussian"]
        assert_array_equal(mixture.predict_proba(X), before)

    @pytest.mark.parametrize("n_symbols", [[3, 2], (3, 2), np.array([3, 2]), None])
    def test_warm_start_compares_settings_by_value(self, n_symbols):
        X = np.array([[0.0, 1], [1, 0], [2, 1], [0, 0]] * 5)
        mixture = EMMixture(2, family="categorical", n_symbols=n_symbols, warm_start=True, random_state=0).fit(X)
        mixture.set_params(n_symbols=copy.deepcopy(n_symbols)).fit(X)
        mixture.set_params(n_symbols=[3, 4])
        with pytest.raises(ValueError, match="warm_start=True continues a fit with"):
            mixture.fit(X)

    def test_history(self):
        X, _ = counts()
        mixture = EMMixture(2, family="poisson", random_state=0, n_init=3).fit(X)
        history = mixture.history_
        assert set(history["start"]) <= {0, 1, 2}
        assert (history["change"][history["phase"] != "start"] > -1e-9).all()
        assert history["objective"].max() == pytest.approx(mixture.objective_, abs=1e-6)

    @pytest.mark.skipif(OLD_SCIKIT_LEARN or not hasattr(EMMixture, "set_callbacks"), reason="callbacks came with 1.9")
    def test_progress_bar(self, capsys):
        from sklearn.callback import ProgressBar

        X, _ = counts()
        plain = EMMixture(2, family="poisson", random_state=0).fit(X)
        watched = EMMixture(2, family="poisson", random_state=0).set_callbacks(ProgressBar()).fit(X)
        assert_array_equal(watched.rates_, plain.rates_)


FIT_ERRORS = [
    ({"n_components": 0}, "n_components must be an integer >= 1, but got 0"),
    ({"n_components": 1.5}, "n_components must be an integer"),
    ({"n_components": 121}, "n_components = 121, n_samples = 120"),
    ({"family": "cauchy"}, "family must be one of .* but got 'cauchy'"),
    ({"family": []}, "family must be one of"),
    ({"family": ["poisson", 3, "poisson"]}, "family must be one of"),
    ({"family": ["poisson"]}, "family names 1 kinds of columns, but X has 3 columns"),
    ({"family": ["bernoulli", "categorical", "poisson"]}, "both publish emissionprob_"),
    ({"family": ["student", "gaussian", "poisson"]}, "both publish means_"),
    ({"family": int}, "family must be one of"),
    ({"covariance_type": "round"}, "covariance_type must be one of"),
    ({"reg_covar": -1}, "reg_covar must be a finite number >= 0"),
    ({"reg_covar": np.nan}, "reg_covar must be a finite number"),
    ({"family": "categorical", "n_symbols": 2}, "its column has the 2 symbols 0 to 1"),
    ({"family": "categorical", "n_symbols": "many"}, "n_symbols must be an integer, one for each column, or None"),
    ({"family": "categorical", "n_symbols": [20, 20]}, "n_symbols has 2 numbers, but X has 3 columns"),
    ({"family": "categorical", "emissionprob_prior": 0.5}, "emissionprob_prior must be a finite number >= 1"),
    ({"family": "bernoulli"}, r"X\[\d+, \d+\] is \d+, but values must be 0 or 1"),
    ({"tol": -1}, "tol must be"),
    ({"max_iter": -1}, "max_iter must be"),
    ({"n_init": 0}, "n_init must be 'auto' or an integer >= 1"),
    ({"init_params": "best"}, "init_params must be one of"),
    ({"init_params": np.zeros(7)}, "init_params must be one of .* but got an array of shape"),
    ({"init_params": np.arange(120) // 7 % 3}, r"labels from 0 to 1 .* but init_params\[14\] is 2"),
    ({"init_params": ["a"] * 120}, r"but init_params\[0\] is 'a'"),
    ({"init_params": [[0.5, 0.5]] * 7 + [[0.3, 0.3]] * 113}, "whose rows sum to one, but row 7 of it sums to 0.6"),
    ({"init_params": [[0.5, 0.5]] * 7 + [[1.5, -0.5]] * 113}, r"but init_params\[7, 1\] is -0.5"),
    ({"init_params": np.full((120, 2), np.nan)}, r"but init_params\[0, 0\] is nan"),
    ({"init_params": np.full((120, 2), "a")}, "but got an array of dtype <U1"),
    ({"parts_init": [1]}, "parts_init must be None or a dict"),
    ({"parts_init": {"means": 1}}, r"parts_init must be None or a dict with keys among \('weights', 'rates'\)"),
    ({"parts_init": {"rates": [1, 2]}}, r"parts_init\['rates'\]: .*should have the shape of \(2, 3\), but got \(2,\)"),
    ({"parts_init": {"rates": None}}, r"parts_init\['rates'\]"),
    ({"parts_init": {"rates": -np.ones((2, 3))}}, r"parts_init\['rates'\] must lie between 0 and inf"),
    ({"parts_init": {"rates": np.full((2, 3), np.nan)}}, r"parts_init\['rates'\] must be finite"),
    ({"parts_init": {"weights": [0.5, 0.6]}}, r"parts_init\['weights'\]: .*should be normalized"),
    ({"parts_init": {"weights": [1.5, -0.5]}}, r"parts_init\['weights'\]: .*range \[0, 1\]"),
    ({"fixed": "rates"}, "fixed must be a tuple of names among"),
    ({"fixed": ("means",)}, r"fixed must be a tuple of names among \('weights', 'rates'\), but got \('means',\)"),
    ({"fixed": None}, "fixed must be a tuple"),
    ({"accelerate": True}, "accelerate must be one of"),
    ({"n_jobs": 0}, "n_jobs must be"),
    ({"warm_start": "yes"}, "warm_start must be one of"),
    ({"verbose": -1}, "verbose must be"),
]


class TestBadInput:
    @pytest.mark.parametrize(("options", "message"), FIT_ERRORS)
    def test_constructor_arguments(self, options, message):
        """And the estimator is left as it was."""
        X, _ = counts()
        mixture = EMMixture(2, family="poisson", random_state=0).fit(X)
        before = mixture.predict_proba(X)
        with pytest.raises(ValueError, match=message):
            mixture.set_params(**options).fit(X)
        assert_array_equal(mixture.predict_proba(X), before)

    @pytest.mark.parametrize(
        ("part", "value", "message"),
        [
            ("degrees_of_freedom", [3.0, -1.0], "must be positive"),
            ("degrees_of_freedom", [3.0], r"should have the shape of \(2,\)"),
            ("covariances", np.zeros((2, 2, 2)), "must be symmetric and positive definite"),
            ("covariances", np.ones((2, 2)), r"should have the shape of \(2, 2, 2\)"),
            ("means", [["a", "b"], ["c", "d"]], "must be an array of numbers"),
        ],
    )
    def test_parts_of_students(self, part, value, message):
        with pytest.raises(ValueError, match=rf"parts_init\['{part}'\].*{message}"):
            EMMixture(2, parts_init={part: value}).fit(normals()[0])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ([[0.5, 0.5], [0.5, 0.5]], "must be a list of 3 arrays, one for each column"),
            ([np.full((2, 2), 0.5)] * 3, r"parts_init\['emissionprob'\]\[0\]: .*should have the shape"),
        ],
    )
    def test_parts_of_categories(self, value, message):
        X = np.minimum(counts()[0], 2)
        with pytest.raises(ValueError, match=message):
            EMMixture(2, family="categorical", parts_init={"emissionprob": value}).fit(X)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X: X[:, 0], "Expected 2D array"),
            (lambda X: X[:1], "minimum of 2 is required"),
            (lambda X: X[:0], "minimum of 2 is required"),
            (lambda X: X[:, :0], "0 feature"),
            (lambda X: np.where(np.arange(3) == 1, np.nan, X), r"X has no observed value in column\(s\) \[1\]"),
            (lambda X: np.full_like(X, np.nan), r"no observed value in column\(s\) \[0, 1, 2\]"),
            (lambda X: np.where(X.max() == X, np.inf, X), "infinity"),
            (lambda X: X - 1, "Negative values in data: X"),
            (lambda X: X + 0.5, r"X\[0, 0\] is .*counts must be the integers 0, 1, 2"),
            (lambda X: np.full(X.shape, "many"), "could not convert string"),
            (lambda X: X + 1j, "Complex data not supported"),
            (lambda X: (block for block in [X]), "X is an iterator .*, which can be read only once"),
            (lambda X: X.astype("datetime64[D]"), "dates or times"),
            (lambda X: {"a": 1}, "."),
        ],
    )
    def test_rows(self, change, message):
        X, _ = counts()
        mixture = EMMixture(2, family="poisson", random_state=0).fit(X)
        before = mixture.rates_
        with pytest.raises((ValueError, TypeError), match=message):
            mixture.fit(change(X.copy()))
        assert mixture.rates_ is before

    def test_sparse_rows(self):
        with pytest.raises(ValueError, match="X is sparse"):
            EMMixture(2, family="poisson").fit(csr_array(counts()[0]))

    def test_a_wrong_value_is_named_by_its_place(self):
        """In what the user passed: zero weights before it, and chunks, do not count."""
        X = np.zeros((25_000, 2))
        X[:, 0] = np.arange(25_000) % 2
        mixture = EMMixture(2, family="bernoulli", max_iter=2, tol=0, n_init=1).fit(X[:10])
        wrong = X.copy()
        wrong[20_123, 1] = 2
        weight = np.ones(25_000)
        weight[:100] = 0
        for method in (mixture.fit, mixture.predict, mixture.score_samples):
            with pytest.raises(ValueError, match=r"X\[20123, 1\] is 2, but values must be 0 or 1"):
                method(wrong)
        with pytest.raises(ValueError, match=r"X\[20123, 1\] is 2"):
            mixture.fit(wrong, sample_weight=weight)

    @pytest.mark.parametrize("weight", [-1, [1, 2], np.full(120, np.nan), np.zeros(120), "heavy", np.ones((120, 1))])
    def test_sample_weight(self, weight):
        X, _ = counts()
        mixture = EMMixture(2, family="poisson", random_state=0).fit(X)
        with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
            mixture.fit(X, sample_weight=weight)
        with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
            mixture.score(X, sample_weight=weight)

    def test_not_fitted(self):
        for method in ("predict", "predict_proba", "transform", "score", "score_samples", "bic", "aic", "icl"):
            with pytest.raises(NotFittedError):
                getattr(EMMixture(2), method)(normals()[0])
        with pytest.raises(NotFittedError):
            EMMixture(2).sample()

    @pytest.mark.parametrize("n", [0, -1, 1.5, "many", True])
    def test_sample(self, n):
        mixture = EMMixture(2, random_state=0).fit(normals()[0])
        with pytest.raises(ValueError, match="Invalid value for 'n_samples'"):
            mixture.sample(n)

    def test_other_columns_than_in_fit(self):
        mixture = EMMixture(2, family="poisson", random_state=0).fit(counts()[0])
        with pytest.raises(ValueError, match="X has 2 features, but EMMixture is expecting 3"):
            mixture.predict(counts()[0][:, :2])

    def test_too_few_steps(self):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            mixture = EMMixture(2, max_iter=1, random_state=0).fit(normals()[0])
        assert not mixture.converged_

    @pytest.mark.parametrize("family", ["student", "gaussian", "poisson", "bernoulli", "categorical"])
    def test_constant_columns(self, family):
        X = np.column_stack([(counts()[0] > 3).astype(float), np.ones(120)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of two values, which numbers have not
            mixture = EMMixture(2, family=family, random_state=0).fit(X)
        assert np.isfinite(mixture.score_samples(X)).all()
        assert np.isfinite(mixture.predict_proba(X)).all()

    @pytest.mark.parametrize("family", ["student", "gaussian", "poisson", "bernoulli", "categorical"])
    def test_rows_that_are_all_the_same(self, family):
        X = np.ones((20, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (DegenerateSolutionWarning))
            mixture = EMMixture(2, family=family, random_state=0).fit(X)
        assert np.isfinite(mixture.score_samples(X)).all()
        assert mixture.weights_.sum() == pytest.approx(1)

    def test_counts_of_all_sizes(self):
        rng = np.random.default_rng(0)
        X = np.column_stack([rng.poisson(1e9, 200), rng.poisson(0.01, 200)]).astype(float)
        X[:100, 0] += 1e8
        mixture = EMMixture(2, family="poisson", random_state=0).fit(X)
        assert len(set(mixture.predict(X)[:100])) == len(set(mixture.predict(X)[100:])) == 1
        assert mixture.converged_
