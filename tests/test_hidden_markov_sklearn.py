"""EMHiddenMarkov as a citizen of scikit-learn: common checks, searches, pipelines, frames, pickles, callbacks."""

import pickle
import warnings
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import LIBRARIES, routes_scores, skip_what_old_versions_get_wrong
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import DegenerateSolutionWarning, EMHiddenMarkov
from emkit.hidden_markov import estimator as estimator_module
from emkit.hidden_markov import fitting

VARYING = "all rows are one sequence here, and a weight that varies inside a sequence is an error by design"
EXPECTED_FAILED_CHECKS = {
    "check_sample_weights_not_overwritten": VARYING,
    "check_sample_weight_equivalence_on_dense_data": VARYING,
}


class OfWholeNumbers(EMHiddenMarkov):
    """Under a tag that makes the checks hand out whole numbers, which is what this emission takes."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


def expected_failed_checks(estimator):
    return EXPECTED_FAILED_CHECKS


@pytest.fixture
def ones_for_more(monkeypatch):
    """Values above 1 are read as 1: no tag tells the checks to hand out zeros and ones."""

    def read(*args, **kwargs):
        table = original(*args, **kwargs)
        return table._replace(X=np.where(table.X > 1, 1, table.X))

    original = fitting.read
    monkeypatch.setattr(fitting, "read", read)
    monkeypatch.setattr(estimator_module, "read", read)


@parametrize_with_checks(
    [
        EMHiddenMarkov(),
        EMHiddenMarkov(2),
        EMHiddenMarkov(3, n_init=1),
        EMHiddenMarkov(2, covariance_type="diag", decoder="map", n_init=1),
        EMHiddenMarkov(2, covariance_type="tied", start="uniform", n_init=1),
        EMHiddenMarkov(2, covariance_type="spherical", n_init=2),
        EMHiddenMarkov(2, covariance_type="EII", accelerate=False, n_init=1),
        EMHiddenMarkov(2, start="stationary", n_init=1),
        EMHiddenMarkov(2, sticky=5.0, warm_start=True, n_init=1),
        EMHiddenMarkov(2, fixed=("transmat",), n_init=1),
        EMHiddenMarkov(2, emission="mixture", n_init=1),
        EMHiddenMarkov(2, emission="student", n_init=1),
        EMHiddenMarkov(2, emission="categorical", n_init=1),
        OfWholeNumbers(2, emission="poisson"),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_common_checks(estimator, check):
    run_check(estimator, check)


@parametrize_with_checks(
    [EMHiddenMarkov(2, emission="bernoulli", n_init=1)], expected_failed_checks=expected_failed_checks
)
@pytest.mark.filterwarnings(  # rows without any structure: after 1,000 steps as much as 1e-8 may be left to gain
    "ignore::sklearn.exceptions.ConvergenceWarning"
)
def test_common_checks_of_zeros_and_ones(estimator, check, ones_for_more):
    run_check(estimator, check)


def run_check(estimator, check):
    skip_what_old_versions_get_wrong(check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.SkipTestWarning)
        warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of some checks, whose rows take four values
        check(estimator)


@pytest.mark.parametrize(
    ("emission", "positive_only", "categorical"),
    [
        ("gaussian", False, False),
        ("poisson", True, False),
        ("categorical", True, True),
        (["bernoulli", "categorical"], True, True),
        (["poisson", "gaussian"], False, False),
        ([], False, False),
        (None, False, False),
    ],
)
def test_tags(emission, positive_only, categorical):
    tags = get_tags(EMHiddenMarkov(emission=emission)).input_tags
    assert tags.allow_nan
    assert (tags.positive_only, tags.categorical) == (positive_only, categorical)


def simulated(n_sequences=12, length=40, seed=0):
    """Rows, ids and states of sequences from a chain of two well separated states; ids interleave."""
    truth = EMHiddenMarkov(2)
    truth.startprob_, truth.transmat_ = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
    truth.means_, truth.covariances_ = np.array([[0.0, 0.0], [4.0, 2.0]]), np.array([np.eye(2)] * 2)
    drawn = [truth.set_params(random_state=seed + i).sample(length) for i in range(n_sequences)]
    X, states = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
    ids = np.repeat([f"s{i}" for i in range(n_sequences)], length)
    turn = np.argsort(np.tile(np.arange(length), n_sequences), kind="stable")  # row t of each, then row t + 1
    return X[turn], ids[turn], states[turn]


X, IDS, STATES = simulated()


class TestSearch:
    grid = MappingProxyType({"hmm__n_components": [1, 2, 3]})

    def pipeline(self, **options):
        hmm = EMHiddenMarkov(random_state=0, n_init=2, tol=1e-6, **options)
        return Pipeline([("scaler", StandardScaler()), ("hmm", hmm)])

    @routes_scores
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_with_routing(self, n_jobs):
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(self.pipeline(), dict(self.grid), cv=GroupKFold(3), n_jobs=n_jobs)
            search.fit(X, sequence_id=IDS, groups=IDS)
            by_hand = [self.score_by_hand(k) for k in self.grid["hmm__n_components"]]
            assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-9)
            assert search.best_params_ == {"hmm__n_components": 2}
            hmm = search.best_estimator_["hmm"]
            assert hmm.n_sequences_ == 12
            assert search.score(X, sequence_id=IDS) == pytest.approx(hmm.score(scaled(X), sequence_id=IDS))
            assert_array_equal(
                search.best_estimator_.predict(X, sequence_id=IDS), hmm.predict(scaled(X), sequence_id=IDS)
            )

    def score_by_hand(self, k):
        """Mean held-out log-likelihood of a row, with none of scikit-learn's machinery for metadata."""
        scores = []
        for train, test in GroupKFold(3).split(X, groups=IDS):
            scaler = StandardScaler().fit(X[train])
            hmm = clone(self.pipeline()["hmm"]).set_params(n_components=k)
            hmm.fit(scaler.transform(X[train]), sequence_id=IDS[train])
            scores.append(hmm.score_samples(scaler.transform(X[test]), sequence_id=IDS[test]).mean())
        return np.mean(scores)

    def test_weights_and_labels_are_routed_without_a_request(self):
        weight = np.where(IDS == "s0", 3.0, 1.0)
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = self.pipeline(n_components=2)
            pipeline.set_params(scaler=StandardScaler().set_fit_request(sample_weight=False))
            pipeline.fit(X, sequence_id=IDS, sample_weight=weight, labels=STATES)
            direct = clone(pipeline["hmm"]).fit(scaled(X), sequence_id=IDS, sample_weight=weight, labels=STATES)
            assert_array_equal(pipeline["hmm"].transmat_, direct.transmat_)
            routed = pipeline.score(X, sequence_id=IDS, sample_weight=weight)
            assert routed == direct.score(scaled(X), sequence_id=IDS, sample_weight=weight)

    @routes_scores
    def test_before_a_classifier(self):
        with sklearn.config_context(enable_metadata_routing=True):
            hmm = EMHiddenMarkov(2, random_state=0, n_init=2)
            pipeline = make_pipeline(hmm, LogisticRegression())
            scores = cross_val_score(pipeline, X, STATES, cv=GroupKFold(3), params={"sequence_id": IDS, "groups": IDS})
        assert scores.mean() > 0.95

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_column_without_routing(self, n_jobs):
        frame = pd.DataFrame(X, columns=["x", "y"]).assign(who=IDS)
        hmm = EMHiddenMarkov(random_state=0, n_init=2, tol=1e-6, sequence="who")
        search = GridSearchCV(hmm, {"n_components": [1, 2, 3]}, cv=GroupKFold(3), n_jobs=n_jobs)
        search.fit(frame, groups=frame["who"])
        assert search.best_params_ == {"n_components": 2}
        assert search.n_features_in_ == 2
        best = search.best_estimator_
        assert_array_equal(best.feature_names_in_, ["x", "y"])
        direct = EMHiddenMarkov(2, random_state=0, n_init=2, tol=1e-6).fit(X, sequence_id=IDS)
        assert_array_equal(best.means_, direct.means_)
        assert_array_equal(search.predict(frame), direct.predict(X, sequence_id=IDS))
        assert_array_equal(search.predict_proba(frame), direct.predict_proba(X, sequence_id=IDS))

    def test_index_level_through_a_scaler(self):
        index = pd.MultiIndex.from_arrays([IDS, np.arange(len(IDS))], names=["who", "row"])
        frame = pd.DataFrame(X, columns=["x", "y"], index=index)
        pipeline = self.pipeline(n_components=2, sequence="who").set_output(transform="pandas")
        search = GridSearchCV(pipeline, dict(self.grid), cv=GroupKFold(3)).fit(frame, groups=IDS)
        assert search.best_params_ == {"hmm__n_components": 2}
        assert search.best_estimator_["hmm"].n_sequences_ == 12
        direct = clone(search.best_estimator_["hmm"]).set_params(sequence=None).fit(scaled(X), sequence_id=IDS)
        assert_array_equal(search.predict(frame), direct.predict(scaled(X), sequence_id=IDS))
        out = search.transform(frame)
        assert list(out.columns) == ["emhiddenmarkov0", "emhiddenmarkov1"]
        assert out.index.equals(frame.index)
        assert_allclose(out.to_numpy(), direct.predict_proba(scaled(X), sequence_id=IDS), rtol=1e-9)

    @pytest.mark.parametrize("method", ["predict", "predict_proba"])
    def test_cross_val_predict(self, method):
        frame = pd.DataFrame(X, columns=["x", "y"]).assign(who=IDS)
        hmm = EMHiddenMarkov(2, sequence="who", means_init=[[0, 0], [4, 2]])
        got = cross_val_predict(hmm, frame, cv=GroupKFold(3), groups=IDS, method=method)
        expected = np.empty_like(got)
        for train, test in GroupKFold(3).split(X, groups=IDS):
            direct = EMHiddenMarkov(2, means_init=[[0, 0], [4, 2]]).fit(X[train], sequence_id=IDS[train])
            expected[test] = getattr(direct, method)(X[test], sequence_id=IDS[test])
        assert_array_equal(got, expected)

    def test_cross_val_score_of_a_position(self):
        """A plain array, whose column at the end holds the ids."""
        ids = np.unique(IDS, return_inverse=True)[1]
        options = {"n_components": 2, "means_init": [[0, 0], [4, 2]]}
        scores = cross_val_score(
            EMHiddenMarkov(sequence=-1, **options), np.column_stack([X, ids]), cv=GroupKFold(3), groups=ids
        )
        expected = [
            EMHiddenMarkov(**options).fit(X[train], sequence_id=ids[train]).score(X[test], sequence_id=ids[test])
            for train, test in GroupKFold(3).split(X, groups=ids)
        ]
        assert_array_equal(scores, expected)


def scaled(data):
    return StandardScaler().fit_transform(data)


class TestWarningWithoutIds:
    fitted = EMHiddenMarkov(2, means_init=[[0, 0], [4, 2]]).fit(X, sequence_id=IDS)

    @pytest.mark.parametrize(
        "call",
        [
            lambda hmm: hmm.predict(X),
            lambda hmm: hmm.score(X),
            lambda hmm: hmm.score_samples(X),
            lambda hmm: hmm.predict_proba(X),
            lambda hmm: hmm.transform(X),
            lambda hmm: hmm.decode(X),
            lambda hmm: hmm.bic(X),
            lambda hmm: hmm.icl(X),
            lambda hmm: hmm.forecast(X, 1),
            lambda hmm: hmm.sample_paths(X),
            lambda hmm: hmm.decode_k_best(X[:9], 2),
        ],
    )
    def test_where_nothing_tells_the_sequences_apart(self, call):
        with pytest.warns(UserWarning, match=r"fitted on 12 sequences, but X comes without sequence_id"):
            call(self.fitted)

    def test_not_where_something_does(self):
        """Warnings are errors here."""
        self.fitted.predict(X, sequence_id=IDS)
        self.fitted.predict(X, sequence_id=["all"] * len(X))
        self.fitted.predict(X, lengths=[len(X)])
        self.fitted.predict([X])
        clone(self.fitted).fit(X).predict(X)
        by_column = EMHiddenMarkov(2, sequence=2, means_init=[[0, 0], [4, 2]])
        codes = np.unique(IDS, return_inverse=True)[1]
        by_column.fit(np.column_stack([X, codes])).predict(np.column_stack([X, np.zeros(len(X))]))

    def test_sequences_of_weight_zero_are_none(self):
        EMHiddenMarkov(2, means_init=[[0, 0], [4, 2]]).fit(
            X, sequence_id=IDS, sample_weight=(IDS == "s3").astype(float)
        ).predict(X)


class TestConventions:
    hmm = EMHiddenMarkov(2, random_state=0, n_init=2).fit(X, sequence_id=IDS)

    def test_parameters(self):
        params = self.hmm.get_params()
        assert params["n_components"] == 2
        assert params["start"] == "free"
        again = EMHiddenMarkov().set_params(**params)
        assert again.get_params() == params
        with pytest.raises(ValueError, match="Invalid parameter 'n_states'"):
            again.set_params(n_states=3)

    def test_clone_is_not_fitted_and_fits_the_same(self):
        again = clone(self.hmm)
        assert not [name for name in vars(again) if name.endswith("_")]
        assert_array_equal(again.fit(X, sequence_id=IDS).means_, self.hmm.means_)

    @pytest.mark.parametrize("options", [{}, {"emission": "mixture"}, {"emission": "student"}, {"n_components": 1}])
    def test_pickle(self, options):
        hmm = EMHiddenMarkov(**{"n_components": 2, "random_state": 0, "n_init": 1, "tol": 1e-4} | options)
        hmm.fit(X, sequence_id=IDS)
        again = pickle.loads(pickle.dumps(hmm))
        assert again.get_params() == hmm.get_params()
        assert_array_equal(again.predict_proba(X, sequence_id=IDS), hmm.predict_proba(X, sequence_id=IDS))
        assert again.fit(X, sequence_id=IDS).objective_ == hmm.objective_

    def test_pickle_of_another_version_warns(self):
        state = self.hmm.__getstate__()
        with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.0"):
            EMHiddenMarkov().__setstate__({**state, "_emkit_version": "0.0.0"})

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_frames(self, library):
        frames = pytest.importorskip(library)
        frame = frames.DataFrame({"x": X[:, 0], "y": X[:, 1], "who": IDS})
        hmm = EMHiddenMarkov(2, sequence="who", random_state=0, n_init=2).set_output(transform=library).fit(frame)
        assert hmm.n_features_in_ == 2
        assert_array_equal(hmm.feature_names_in_, ["x", "y"])
        assert_array_equal(hmm.means_, self.hmm.means_)
        out = hmm.transform(frame)
        assert isinstance(out, frames.DataFrame)
        assert list(out.columns) == ["emhiddenmarkov0", "emhiddenmarkov1"] == hmm.get_feature_names_out().tolist()
        assert_array_equal(out.to_numpy(), self.hmm.predict_proba(X, sequence_id=IDS))
        assert_array_equal(clone(hmm).fit_transform(frame).to_numpy(), out.to_numpy())
        with pytest.raises(ValueError, match="feature names"):
            hmm.predict(frame[["y", "x", "who"]])
        with pytest.raises(ValueError, match=r"sequence='who' must be a column or an index level of X"):
            hmm.predict(frame[["x", "y"]])

    def test_html(self):
        html = estimator_html_repr(self.hmm)
        assert "EMHiddenMarkov" in html
        assert "n_components" in html

    @pytest.mark.parametrize("emission", ["gaussian", "poisson"])
    def test_a_given_emission_leaves_nothing_to_chance(self, emission):
        name = "means_init" if emission == "gaussian" else "rates_init"
        data = X if emission == "gaussian" else np.abs(X.round())
        options = {"emission": emission, name: [[4.0, 2.0], [0.5, 0.5]], "max_iter": 0}
        one, other = (EMHiddenMarkov(2, random_state=seed, **options).fit(data, sequence_id=IDS) for seed in (0, 1))
        assert_array_equal(one.transmat_, other.transmat_)
        assert (one.predict(data, sequence_id=IDS) == 1 - STATES).mean() > 0.9
        assert (np.diag(one.transmat_) > 0.6).all()

    def test_decoder(self):
        """A path of probability zero may have the most probable state of each row: so the two differ."""
        hmm = clone(self.hmm).fit(X, sequence_id=IDS)
        hmm.startprob_, hmm.transmat_ = np.array([0.6, 0.4]), np.array([[0.5, 0.5], [1.0, 0.0]])
        hmm.means_ = np.zeros((2, 2))
        rows, ids = np.zeros((4, 2)), list("aaaa")
        assert_array_equal(hmm.predict(rows, sequence_id=ids), hmm.decode(rows, sequence_id=ids)[1])
        by_row = hmm.set_params(decoder="map").predict(rows, sequence_id=ids)
        assert_array_equal(by_row, hmm.predict_proba(rows, sequence_id=ids).argmax(axis=1))
        assert (by_row != hmm.decode(rows, sequence_id=ids)[1]).any()

    def test_y_is_ignored(self):
        again = clone(self.hmm).fit(X, 1 - STATES, sequence_id=IDS)
        assert_array_equal(again.means_, self.hmm.means_)
        assert again.score(X, STATES, sequence_id=IDS) == self.hmm.score(X, sequence_id=IDS)


class Recorder:
    """A callback that scores each iteration."""

    def __init__(self, data, stop_after=None):
        self.data, self.scores, self.tasks, self.stop_after = data, [], [], stop_after

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.tasks.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "iteration":
            self.scores.append(fitted_estimator.score(self.data))
            return self.stop_after is not None and len(self.scores) >= self.stop_after
        return False


class TestCallbacks:
    def test_every_iteration(self):
        callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
        assert issubclass(EMHiddenMarkov, callback.CallbackSupportMixin)
        recorder = Recorder(X)
        hmm = EMHiddenMarkov(2, random_state=0, n_init=1).set_callbacks(recorder).fit(X)
        assert recorder.tasks[0] == "setup"
        assert recorder.tasks[-1] == "teardown"
        assert recorder.tasks.count("iteration") == hmm.n_iter_ + 1
        assert (np.diff(recorder.scores) > -1e-9).all()
        assert recorder.scores[-1] == pytest.approx(hmm.score(X))

    def test_stop(self):
        pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
        hmm = EMHiddenMarkov(3, random_state=0, n_init=1, accelerate=False)
        with pytest.warns(ConvergenceWarning):
            hmm.set_callbacks(Recorder(X, stop_after=3)).fit(X)
        assert hmm.n_iter_ == 2

    @pytest.mark.parametrize("emission", ["gaussian", "poisson", "categorical"])
    def test_starts_in_threads(self, emission):
        pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
        data = X if emission == "gaussian" else np.abs(X.round())
        recorder = Recorder(data)
        hmm = EMHiddenMarkov(2, emission=emission, random_state=0, n_init=3, n_jobs=2, tol=1e-5)
        hmm.set_callbacks(recorder).fit(data)
        assert max(recorder.scores) == pytest.approx(hmm.score(data), abs=1e-4)
