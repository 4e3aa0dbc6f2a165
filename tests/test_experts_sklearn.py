"""Mixtures of experts as citizens of scikit-learn: common checks, conventions, searches, routing, callbacks."""

import ast
import copy
import inspect
import logging
import pickle
import re
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from experts_kinds import (
    BLOCK,
    CLASSES,
    COUNTS,
    FRAME,
    KINDS,
    LABELS,
    STRINGS,
    N,
    X,
    Y,
    assert_same,
    classifier,
    of_each_kind,
    outputs,
    regressor,
    warnings_are_errors,
)
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import needs_callbacks, routes_scores, skip_what_old_versions_get_wrong
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import (
    ConvergenceWarning,
    InconsistentVersionWarning,
    NotFittedError,
    SkipTestWarning,
    UndefinedMetricWarning,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import (
    DegenerateSolutionWarning,
    EMGaussianMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
)
from emkit.mixture_of_experts.model import MixtureOfExpertsModel

pytestmark = warnings_are_errors

EXPECTED_FAILED_CHECKS = {
    "check_estimators_nan_inf": "a transformer may take NaN; the message is that of what it makes of it",
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
    skip_what_old_versions_get_wrong(check)
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
        for name in ("gate", "accelerate"):
            with pytest.raises(ValueError, match=f"{name} must be one of") as refused:
                kind(**{name: "x"}).fit(X, y)
            allowed = str(refused.value).split("[")[1].split("]")[0].replace("'", '"')
            assert f"    {name} : {{{allowed}}}" in kind.__doc__

    def test_covariance_types_are_documented_where_the_page_points_to(self):
        with pytest.raises(ValueError, match="covariance_type must be one of") as refused:
            EMMixtureOfExpertsRegressor(covariance_type="x").fit(X, Y)
        for name in re.findall(r"'(\w+)'", str(refused.value).split("]")[0]):
            assert re.search(rf"\b{name}\b", EMGaussianMixture.__doc__), name
        about = EMMixtureOfExpertsRegressor.__doc__.split("    covariance_type : ")[1].split("    reg_covar : ")[0]
        assert ":class:`emkit.EMGaussianMixture`" in about

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
