"""Mixtures of experts as citizens of scikit-learn: common checks, pipelines, searches, frames, weights, callbacks."""

import ast
import copy
import inspect
import logging
import pickle
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.exceptions import (
    ConvergenceWarning,
    InconsistentVersionWarning,
    NotFittedError,
    SkipTestWarning,
    UndefinedMetricWarning,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.mixture_of_experts.model import MixtureOfExpertsModel

pl = pytest.importorskip("polars")

OLD_SCIKIT_LEARN = sklearn.__version__.startswith("1.6")
needs_callbacks = pytest.mark.skipif(
    sklearn.__version__.startswith(("1.6", "1.7", "1.8")), reason="scikit-learn < 1.9 has no callbacks"
)
routes_scores = pytest.mark.skipif(
    sklearn.__version__.startswith(("1.6", "1.7")), reason="before 1.8 searches do not route metadata to Pipeline.score"
)
needs_names_of_polars = pytest.mark.skipif(
    OLD_SCIKIT_LEARN, reason="scikit-learn 1.6 does not see the names of this polars"
)
pytestmark = pytest.mark.filterwarnings(
    "error",
    "ignore::emkit._estimator.DegenerateSolutionWarning",  # of experts with few rows
)


EXPECTED_FAILED_CHECKS = {
    "check_estimators_nan_inf": "a transformer may take NaN; the message is that of what it makes of it",
    "check_fit2d_predict1d": "to mend: reading.py, the message of a 1-d X should say how to reshape it",
}


def expected_failed_checks(estimator):
    return EXPECTED_FAILED_CHECKS if hasattr(estimator.expert_features, "transform") else {}


FEW = {"n_init": 1, "max_iter": 20}


@parametrize_with_checks(
    [
        EMMixtureOfExpertsRegressor(),
        EMMixtureOfExpertsRegressor(1),
        EMMixtureOfExpertsRegressor(3, gate="hierarchical", noise=True, **FEW),
        EMMixtureOfExpertsRegressor(gate="constant", covariance_type="tied", n_init=1),
        EMMixtureOfExpertsRegressor(gate="gaussian", expert="student", **FEW),
        EMMixtureOfExpertsRegressor(expert="poisson", gate="constant", **FEW),
        EMMixtureOfExpertsRegressor(expert="gamma", **FEW),
        EMMixtureOfExpertsRegressor(expert=LinearRegression(), **FEW),
        EMMixtureOfExpertsRegressor(expert_features=StandardScaler(), gate_features=[-1], accelerate=False, **FEW),
        EMMixtureOfExpertsClassifier(n_init=1),
        EMMixtureOfExpertsClassifier(gate="gaussian", noise=True, n_init=1, max_iter=100),
        EMMixtureOfExpertsClassifier(expert=LogisticRegression(), gate="constant", n_init=1, max_iter=3),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_common_checks(estimator, check):
    name = getattr(check, "func", check).__name__
    if OLD_SCIKIT_LEARN and name == "check_sample_weight_equivalence_on_sparse_data":
        pytest.skip("scikit-learn 1.6 runs it on estimators that say that they take no sparse data")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", SkipTestWarning)
        warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of some checks, whose y is a few numbers
        warnings.simplefilter("ignore", ConvergenceWarning)  # of those that set max_iter
        check(estimator)


@pytest.mark.parametrize(
    ("estimator", "multi_output", "positive_only"),
    [
        (EMMixtureOfExpertsRegressor(), True, False),
        (EMMixtureOfExpertsRegressor(expert="student"), True, False),
        (EMMixtureOfExpertsRegressor(expert=LinearRegression()), True, False),
        (EMMixtureOfExpertsRegressor(expert="poisson"), False, True),
        (EMMixtureOfExpertsRegressor(expert="gamma"), False, True),
        (EMMixtureOfExpertsClassifier(), False, False),
    ],
)
def test_tags(estimator, multi_output, positive_only):
    tags = get_tags(estimator)
    assert tags.target_tags.required
    assert tags.target_tags.multi_output == multi_output
    assert tags.target_tags.positive_only == positive_only
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert is_classifier(estimator) == isinstance(estimator, EMMixtureOfExpertsClassifier)
    assert is_regressor(estimator) != is_classifier(estimator)
    assert hasattr(estimator, "predict_proba") == is_classifier(estimator)


# --- data ---------------------------------------------------------------------------------------------------------

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


class TestConventions:
    @pytest.mark.parametrize("kind", [EMMixtureOfExpertsRegressor, EMMixtureOfExpertsClassifier])
    def test_parameters(self, kind):
        params = kind().get_params()
        assert repr(kind().set_params(**params).get_params()) == repr(params)
        signature = inspect.signature(kind.__init__).parameters
        positional = [name for name, p in signature.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        assert positional == ["self", "n_components"]
        with pytest.raises(ValueError, match="Invalid parameter 'n_experts'"):
            kind().set_params(n_experts=3)

    def test_parameters_of_experts_and_transformers(self):
        model = EMMixtureOfExpertsRegressor(expert=Ridge(), expert_features=PolynomialFeatures())
        model.set_params(expert__alpha=7, expert_features__degree=3)
        assert model.expert.alpha == 7
        assert model.get_params()["expert_features__degree"] == 3

    @pytest.mark.parametrize("kind", [EMMixtureOfExpertsRegressor, EMMixtureOfExpertsClassifier])
    def test_documented_defaults_are_those_of_the_code(self, kind):
        documented = {}
        for line in kind.__doc__.split("Attributes\n")[0].splitlines():
            if ", default=" in line:
                names, rest = line.strip().split(" : ", 1)
                documented |= dict.fromkeys(names.split(", "), ast.literal_eval(rest.split("default=")[1]))
        assert documented == kind().get_params()

    @pytest.mark.parametrize("kind", [EMMixtureOfExpertsRegressor, EMMixtureOfExpertsClassifier])
    def test_choices_are_documented(self, kind):
        y = Y if kind is EMMixtureOfExpertsRegressor else CLASSES
        for name in ("gate", "accelerate", "covariance_type"):
            if name not in kind().get_params():
                continue
            with pytest.raises(ValueError, match=f"{name} must be one of") as refused:
                kind(**{name: "x"}).fit(X, y)
            allowed = str(refused.value).split("[")[1].split("]")[0].replace("'", '"')
            assert f"    {name} : {{{allowed}}}" in kind.__doc__

    @pytest.mark.parametrize("expert", ["gaussian", "student", "poisson", "binomial", "gamma"])
    def test_names_of_experts_are_documented(self, expert):
        assert f'"{expert}"' in EMMixtureOfExpertsRegressor.__doc__.split("    gate : ")[0]

    @of_each_kind
    def test_each_fitted_attribute_is_documented(self, make, options, y):
        model = make(**options).fit(FRAME, y)
        fitted = {name for name in vars(model) if name.endswith("_") and name[0] != "_"} | {"experts_"}
        documented = type(model).__doc__.split("Attributes\n")[1].split("See Also")[0]
        for name in fitted:
            assert re.search(rf"\b{name}\b", documented), name
        assert estimator_html_repr(model)
        assert repr(model).startswith(type(model).__name__)

    @of_each_kind
    def test_clone_is_not_fitted_and_fits_the_same(self, make, options, y):
        model = make(**options).fit(X, y)
        again = clone(model)
        assert not [name for name in vars(again) if name.endswith("_") or name == "_state"]
        with pytest.raises(NotFittedError):
            _ = again.experts_
        assert_same(outputs(again.fit(X, y), X, y), outputs(model, X, y))

    @of_each_kind
    def test_pickles_and_copies(self, make, options, y, tmp_path):
        model = make(**options).fit(X, y)
        joblib.dump(model, tmp_path / "model")
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "model")):
            assert repr(again) == repr(model)
            assert_same(outputs(again, X, y), outputs(model, X, y))
            assert_array_equal(again.experts_[0].predict(X), model.experts_[0].predict(X))

    def test_pickle_of_another_version_warns(self):
        state = regressor().fit(X, Y).__getstate__()
        with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.0"):
            EMMixtureOfExpertsRegressor().__setstate__({**state, "_emkit_version": "0.0.0"})

    @pytest.mark.parametrize(
        "method",
        [
            *("predict", "predict_expert_proba", "score_samples", "sample", "predict_quantile", "predict_interval"),
            *("bic", "aic", "icl", "score", "standard_errors", "predict_proba"),
        ],
    )
    def test_nothing_before_the_fit(self, method):
        asked = 0
        for model in (EMMixtureOfExpertsRegressor(), EMMixtureOfExpertsClassifier()):
            if hasattr(model, method):
                needs_y = method in ("bic", "aic", "icl", "score", "standard_errors")
                with pytest.raises(NotFittedError, match=f"This {type(model).__name__} instance is not fitted yet"):
                    getattr(model, method)(X, *([CLASSES] if needs_y else []))
                asked += 1
        assert asked

    def test_set_output_has_nothing_to_set(self):
        assert not hasattr(EMMixtureOfExpertsRegressor(), "transform")
        with sklearn.config_context(transform_output="pandas"):
            model = regressor(expert_features=StandardScaler()).fit(FRAME, Y)
            assert isinstance(model.predict(FRAME), np.ndarray)
            assert_allclose(model.predict(FRAME), regressor(expert_features=StandardScaler()).fit(X, Y).predict(X))
        pipeline = make_pipeline(StandardScaler(), regressor()).set_output(transform="polars")
        assert isinstance(pipeline.fit(FRAME, Y).predict(FRAME), np.ndarray)

    @of_each_kind
    def test_fit_changes_neither_data_nor_arguments(self, make, options, y):
        expert, inputs, responses = options.get("expert"), X.copy(), np.array(y)
        before = dict(vars(expert)) if hasattr(expert, "fit") else None
        model = make(**options)
        params = model.get_params(deep=False)
        outputs(model.fit(inputs, responses), inputs, responses)
        assert_array_equal(inputs, X)
        assert_array_equal(responses, y)
        assert model.get_params(deep=False) == params
        assert before is None or vars(expert) == before

    def test_shapes_of_what_is_fitted(self):
        model = regressor(n_components=3, noise=True, expert="student").fit(X, Y)
        assert model.coef_.shape == (3, 3)
        assert model.intercept_.shape == model.scale_.shape == model.degrees_of_freedom_.shape == (3,)
        assert model.gate_coef_.shape == (3, 3)
        assert model.gate_intercept_.shape == model.weights_.shape == (3,)
        assert model.weights_.sum() == pytest.approx(1)
        assert 0 <= model.noise_weight_ <= 0.5
        several = regressor(gate="hierarchical", n_components=5).fit(X, np.column_stack([Y, Y**2]))
        assert several.coef_.shape == (5, 2, 3)
        assert several.intercept_.shape == (5, 2)
        assert several.covariances_.shape == (5, 2, 2)
        assert several.group_coef_.shape == (2, 3)
        assert not hasattr(several, "scale_")
        gaussian = regressor(gate="gaussian", gate_features=[0]).fit(X, Y)
        assert gaussian.gate_means_.shape == (2, 1)
        assert gaussian.gate_covariances_.shape == (2, 1, 1)
        assert not hasattr(gaussian, "gate_coef_")
        classes = classifier().fit(X, CLASSES)
        assert classes.coef_.shape == (2, 3, 3)
        assert classes.intercept_.shape == (2, 3)
        two = classifier().fit(X, CLASSES > 0)
        assert two.coef_.shape == (2, 1, 3)
        assert two.intercept_.shape == (2, 1)
        assert two.classes_.tolist() == [False, True]
        foreign = regressor(expert=Ridge()).fit(X, Y)
        assert [type(expert.estimator_) for expert in foreign.experts_] == [Ridge, Ridge]
        assert not hasattr(foreign, "coef_")

    @of_each_kind
    def test_predictions_are_those_of_experts_and_gate(self, make, options, y):
        model = make(**options).fit(X, y)
        gate = model.predict_expert_proba(X)
        assert_allclose(gate.sum(axis=1), 1)
        if is_classifier(model):
            assert_allclose(model.predict_proba(X).sum(axis=1), 1)
            assert_array_equal(model.classes_[model.predict_proba(X).argmax(axis=1)], model.predict(X))
            assert model.score(X, y) == (model.predict(X) == y).mean()
        else:
            means = np.stack([expert.predict(X) for expert in model.experts_], axis=1)
            assert_allclose(np.einsum("nk,nk...->n...", gate, means), model.predict(X))
            lower, upper = model.predict_interval(X, 0.5)
            assert (lower <= upper).all()
            assert_array_equal(model.predict_quantile(X, 0.25), lower)
        assert model.sample(X, 3).shape == (3, *np.shape(y))

    def test_scores_of_each_row_by_itself(self):
        for make, options, y in (kind.values for kind in KINDS):
            model = make(**options).fit(X, y)
            together = {
                name: value
                for name, value in outputs(model, X, y).items()
                if name not in ("sample", "score") and np.shape(value)[0] == N
            }
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)  # R squared of one row
                alone = [outputs(model, X[i : i + 1], y[i : i + 1]) for i in range(0, N, 40)]
            for name, value in together.items():
                got = np.concatenate([one[name] for one in alone])
                if got.dtype.kind == "f":
                    assert_allclose(got, value[::40], rtol=1e-7, atol=1e-12, err_msg=name)
                else:
                    assert_array_equal(got, value[::40], err_msg=name)


class TestFrames:
    @of_each_kind
    def test_frames_and_arrays_give_the_same(self, make, options, y):
        model = make(**options).fit(X, y)
        named = make(**options).fit(FRAME, y)
        assert_same(outputs(named, FRAME, y), outputs(model, X, y), rtol=1e-6, atol=1e-8)
        assert named.feature_names_in_.tolist() == ["a", "b", "c"]
        assert not hasattr(model, "feature_names_in_")

    @needs_names_of_polars
    def test_polars(self):
        y = pl.Series(Y)
        model = regressor(expert_features=["b"], gate_features=["a"]).fit(POLARS, y)
        expected = regressor(expert_features=["b"], gate_features=["a"]).fit(FRAME, Y)
        assert_same(outputs(model, POLARS, y), outputs(expected, FRAME, Y))
        assert_array_equal(model.predict(POLARS), model.predict(FRAME))
        assert_array_equal(classifier().fit(POLARS, pl.Series(STRINGS)).classes_, ["blue", "green", "red"])

    @pytest.mark.parametrize("options", [{}, {"expert_features": StandardScaler()}, {"gate_features": ["a"]}])
    def test_names_must_match(self, options):
        model = regressor(**options).fit(FRAME, Y)
        for other in (FRAME[["b", "a", "c"]], FRAME.rename(columns={"c": "C"}), FRAME.assign(d=1), FRAME[["a", "b"]]):
            for call in (model.predict, model.predict_expert_proba, model.score_samples, model.sample):
                with pytest.raises(ValueError, match="feature names should match"):
                    call(other)

    @pytest.mark.parametrize("options", [{}, {"expert_features": StandardScaler()}, {"gate_features": [0]}])
    def test_the_number_of_columns_must_match(self, options):
        for make, y in ((regressor, Y), (classifier, CLASSES)):
            model = make(**options).fit(X, y)
            for call in (model.predict, model.predict_expert_proba, model.score_samples, model.sample):
                with pytest.raises(ValueError, match=rf"X has 2 features, but {type(model).__name__} is expecting 3"):
                    call(X[:, :2])

    def test_names_that_are_missing_or_new_warn(self):
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            regressor().fit(FRAME, Y).predict(X)
        with pytest.warns(UserWarning, match="X has feature names, but EMMixtureOfExpertsRegressor was fitted without"):
            regressor().fit(X, Y).predict(FRAME)

    @pytest.mark.parametrize("name", ["expert_features", "gate_features"])
    def test_columns_by_name_or_place(self, name):
        expected = regressor(**{name: ["a", "c"]}).fit(FRAME, Y)
        for columns in (["a", 2], [0, -1], (0, 2), np.array([0, 2]), np.array(["a", "c"]), pd.Index(["a", "c"])):
            model = regressor(**{name: columns}).fit(FRAME, Y)
            assert_same(outputs(model, FRAME, Y), outputs(expected, FRAME, Y))
        assert_same(outputs(regressor(**{name: [-3, 2]}).fit(X, Y), X, Y), outputs(expected, FRAME, Y))
        assert {"expert_features": expected.coef_, "gate_features": expected.gate_coef_}[name].shape == (2, 2)
        assert expected.n_features_in_ == 3

    def test_the_order_of_columns_is_kept(self):
        model = regressor(expert_features=["c", "b"]).fit(FRAME, Y)
        other = regressor(expert_features=["b", "c"]).fit(FRAME, Y)
        assert_allclose(model.coef_[:, ::-1], other.coef_, rtol=1e-6)

    @needs_names_of_polars
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_columns_of_categories(self, library):
        table = MIXED if library == "pandas" else pl.from_pandas(MIXED.astype({"kind": str}).reset_index(drop=True))
        inputs = make_column_transformer((StandardScaler(), ["b"]), (OneHotEncoder(drop="first"), ["kind", "size"]))
        gate = make_column_transformer((OneHotEncoder(drop="first"), ["kind"]))
        model = regressor(expert_features=inputs, gate_features=gate).fit(table, Y)
        assert model.coef_.shape == (2, 3)
        assert model.gate_coef_.shape == (2, 1)
        assert model.n_features_in_ == 5
        coded = np.column_stack([StandardScaler().fit_transform(X[:, [1]]), LABELS * 1.0, X[:, 2] <= 0])
        expected = regressor(gate_features=[1]).fit(coded, Y)
        assert_allclose(model.predict(table), expected.predict(coded), rtol=1e-9)
        assert_allclose(model.predict_expert_proba(table, Y), expected.predict_expert_proba(coded, Y), atol=1e-9)
        assert len(cross_val_score(model, table, Y, cv=3, error_score="raise")) == 3

    def test_a_transformer_for_the_gate_and_columns_for_the_experts(self):
        gate = make_column_transformer((OneHotEncoder(drop="first"), ["kind"]))
        model = regressor(expert_features=["b", "c"], gate_features=gate).fit(MIXED, Y)
        assert model.coef_.shape == (2, 2)
        assert model.gate_coef_.shape == (2, 1)
        assert model.score(MIXED, Y) > 0.8
        inputs = make_column_transformer((StandardScaler(), ["b"]), (OneHotEncoder(drop="first"), ["size"]))
        other = regressor(expert_features=inputs, gate_features=["a"]).fit(MIXED, Y)
        assert other.gate_coef_.shape == (2, 1)
        assert other.score(MIXED, Y) > 0.8

    def test_transformers_are_cloned(self):
        spline, poly = SplineTransformer(), PolynomialFeatures(2, include_bias=False)
        model = regressor(expert_features=spline, gate_features=poly).fit(X, Y)
        assert not hasattr(spline, "n_features_in_")
        assert not hasattr(poly, "n_features_in_")
        assert model.expert_features is spline
        assert model.coef_.shape == (2, SplineTransformer().fit(X).n_features_out_)
        assert model.gate_coef_.shape == (2, 9)
        both = regressor(expert_features=poly, gate_features=poly).fit(X, Y)
        made = PolynomialFeatures(2, include_bias=False).fit_transform(X)
        assert_allclose(both.coef_, regressor().fit(made, Y).coef_, rtol=1e-6, atol=1e-8)

    def test_transformers_see_the_responses(self):
        best = SelectKBest(f_regression, k=1)
        model = regressor(expert_features=make_pipeline(StandardScaler(), best), gate_features=[0]).fit(X, Y)
        assert model.coef_.shape == (2, 1)


class TestResponses:
    @pytest.mark.parametrize(
        "y",
        [
            *(Y.tolist(), pd.Series(Y, index=np.arange(N)[::-1]), pl.Series(Y), Y.astype(object)),
            *(pd.Series(Y).astype("Float64"), Y.astype(">f8"), np.repeat(Y, 2)[::2]),
        ],
    )
    def test_of_one_dimension(self, y):
        model = regressor().fit(X, y)
        assert_array_equal(model.predict(X), regressor().fit(X, Y).predict(X))
        assert_array_equal(model.score_samples(X, y), model.score_samples(X, Y))

    @pytest.mark.parametrize("y", [Y[:, None], pd.DataFrame({"y": Y}), pl.DataFrame({"y": Y}), Y[:, None].tolist()])
    def test_a_table_of_one_column_is_kept_as_one(self, y):
        model, flat = regressor().fit(X, y), regressor().fit(X, Y)
        assert model.predict(X).shape == model.predict_quantile(X).shape == (N, 1)
        assert model.predict_quantile(X, [0.2, 0.5, 0.7]).shape == (N, 3, 1)
        assert model.sample(X, 4).shape == (4, N, 1)
        assert model.coef_.shape == (2, 1, 3)
        assert model.experts_[0].predict(X).shape == (N, 1)
        assert_array_equal(model.predict(X)[:, 0], flat.predict(X))
        assert model.score(X, y) == flat.score(X, Y)
        assert_array_equal(model.score_samples(X, y), flat.score_samples(X, Y))

    @pytest.mark.parametrize("expert", ["poisson", "gamma", "binomial"])
    def test_a_column_for_experts_of_one_response(self, expert):
        y = np.clip(COUNTS, 0.5, 1)
        with pytest.warns(sklearn.exceptions.DataConversionWarning, match="column-vector y"):
            model = regressor(expert=expert, alpha=0.1).fit(X, y[:, None])
        assert_array_equal(model.predict(X), regressor(expert=expert, alpha=0.1).fit(X, y).predict(X))

    @pytest.mark.parametrize("options", [{}, {"expert": "student"}, {"expert": LinearRegression(), "tol": 1e-3}])
    @pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, lambda y: pl.DataFrame(y, schema=["p", "q"])])
    def test_several_responses(self, options, make):
        model = regressor(**options).fit(X, make(PAIR))
        assert_allclose(model.predict(X), regressor(**options).fit(X, PAIR).predict(X), rtol=1e-6)
        assert model.predict(X).shape == (N, 2)
        assert model.predict_quantile(X, [0.2, 0.5, 0.7]).shape == (N, 3, 2)
        assert model.sample(X, 4).shape == (4, N, 2)
        assert all(bound.shape == (N, 2) for bound in model.predict_interval(X))
        assert model.score(X, make(PAIR)) > 0.8

    @pytest.mark.parametrize(
        "y",
        [
            *(STRINGS.tolist(), STRINGS.astype(object), pd.Series(STRINGS), pd.Series(STRINGS, dtype="category")),
            *(pd.Series(STRINGS, dtype="string"), pl.Series(STRINGS), pl.Series(STRINGS, dtype=pl.Categorical)),
        ],
    )
    def test_classes_of_strings(self, y):
        model, coded = classifier().fit(X, y), classifier().fit(X, CLASSES)
        assert model.classes_.tolist() == ["blue", "green", "red"]
        assert_array_equal(model.predict_proba(X), coded.predict_proba(X))
        assert_array_equal(model.predict(X), model.classes_[coded.predict(X)])
        assert_array_equal(model.score_samples(X, y), coded.score_samples(X, CLASSES))
        assert set(model.sample(X).ravel()) <= set(STRINGS)
        assert set(model.experts_[0].predict(X)) <= set(STRINGS)
        assert model.score(X, np.asarray(y)) == coded.score(X, CLASSES)

    @pytest.mark.parametrize(
        "y",
        [
            *(CLASSES > 0, (CLASSES > 0).astype(float), (CLASSES > 0) * 2 - 1, (CLASSES > 0) * 10**15),
            *(pd.array(CLASSES > 0, dtype="boolean"), pd.array(CLASSES > 0, dtype="Int64"), [c > 0 for c in CLASSES]),
        ],
    )
    def test_two_classes(self, y):
        model = classifier().fit(X, y)
        assert_array_equal(model.predict_proba(X), classifier().fit(X, (CLASSES > 0) * 1).predict_proba(X))
        assert_array_equal(model.classes_, np.unique(np.asarray(y)))
        assert set(model.predict(X)) == set(model.classes_)

    def test_two_classes_and_their_log_odds(self):
        model = EMMixtureOfExpertsClassifier(1, alpha=0.5).fit(X, CLASSES > 0)
        expected = LogisticRegression(C=2, tol=1e-10).fit(StandardScaler().fit_transform(X), CLASSES > 0)
        assert_allclose(model.coef_[0] * X.std(axis=0), expected.coef_, rtol=1e-4)
        assert_allclose(model.predict_proba(X), expected.predict_proba(StandardScaler().fit_transform(X)), rtol=1e-4)

    def test_responses_that_are_missing_in_score_samples(self):
        holes = np.where(np.arange(N) % 4, Y, np.nan)
        model = regressor().fit(X, Y)
        scores = model.score_samples(X, holes)
        assert_allclose(scores[::4], 0, atol=1e-12)
        assert_array_equal(scores[1::4], model.score_samples(X, Y)[1::4])
        assert_array_equal(model.predict_expert_proba(X, holes)[::4], model.predict_expert_proba(X)[::4])
        assert_allclose(model.score_samples(X), 0, atol=1e-12)
        inputs = regressor(gate="gaussian").fit(X, Y)
        assert_array_equal(inputs.score_samples(X, holes)[::4], inputs.score_samples(X)[::4])
        classes = classifier().fit(X, STRINGS)
        some = np.where(np.arange(N) % 4, STRINGS.astype(object), None)
        assert_allclose(classes.score_samples(X, some)[::4], 0, atol=1e-12)
        assert_array_equal(classes.score_samples(X, some)[1::4], classes.score_samples(X, STRINGS)[1::4])


class TestArrays:
    @of_each_kind
    def test_memory_layouts(self, make, options, y):
        expected = make(**options).fit(X, y).predict(X)
        fixed = X.copy()
        fixed.setflags(write=False)
        wide = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]
        sames = [fixed, np.asfortranarray(X)]
        if not options:
            sames += [wide, X[::-1].copy()[::-1], X.astype(">f8"), X.tolist()]
        for same in sames:
            got = make(**options).fit(same, y).predict(same)
            assert_same({"predict": got}, {"predict": expected}, rtol=1e-6, atol=1e-8)

    def test_memory_maps(self, tmp_path):
        paths = [tmp_path / "X.npy", tmp_path / "y.npy"]
        for path, array in zip(paths, (X, Y), strict=True):
            np.save(path, array)
        rows, y = (np.load(path, mmap_mode="r") for path in paths)
        assert_same(outputs(regressor().fit(rows, y), rows, y), outputs(regressor().fit(X, Y), X, Y))
        whole = np.rint(10 * X).astype(np.int32)
        np.save(tmp_path / "whole.npy", whole)
        mapped = np.load(tmp_path / "whole.npy", mmap_mode="r")
        assert_array_equal(regressor().fit(mapped, Y).predict(mapped), regressor().fit(whole, Y).predict(whole))

    def test_responses_and_weights_that_are_read_only(self):
        fixed = [np.array(a, dtype=np.float64) for a in (Y, np.arange(N) % 3, np.full(N, 0.5))]
        for array in fixed:
            array.setflags(write=False)
        y, weight, offset = fixed
        regressor().fit(X, y, sample_weight=weight, offset=offset).score(X, y, sample_weight=weight, offset=offset)

    @of_each_kind
    def test_single_precision(self, make, options, y):
        single = X.astype(np.float32)
        model = make(**options).fit(single, y)
        expected = make(**options).fit(single.astype(np.float64), y)
        tolerance = {"rtol": 1e-3, "atol": 1e-3} if "expert" in options else {"rtol": 1e-9, "atol": 1e-9}
        assert_allclose(model.predict_expert_proba(single), expected.predict_expert_proba(single), **tolerance)
        assert np.isfinite(model.score_samples(single, y)).all()

    def test_whole_numbers(self):
        whole = np.rint(10 * X).astype(int)
        expected = outputs(regressor().fit(whole.astype(float), Y), whole.astype(float), Y)
        for dtype in (np.int64, np.int16, np.int8):
            model = regressor().fit(whole.astype(dtype), Y)
            assert_same(outputs(model, whole.astype(dtype), Y), expected)
        assert_same(outputs(regressor().fit(pd.DataFrame(whole), Y), whole, Y), expected)
        regressor().fit(X > 0, np.rint(Y).astype(int))

    @pytest.mark.parametrize("kind", ["regressor", "classifier"])
    def test_a_function_that_yields_blocks(self, kind):
        make, y = (regressor, Y) if kind == "regressor" else (classifier, STRINGS)

        def blocks():
            yield X[:0], y[:0]
            yield X[:50], y[:50]
            yield X[50:], y[50:]

        weight = 1.0 + np.arange(N) % 2
        model = make().fit(blocks)
        assert_same(outputs(model, X, y), outputs(make().fit(X, y), X, y), rtol=1e-6, atol=1e-9)
        weighted, expected = make().fit(blocks, sample_weight=weight), make().fit(X, y, sample_weight=weight)
        assert weighted.objective_ == pytest.approx(expected.objective_)
        assert_array_equal(make().fit(lambda: [(X, y)]).predict(X), make().fit(X, y).predict(X))

    def test_blocks_of_frames_and_transformers(self):
        def blocks():
            return ((FRAME.iloc[i : i + 40], pd.Series(Y[i : i + 40])) for i in range(0, N, 40))

        model = regressor(expert_features=["b", "c"], gate_features=PolynomialFeatures(2)).fit(blocks)
        expected = regressor(expert_features=["b", "c"], gate_features=PolynomialFeatures(2)).fit(FRAME, Y)
        assert_allclose(model.predict(FRAME), expected.predict(FRAME), rtol=1e-6)
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]


class TestSearch:
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_grid(self, n_jobs):
        grid = {"n_components": [1, 2], "expert": ["gaussian", Ridge()], "gate": ["constant", "softmax"]}
        with joblib.parallel_config("threading"):
            search = GridSearchCV(regressor(tol=1e-4), grid, cv=KFold(3), n_jobs=n_jobs, error_score="raise")
            search.fit(X, Y)
        assert search.best_params_["n_components"] == 2
        assert search.best_params_["gate"] == "softmax"
        by_hand = [
            clone(search.best_estimator_).fit(X[train], Y[train]).score(X[test], Y[test])
            for train, test in KFold(3).split(X)
        ]
        assert search.best_score_ == pytest.approx(np.mean(by_hand))

    def test_grid_of_arrays(self):
        grid = {
            "gate": np.array(["softmax", "constant"]),
            "noise": np.array([True, False]),
            "n_components": range(1, 3),
        }
        GridSearchCV(regressor(tol=1e-3), grid, cv=2, error_score="raise").fit(X, Y)

    def test_in_a_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), regressor())
        assert cross_val_score(pipeline, X, Y, cv=3, error_score="raise").mean() > 0.8
        direct = regressor().fit(StandardScaler().fit_transform(X), Y)
        assert_array_equal(pipeline.fit(X, Y).predict(X), direct.predict(StandardScaler().fit_transform(X)))
        grid = {"emmixtureofexpertsregressor__expert_features__degree": [1, 2]}
        pipeline[-1].set_params(expert_features=PolynomialFeatures(include_bias=False))
        assert GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, Y).best_score_ > 0.8

    @pytest.mark.parametrize("expert", ["logistic", GaussianNB()])
    def test_cross_val_predict(self, expert):
        model = classifier(expert=expert, tol=1e-3)
        proba = cross_val_predict(model, X, STRINGS, cv=KFold(3), method="predict_proba")
        for train, test in KFold(3).split(X):
            assert_array_equal(proba[test], clone(model).fit(X[train], STRINGS[train]).predict_proba(X[test]))
        assert set(cross_val_predict(model, X, STRINGS, cv=3)) <= set(STRINGS)

    def test_a_class_that_is_absent_in_a_fold(self):
        y = STRINGS.copy()
        y[:2] = "white"
        with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
            proba = cross_val_predict(classifier(), X, y, cv=KFold(4), method="predict_proba")
        assert proba.shape == (N, 4)
        assert (proba[: N // 4, 3] == 0).all()
        assert_allclose(proba.sum(axis=1), 1)
        assert np.isfinite(cross_val_score(classifier(), X, y, cv=KFold(4), error_score="raise")).all()

    def test_scorers(self):
        scores = cross_val_score(classifier(), X, CLASSES, cv=3, scoring="neg_log_loss", error_score="raise")
        assert (scores > -1.6).all()
        absolute = cross_val_score(regressor(), X, Y, cv=3, scoring="neg_mean_absolute_error", error_score="raise")
        assert (absolute > -1).all()


class TestRouting:
    """Requests are set on the class, so that nobody has to."""

    weight = np.where(LABELS, 3.0, 1.0)
    offset = 0.3 * X[:, 2]
    exposure = np.exp(0.2 * X[:, 2])

    @pytest.mark.parametrize("method", ["fit", "predict", "score", "predict_proba"])
    @pytest.mark.parametrize("kind", [EMMixtureOfExpertsRegressor, EMMixtureOfExpertsClassifier])
    def test_what_is_requested_is_taken(self, kind, method):
        if not hasattr(kind, method):
            pytest.skip("a regressor has no predict_proba")
        with sklearn.config_context(enable_metadata_routing=True):
            requests = getattr(kind().get_metadata_routing(), method).requests
        asked = {name for name, request in requests.items() if request is True}
        taken = set(inspect.signature(getattr(kind, method)).parameters) - {"self", "X", "y"}
        if kind is EMMixtureOfExpertsClassifier:
            taken -= {"offset", "exposure"}  # which `fit` refuses
        assert asked == taken

    @routes_scores
    def test_through_a_pipeline(self):
        extras = {"block_id": BLOCK, "offset": self.offset, "exposure": self.exposure}
        scaled = StandardScaler().fit_transform(X)
        with sklearn.config_context(enable_metadata_routing=True):
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipeline = make_pipeline(scaler, regressor(expert="poisson"))
            pipeline.fit(X, COUNTS, sample_weight=self.weight_of_blocks(), **extras)
            direct = regressor(expert="poisson").fit(scaled, COUNTS, sample_weight=self.weight_of_blocks(), **extras)
            assert_array_equal(pipeline[-1].coef_, direct.coef_)
            assert_array_equal(pipeline.predict(X, **extras), direct.predict(scaled, **extras))
            got = pipeline.score(X, COUNTS, sample_weight=self.weight_of_blocks(), **extras)
            assert got == direct.score(scaled, COUNTS, sample_weight=self.weight_of_blocks(), **extras)
            assert got != direct.score(scaled, COUNTS)

    def weight_of_blocks(self):
        return self.weight[::3].repeat(3)

    @routes_scores
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_through_a_search(self, n_jobs):
        extras = {"block_id": BLOCK, "offset": self.offset, "sample_weight": self.weight_of_blocks()}
        with sklearn.config_context(enable_metadata_routing=True), joblib.parallel_config("threading"):
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipeline = make_pipeline(scaler, regressor(tol=1e-4))
            grid = {"emmixtureofexpertsregressor__n_components": [1, 2]}
            search = GridSearchCV(pipeline, grid, cv=GroupKFold(3), n_jobs=n_jobs, error_score="raise")
            search.fit(X, Y, groups=BLOCK, **extras)
            by_hand = []
            for train, test in GroupKFold(3).split(X, groups=BLOCK):
                of_train, of_test = ({name: value[rows] for name, value in extras.items()} for rows in (train, test))
                scaler = StandardScaler().fit(X[train])
                direct = regressor(tol=1e-4).fit(scaler.transform(X[train]), Y[train], **of_train)
                by_hand.append(direct.score(scaler.transform(X[test]), Y[test], **of_test))
            assert search.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(by_hand))
            assert search.best_params_ == {"emmixtureofexpertsregressor__n_components": 2}
            assert np.isfinite(search.score(X, Y, **extras))

    def test_of_a_classifier(self):
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), classifier())
            pipeline.fit(X, STRINGS, sample_weight=self.weight_of_blocks(), block_id=BLOCK)
            scaled = StandardScaler().fit_transform(X)
            direct = classifier().fit(scaled, STRINGS, sample_weight=self.weight_of_blocks(), block_id=BLOCK)
            expected = direct.predict_proba(scaled, block_id=BLOCK)
            assert_array_equal(pipeline.predict_proba(X, block_id=BLOCK), expected)
            params = {"sample_weight": self.weight_of_blocks(), "block_id": BLOCK, "groups": BLOCK}
            scores = cross_val_score(classifier(), X, STRINGS, cv=GroupKFold(3), params=params, error_score="raise")
            assert np.isfinite(scores).all()

    def test_without_routing(self):
        pipeline = make_pipeline(StandardScaler(), regressor(expert="poisson"))
        pipeline.fit(X, COUNTS, emmixtureofexpertsregressor__exposure=self.exposure)
        direct = regressor(expert="poisson").fit(StandardScaler().fit_transform(X), COUNTS, exposure=self.exposure)
        assert_array_equal(pipeline[-1].coef_, direct.coef_)
        got = cross_val_score(regressor(), X, Y, cv=3, params={"sample_weight": self.weight}, error_score="raise")
        by_hand = [
            regressor().fit(X[train], Y[train], sample_weight=self.weight[train]).score(X[test], Y[test])
            for train, test in KFold(3).split(X)
        ]
        assert_allclose(got, by_hand)


class TestWeights:
    """A row of weight w is w rows, whatever the options; one of weight zero is none."""

    weight = np.arange(N) % 3

    @of_each_kind
    def test_weights_are_repetitions(self, make, options, y):
        again = np.repeat(np.arange(N), self.weight)
        again = np.random.default_rng(1).permutation(again)
        options = {**options, "n_init": 2, "tol": 1e-10 if isinstance(options.get("expert", ""), str) else 1e-5}
        if options.get("expert") == "binomial":
            options["n_init"] = 1
        model = make(**options).fit(X, y, sample_weight=self.weight)
        other = make(**options).fit(X[again], y[again])
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-7)
        assert_allclose(model.predict_expert_proba(X), other.predict_expert_proba(X), atol=1e-3)

    @of_each_kind
    def test_rows_of_weight_zero_are_left_out(self, make, options, y):
        kept = self.weight > 0
        labels = LABELS + (X[:, 2] > 0) if options.get("n_components") == 3 else LABELS
        for start in ("auto", labels):
            model = make(**{**options, "init_params": start}).fit(X, y, sample_weight=self.weight)
            start = start if isinstance(start, str) else start[kept]
            other = make(**{**options, "init_params": start})
            other.fit(X[kept], y[kept], sample_weight=self.weight[kept])
            assert model.objective_ == other.objective_
            assert_array_equal(model.predict(X), other.predict(X))

    def test_weights_of_one_change_nothing(self):
        expected = outputs(regressor().fit(X, Y), X, Y)
        for weight in (1, 1.0, np.ones(N), np.ones(N, dtype=int), [1] * N, pd.Series(np.ones(N))):
            assert_same(outputs(regressor().fit(X, Y, sample_weight=weight), X, Y), expected)

    @of_each_kind
    def test_blocks_of_one_row_change_nothing(self, make, options, y):
        model = make(**options).fit(X, y)
        blocks = make(**options).fit(X, y, block_id=[f"row {i}" for i in range(N)])
        assert_allclose(blocks.objective_, model.objective_)
        assert_allclose(blocks.score_samples(X, y, block_id=np.arange(N)), model.score_samples(X, y), rtol=1e-6)

    @of_each_kind
    def test_blocks_of_weight_are_repetitions(self, make, options, y):
        weight = (np.arange(N // 3) % 3).repeat(3)
        options = {**options, "tol": 1e-9 if isinstance(options.get("expert", ""), str) else 1e-5}
        model = make(**options).fit(X, y, sample_weight=weight, block_id=BLOCK)
        again = np.concatenate([np.flatnonzero(weight > copy) for copy in range(2)])
        ids = np.concatenate([BLOCK[weight > copy] + 1000 * copy for copy in range(2)])
        other = make(**options).fit(X[again], y[again], block_id=ids)
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-6)

    def test_the_order_of_rows_of_blocks_is_the_same(self):
        turn = np.random.default_rng(0).permutation(N)
        model = regressor().fit(X, Y, block_id=BLOCK)
        other = regressor().fit(X[turn], Y[turn], block_id=BLOCK[turn])
        assert other.objective_ == pytest.approx(model.objective_)
        for method in (model.predict, model.predict_expert_proba):
            assert_allclose(method(X[turn], block_id=BLOCK[turn]), method(X, block_id=BLOCK)[turn])
        assert_allclose(
            model.predict_expert_proba(X[turn], Y[turn], block_id=BLOCK[turn]),
            model.predict_expert_proba(X, Y, block_id=BLOCK)[turn],
        )
        by_block = np.bincount(BLOCK[turn], model.score_samples(X[turn], Y[turn], block_id=BLOCK[turn]))
        assert_allclose(by_block, np.bincount(BLOCK, model.score_samples(X, Y, block_id=BLOCK)), rtol=1e-9)

    def test_blocks_share_an_expert(self):
        model = regressor().fit(X, Y, block_id=BLOCK)
        proba = model.predict_expert_proba(X, Y, block_id=BLOCK)
        assert_array_equal(proba[::3], proba[1::3])
        assert_array_equal(proba[::3], proba[2::3])
        total = model.score_samples(X, Y, block_id=BLOCK).sum()
        penalty = 0.05 * ((model.gate_coef_ * gate_spread()) ** 2).sum()
        assert model.objective_ == pytest.approx(total - penalty, rel=1e-4)

    def test_weighted_scores(self):
        weight = self.weight.astype(float)
        model = regressor().fit(X, Y, sample_weight=weight)
        again = np.repeat(np.arange(N), self.weight)
        assert model.score(X, Y, sample_weight=weight) == pytest.approx(model.score(X[again], Y[again]))
        for name in ("bic", "aic", "icl"):
            criterion = getattr(model, name)
            assert criterion(X, Y, sample_weight=weight) == pytest.approx(criterion(X[again], Y[again]))
        exact = regressor(tol=1e-12, gate_features=[0]).fit(X, Y, sample_weight=weight)
        errors = exact.standard_errors(X, Y, sample_weight=weight)
        assert_allclose(errors["coef_"], exact.standard_errors(X[again], Y[again])["coef_"], rtol=1e-3)


def gate_spread():
    means = X.reshape(-1, 3, 3).mean(axis=1)
    return means.std(axis=0)


class TestStarts:
    def test_labels_and_responsibilities(self):
        by_label = regressor(init_params=LABELS).fit(X, Y)
        assert_same(outputs(regressor(init_params=np.eye(2)[LABELS]).fit(X, Y), X, Y), outputs(by_label, X, Y))
        for same in (LABELS.tolist(), LABELS.astype(float), LABELS > 0, pd.Series(LABELS), np.eye(2)[LABELS].tolist()):
            assert_same(outputs(regressor(init_params=same).fit(X, Y), X, Y), outputs(by_label, X, Y))

    def test_labels_name_the_experts(self):
        one = regressor(init_params=LABELS).fit(X, Y)
        other = regressor(init_params=1 - LABELS).fit(X, Y)
        assert_allclose(one.coef_, other.coef_[::-1], rtol=1e-6, atol=1e-8)
        assert one.intercept_[1] > one.intercept_[0]
        still = regressor(init_params=LABELS, max_iter=0).fit(X, Y)
        assert still.n_iter_ == 0
        upper = LinearRegression().fit(X[LABELS > 0], Y[LABELS > 0])
        assert_allclose(still.coef_[1], upper.coef_, rtol=1e-4, atol=1e-4)

    def test_a_start_makes_one_run(self):
        model = regressor(init_params=LABELS, n_init=5).fit(X, Y)
        assert set(model.history_["start"]) == {0}
        one, other = (regressor(init_params=LABELS, random_state=seed).fit(X, Y) for seed in (0, 1))
        assert_array_equal(one.coef_, other.coef_)

    def test_with_blocks_that_are_scattered(self):
        turn = np.random.default_rng(0).permutation(N)
        soft = np.column_stack([1 - 0.8 * LABELS - 0.1, 0.8 * LABELS + 0.1])
        for start in (LABELS, soft):
            model = regressor(init_params=start).fit(X, Y, block_id=BLOCK)
            other = regressor(init_params=start[turn]).fit(X[turn], Y[turn], block_id=BLOCK[turn])
            assert_allclose(other.coef_, model.coef_, rtol=1e-6)

    def test_with_blocks_and_weights_of_zero(self):
        weight = (np.arange(N // 3) % 2).repeat(3)
        model = regressor(init_params=LABELS).fit(X, Y, sample_weight=weight, block_id=BLOCK)
        kept = weight > 0
        other = regressor(init_params=LABELS[kept]).fit(X[kept], Y[kept], block_id=BLOCK[kept])
        assert_array_equal(other.coef_, model.coef_)

    def test_experts_without_rows_in_the_start(self):
        model = regressor(n_components=3, init_params=LABELS, max_iter=5, tol=0).fit(X, Y)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.predict(X)).all()

    def test_warm_start_goes_on(self):
        options = {"accelerate": False, "tol": 0}
        whole = regressor(max_iter=12, **options).fit(X, Y)
        parts = regressor(max_iter=4, warm_start=True, **options)
        for _ in range(3):
            parts.fit(X, Y)
        assert parts.objective_ == pytest.approx(whole.objective_, rel=1e-9)
        assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)
        assert parts.n_iter_ == 4
        assert_array_equal(parts.set_params(max_iter=0).fit(X, Y).coef_, parts.coef_)

    @of_each_kind
    def test_warm_start_at_the_end_stays(self, make, options, y):
        model = make(**options, warm_start=True).fit(X, y)
        before = model.objective_
        model.fit(X, y)
        assert model.n_iter_ <= 5
        assert model.objective_ >= before - 1e-6 * abs(before)

    @pytest.mark.parametrize(
        ("change", "y", "table"),
        [
            ({"n_components": 3}, Y, X),
            ({"gate": "constant"}, Y, X),
            ({"expert": "student"}, Y, X),
            ({"noise": True}, Y, X),
            ({"covariance_type": "tied"}, Y, X),
            ({"expert_features": [0, 1]}, Y, X),
            ({"gate_features": [0, 1]}, Y, X),
            ({}, Y, X[:, :2]),
        ],
    )
    def test_warm_start_refuses_another_shape(self, change, y, table):
        model = regressor(warm_start=True).fit(X, Y)
        before = dict(vars(model)) | change
        with pytest.raises(ValueError, match=r"warm_start=True continues a fit of n_components=2, .* now it would be"):
            model.set_params(**change).fit(table, y)
        assert vars(model) == before

    def test_warm_start_of_new_rows(self):
        more = simulated(240, seed=5)
        model = regressor(warm_start=True).fit(X, Y).fit(more[0], more[1])
        assert model.objective_ == pytest.approx(regressor().fit(more[0], more[1]).objective_, rel=0.05)
        assert model.n_features_in_ == 3

    def test_a_cold_start_forgets(self):
        model = regressor().fit(X, Y)
        again = regressor(n_components=3).fit(X[:, :2], Y)
        assert_array_equal(model.set_params(n_components=3).fit(X[:, :2], Y).coef_, again.coef_)


class TestRandomness:
    @of_each_kind
    def test_n_jobs(self, make, options, y):
        one, two = (make(**{**options, "n_init": 2}, n_jobs=n_jobs).fit(X, y) for n_jobs in (None, 2))
        assert one.objective_ == two.objective_
        assert_same(outputs(one, X, y), outputs(two, X, y))

    def test_n_jobs_over_chunks(self, monkeypatch):
        monkeypatch.setattr("emkit.mixture_of_experts.cases.CHUNK_ROWS", 50)
        for block_id in (None, BLOCK):
            one, two = (regressor(n_jobs=n_jobs).fit(X, Y, block_id=block_id) for n_jobs in (None, 2))
            assert one.objective_ == two.objective_
            assert_same(outputs(one, X, Y), outputs(two, X, Y))

    def test_chunks_change_rounding_alone(self, monkeypatch):
        for block_id in (None, BLOCK):
            expected = regressor().fit(X, Y, block_id=block_id)
            scores = expected.score_samples(X, Y, block_id=block_id)
            monkeypatch.setattr("emkit.mixture_of_experts.cases.CHUNK_ROWS", 7)
            model = regressor().fit(X, Y, block_id=block_id)
            assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
            assert_allclose(expected.score_samples(X, Y, block_id=block_id), scores, rtol=1e-9)
            monkeypatch.undo()

    @of_each_kind
    def test_a_number_repeats_and_a_generator_goes_on(self, make, options, y):
        model = make(**options).fit(X, y)
        assert_array_equal(make(**options).fit(X, y).predict(X), model.predict(X))
        assert_array_equal(model.sample(X, 2), model.sample(X, 2))
        generator = np.random.RandomState(0)
        model.set_params(random_state=generator)
        assert (model.sample(X, 2) != model.sample(X, 2)).any()
        same = make(**{**options, "random_state": np.random.RandomState(7)}).fit(X, y)
        again = make(**{**options, "random_state": np.random.RandomState(7)}).fit(X, y)
        assert_array_equal(same.predict(X), again.predict(X))

    def test_experts_get_seeds_of_their_own(self):
        from sklearn.tree import DecisionTreeRegressor

        tree = DecisionTreeRegressor(max_depth=2)
        model = regressor(expert=tree, max_iter=3, tol=0).fit(X, Y)
        seeds = [expert.estimator_.random_state for expert in model.experts_]
        assert len(set(seeds)) == 2
        assert tree.random_state is None
        fixed = regressor(expert=DecisionTreeRegressor(max_depth=2, random_state=5), max_iter=3, tol=0).fit(X, Y)
        assert [expert.estimator_.random_state for expert in fixed.experts_] == [5, 5]

    def test_the_global_generator_is_left_alone(self):
        np.random.seed(3)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        regressor().fit(X, Y).sample(X)
        assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    @pytest.mark.parametrize("first", [2, 5])
    def test_more_draws_of_the_same_law(self, first):
        model = regressor().fit(X, Y)
        draws = model.sample(X, 400 * first)
        assert_allclose(draws.mean(axis=0), model.predict(X), atol=0.5)


class Interrupted(KeyboardInterrupt):
    pass


class TestAtomicity:
    @pytest.mark.parametrize("error", [Interrupted, ValueError, MemoryError])
    @pytest.mark.parametrize("warm_start", [False, True])
    def test_a_fit_that_fails_leaves_the_old_one(self, monkeypatch, error, warm_start):
        model = regressor(warm_start=warm_start).fit(X, Y)
        before, told = dict(vars(model)), outputs(model, X, Y)
        original, calls = MixtureOfExpertsModel.m_step, []

        def fail(self, stats, params):
            calls.append(1)
            if len(calls) > 2:
                raise error("stop")
            return original(self, stats, params)

        monkeypatch.setattr(MixtureOfExpertsModel, "m_step", fail)
        with pytest.raises(error, match="stop"):
            model.set_params(tol=0).fit(X[:50] if warm_start else X[:50, :2], Y[:50])
        monkeypatch.undo()
        assert vars(model) == before | {"tol": 0}
        assert_same(outputs(model, X, Y), told)
        assert model.set_params(tol=1e-6).fit(X, Y).converged_

    @pytest.mark.parametrize(
        ("data", "y"),
        [
            (X[:1], Y[:1]),
            (X[:, :2], np.where(Y > 1, np.nan, Y)),
            (np.where(X > 1, np.inf, X), Y),
            (X, Y[:-1]),
            (FRAME.assign(a="x"), Y),
            (X[:, 0], Y),
            (X, None),
            (lambda: iter([(X[:, :2], Y), (X, Y)]), None),
        ],
    )
    def test_bad_data_leaves_the_old_fit(self, data, y):
        model = regressor().fit(X, Y)
        before, told = dict(vars(model)), outputs(model, X, Y)
        with pytest.raises(ValueError, match=r"."):
            model.fit(data, y)
        assert vars(model) == before
        assert_same(outputs(model, X, Y), told)

    def test_a_first_fit_that_fails_leaves_nothing(self):
        model = classifier()
        with pytest.raises(ValueError, match="1 class"):
            model.fit(FRAME, np.zeros(N))
        assert not [name for name in vars(model) if name.endswith("_") or name == "_state"]

    def test_an_expert_that_fails(self):
        model = regressor(expert=PoissonRegressor(), tol=0, max_iter=2).fit(X, COUNTS)
        expected = model.predict(X)
        with pytest.raises(ValueError, match="out of the valid range of the loss 'HalfPoissonLoss'"):
            model.fit(X, Y)
        assert_array_equal(model.predict(X), expected)


class Recorder:
    """A callback that looks at each iteration."""

    def __init__(self, X, y, stop_after=None):
        self.X, self.y, self.stop_after = X, y, stop_after
        self.tasks, self.scores = [], []

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
    @of_each_kind
    def test_every_iteration(self, make, options, y):
        recorder = Recorder(X, y)
        model = make(**options).set_callbacks(recorder).fit(X, y)
        assert recorder.tasks[0] == "setup"
        assert recorder.tasks[-1] == "teardown"
        assert recorder.tasks.count("iteration") == len(model.history_)
        assert_same(outputs(model, X, y), outputs(make(**options).fit(X, y), X, y))

    def test_stop(self):
        model = regressor(accelerate=False).set_callbacks(Recorder(X, Y, stop_after=3))
        with pytest.warns(ConvergenceWarning):
            model.fit(X, Y)
        assert model.n_iter_ == 2
        assert np.isfinite(model.predict(X)).all()

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_starts_in_threads(self, n_jobs):
        recorder = Recorder(X, Y)
        model = regressor(n_init=3, n_jobs=n_jobs).set_callbacks(recorder).fit(X, Y)
        assert len(recorder.scores) == len(model.history_)
        assert recorder.tasks.count("start") == len(set(model.history_["start"]))

    def test_a_fit_that_fails_is_torn_down(self):
        recorder = Recorder(X, Y)
        with pytest.raises(ValueError, match="n_components"):
            regressor(n_components=0).set_callbacks(recorder).fit(X, Y)
        assert recorder.tasks.count("teardown") == recorder.tasks.count("setup")

    def test_progress_bar(self, capsys):
        pytest.importorskip("rich")
        from sklearn.callback import ProgressBar

        model = regressor().set_callbacks(ProgressBar()).fit(X, Y)
        assert model.converged_


class TestReports:
    def test_log(self, caplog):
        with caplog.at_level(logging.INFO, logger="emkit"):
            regressor().fit(X, Y)
            assert not caplog.records
            regressor(verbose=1).fit(X, Y)
            short = len(caplog.records)
            assert "converged" in caplog.text
            assert "start 0: objective" in caplog.text
            regressor(verbose=2).fit(X, Y)
            assert len(caplog.records) > 3 * short
            caplog.clear()
            classifier(verbose=True, n_init=2).fit(X, CLASSES)
            assert len(caplog.records) == 2

    @of_each_kind
    def test_max_iter_warns(self, make, options, y):
        with pytest.warns(ConvergenceWarning, match="did not converge") as caught:
            model = make(**{**options, "max_iter": 1, "tol": 1e-12}).fit(X, y)
        assert caught[0].filename == __file__
        assert not model.converged_
        assert model.n_iter_ == 1
        assert np.isfinite(model.score_samples(X, y)).all()

    @of_each_kind
    def test_no_iteration_at_all(self, make, options, y):
        model = make(**{**options, "max_iter": 0}).fit(X, y)
        assert model.n_iter_ == 0
        assert np.isfinite(model.score_samples(X, y)).all()
        assert not model.converged_

    @of_each_kind
    def test_history(self, make, options, y):
        model = make(**{**options, "n_init": 2}).fit(X, y)
        assert set(model.history_["start"]) == {0, 1}
        assert model.objective_ in model.history_["objective"]
        assert np.isfinite(model.history_["objective"]).all()
        if isinstance(options.get("expert", ""), str):
            scale = 1e-9 * np.abs(model.history_["objective"]).max()
            assert (np.nan_to_num(model.history_["change"]) >= -scale).all()

    def test_no_fit_of_sound_data_warns(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            EMMixtureOfExpertsRegressor(random_state=0).fit(X, Y)
            EMMixtureOfExpertsClassifier(random_state=0).fit(X, STRINGS)
            EMMixtureOfExpertsRegressor(expert="poisson", random_state=0).fit(X, COUNTS)
