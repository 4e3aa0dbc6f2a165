"""ComponentSearch as a citizen of scikit-learn: common checks, delegation, routing, searches around it."""

import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from old_versions import routes_scores
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_selection_search import X, search

from emkit import ComponentSearch, EMGaussianMixture, EMHiddenMarkov, EMMixtureOfExpertsClassifier, EMTopicModel

EXPECTED_FAILED_CHECKS = {
    "check_dtype_object": "each candidate fails with a TypeError, and the search with a ValueError that lists them",
}


@parametrize_with_checks(
    [ComponentSearch(EMGaussianMixture(), n_components=[1, 2])],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
def test_common_checks(estimator, check):
    check(estimator)


def same(one, two):
    for name, column in one.results_.items():
        if name != "seconds":
            assert_array_equal(column, two.results_[name])
    return True


def test_the_seed_decides_and_n_jobs_does_not():
    options = {"criterion": "heldout", "other_params": {"covariance_type": ["full", "diag"]}, "cv": 3}
    one = search(EMGaussianMixture(), **options).fit(X)
    assert same(one, search(EMGaussianMixture(), **options).fit(X))
    assert same(one, search(EMGaussianMixture(), n_jobs=2, **options).fit(X))
    other = search(EMGaussianMixture(), random_state=1, **options).fit(X)
    assert not np.array_equal(one.results_["heldout_mean"], other.results_["heldout_mean"])
    own = ComponentSearch(EMGaussianMixture(random_state=3), n_components=[2, 5]).fit(X)
    assert same(own, ComponentSearch(EMGaussianMixture(random_state=3), n_components=[2, 5]).fit(X))


def test_clone_and_pickle():
    found = search().fit(X)
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(again.predict(X), found.predict(X))
    assert not hasattr(clone(found), "results_")


def test_delegation():
    found = search().fit(X)
    best = found.best_estimator_
    for method in ("predict", "predict_proba", "transform", "score_samples"):
        assert_array_equal(getattr(found, method)(X), getattr(best, method)(X))
    assert found.score(X) == best.score(X)
    assert found.sample(5)[0].shape == (5, 2)
    assert_array_equal(search().fit_predict(X), found.predict(X))
    assert_array_equal(search().fit_transform(X), found.transform(X))
    assert not hasattr(ComponentSearch(EMTopicModel()), "classes_")
    assert not hasattr(ComponentSearch(EMMixtureOfExpertsClassifier()), "transform")


def test_without_refit():
    found = search(refit=False).fit(X)
    assert found.best_params_ == {"n_components": 3}
    assert not hasattr(found, "best_estimator_")
    with pytest.raises(AttributeError, match="refit=False"):
        found.predict(X)
    with pytest.raises(NotFittedError):
        search().predict(X)


def test_tags():
    assert get_tags(search()).input_tags.allow_nan
    assert get_tags(ComponentSearch(EMMixtureOfExpertsClassifier())).estimator_type == "classifier"
    assert get_tags(ComponentSearch(EMTopicModel())).input_tags.sparse


def test_inside_and_around():
    pipe = make_pipeline(StandardScaler(), search())
    assert pipe.fit(X).predict(X).shape == (len(X),)
    grid = GridSearchCV(search(), {"estimator__covariance_type": ["full", "diag"]}, cv=3).fit(X)
    assert grid.best_estimator_.best_params_["n_components"] in (2, 3, 4)
    assert np.isfinite(cross_val_score(search(), X, cv=3)).all()


class TestMetadata:
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    ids = np.arange(len(X)) // 15

    def test_weights_are_repetition(self):
        rows = np.repeat(X, self.weight.astype(int), axis=0)
        one = search(EMGaussianMixture(tol=1e-10)).fit(X, sample_weight=self.weight)
        two = search(EMGaussianMixture(tol=1e-10)).fit(rows)
        assert one.best_score_ == pytest.approx(two.best_score_, abs=1e-4)

    def test_pipeline_with_and_without_routing(self):
        pipe = make_pipeline(StandardScaler(), EMGaussianMixture(n_init=2))
        plain = search(pipe, criterion="heldout").fit(X, emgaussianmixture__sample_weight=self.weight)
        short = search(pipe, criterion="heldout").fit(X, sample_weight=self.weight)
        assert same(plain, short)
        with sklearn.config_context(enable_metadata_routing=True):
            pipe[0].set_fit_request(sample_weight=False)
            routed = search(pipe, criterion="heldout").fit(X, sample_weight=self.weight)
            assert same(plain, routed)
            pipe[0].set_fit_request(sample_weight=True)
            both = search(pipe, criterion="heldout").fit(X, sample_weight=self.weight)
        two_steps = {"standardscaler__sample_weight": self.weight, "emgaussianmixture__sample_weight": self.weight}
        assert same(both, search(pipe, criterion="heldout").fit(X, **two_steps))
        assert not np.array_equal(both.results_["bic"], plain.results_["bic"])

    @routes_scores
    def test_sequences_through_grid_search(self):
        model = search(EMHiddenMarkov(n_init=1), n_components=[1, 2])
        plain = search(EMHiddenMarkov(n_init=1), n_components=[1, 2]).fit(X, sequence_id=self.ids)
        with sklearn.config_context(enable_metadata_routing=True):
            assert same(plain, model.fit(X, sequence_id=self.ids))
            grid = GridSearchCV(model, {"estimator__covariance_type": ["diag", "full"]}, cv=2, error_score="raise")
            grid.fit(X, sequence_id=self.ids)
            assert grid.best_estimator_.best_estimator_.n_sequences_ == 10
            with pytest.raises(TypeError, match="block_id"):
                model.fit(X, block_id=self.ids)

    def test_what_a_step_was_not_asked_about_is_not_dropped(self):
        """As the pipeline by itself would have it."""
        pipe = make_pipeline(StandardScaler(), EMHiddenMarkov(n_init=1))
        with sklearn.config_context(enable_metadata_routing=True):
            with pytest.raises(UnsetMetadataPassedError, match="lengths"):
                search(pipe, n_components=[1]).fit(X, lengths=[75, 75])
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                search(make_pipeline("passthrough", pipe), n_components=[1]).fit(X, sample_weight=np.ones(len(X)))

    def test_predict_passes_metadata_on(self):
        found = search(EMHiddenMarkov(n_init=1), n_components=[2]).fit(X, sequence_id=self.ids)
        expected = found.best_estimator_.predict(X, sequence_id=self.ids)
        assert_array_equal(found.predict(X, sequence_id=self.ids), expected)
        again = search(EMHiddenMarkov(n_init=1), n_components=[2]).fit_predict(X, sequence_id=self.ids)
        assert_array_equal(again, expected)


def test_only_estimators_of_emkit():
    with pytest.raises(ValueError, match="n_components"):
        ComponentSearch(KMeans()).fit(X)
