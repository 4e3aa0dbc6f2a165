"""EMTopicModel as a citizen of scikit-learn: common checks, pipelines, searches, frames, pickles, callbacks, logs."""

import ast
import copy
import logging
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import BEFORE_1_9, LIBRARIES, needs_callbacks, routes_scores
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import EMTopicModel


@parametrize_with_checks(
    [
        EMTopicModel(2),
        EMTopicModel(2, method="plsa", n_init=1),
        EMTopicModel(2, method="vb", n_init=1),
        EMTopicModel(2, method="cvb0", n_init=1),
        EMTopicModel(2, learn_priors=False, n_init=1),
        EMTopicModel(2, early_stopping=True, n_init=1),
        EMTopicModel(2, background=True, n_init=1),
        EMTopicModel(2, batch_size=2, n_init=1),
        EMTopicModel(2, n_init=2),
        EMTopicModel(2, seed_words={"first": [0]}, n_init=1),
        EMTopicModel(2, warm_start=True, n_init=1),
    ]
)
def test_common_checks(estimator, check):
    name = getattr(check, "func", check).__name__
    if estimator.early_stopping and "sample_weight_equivalence" in name:
        pytest.skip("documents are held out at random, so that order and repetition decide which")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.SkipTestWarning)
        check(estimator)


def test_tags():
    tags = get_tags(EMTopicModel())
    assert tags.input_tags.sparse
    assert tags.input_tags.positive_only
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tag_of_a_given_dtype(dtype):
    model = EMTopicModel(2, dtype=dtype, random_state=0, n_init=1)
    assert {model.fit_transform(X.astype(given)).dtype for given in ("float32", "float64")} == {np.dtype(dtype)}
    assert get_tags(model).transformer_tags.preserves_dtype == [dtype]


PETS = ["cat", "dog", "pet", "vet", "fur", "paw"]
MONEY = ["bank", "loan", "rate", "debt", "cash", "fund"]


def texts(n=60, seed=0):
    """Texts of about ten words, each mostly of one of two themes, and the theme."""
    rng = np.random.default_rng(seed)
    themes = rng.integers(0, 2, n)
    words = [
        [str(rng.choice(MONEY if (rng.random() < 0.1) ^ theme else PETS)) for _ in range(rng.integers(6, 14))]
        for theme in themes
    ]
    return [" ".join(row) for row in words], themes


TEXTS, THEMES = texts()
X = CountVectorizer(vocabulary=PETS + MONEY).fit_transform(TEXTS)


class TestSearch:
    def pipeline(self, **options):
        return make_pipeline(CountVectorizer(), EMTopicModel(2, random_state=0, n_init=1, **options))

    def test_before_a_classifier(self):
        pipeline = make_pipeline(*self.pipeline(), LogisticRegression())
        assert cross_val_score(pipeline, TEXTS, THEMES, cv=3).mean() > 0.9
        assert pipeline.fit(TEXTS, THEMES).predict(["cat dog fur", "loan bank debt"]).tolist() == [0, 1]

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_grid_of_n_components(self, n_jobs):
        grid = {"emtopicmodel__n_components": [1, 2, 6]}
        with joblib.parallel_config("threading"):
            search = GridSearchCV(self.pipeline(), grid, cv=KFold(3), n_jobs=n_jobs).fit(TEXTS)
        assert search.best_params_ == {"emtopicmodel__n_components": 2}
        by_hand = []
        for train, test in KFold(3).split(TEXTS):
            counter = CountVectorizer().fit([TEXTS[i] for i in train])
            one = EMTopicModel(2, random_state=0, n_init=1).fit(counter.transform([TEXTS[i] for i in train]))
            by_hand.append(one.score_samples(counter.transform([TEXTS[i] for i in test])).mean())
        assert search.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(by_hand))

    @routes_scores
    def test_weights_are_routed_without_a_request(self):
        weight = np.where(THEMES, 3.0, 1.0)
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = self.pipeline()
            pipeline.fit(TEXTS, sample_weight=weight)
            counts = pipeline[0].transform(TEXTS)
            direct = clone(pipeline[-1]).fit(counts, sample_weight=weight)
            assert_array_equal(pipeline[-1].components_, direct.components_)
            assert pipeline.score(TEXTS, sample_weight=weight) == direct.score(counts, sample_weight=weight)
            assert direct.score(counts, sample_weight=weight) != direct.score(counts)
            search = GridSearchCV(self.pipeline(), {"emtopicmodel__n_components": [2]}, cv=KFold(3))
            assert np.isfinite(search.fit(TEXTS, sample_weight=weight).best_score_)


class TestConventions:
    model = EMTopicModel(2, random_state=0, n_init=1).fit(X)

    def test_parameters(self):
        params = self.model.get_params()
        assert EMTopicModel().set_params(**params).get_params() == params
        with pytest.raises(ValueError, match="Invalid parameter 'n_topics'"):
            EMTopicModel().set_params(n_topics=3)

    def test_documented_defaults_are_those_of_the_code(self):
        documented = dict(line.split(" : ", 1) for line in EMTopicModel.__doc__.splitlines() if ", default=" in line)
        for name, value in EMTopicModel().get_params().items():
            default = documented[f"    {name}"].split("default=")[1]
            assert ast.literal_eval(default) == value, name

    def test_clone_is_not_fitted_and_fits_the_same(self):
        again = clone(self.model)
        assert not [name for name in vars(again) if name.endswith("_")]
        assert_array_equal(again.fit(X).components_, self.model.components_)

    @pytest.mark.parametrize(
        "options", [{}, {"method": "plsa"}, {"method": "vb"}, {"method": "cvb0"}, {"early_stopping": True}]
    )
    def test_pickles_and_copies(self, options):
        model = EMTopicModel(2, random_state=0, n_init=1, **options).fit(X)
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert again.get_params() == model.get_params()
            assert_array_equal(again.transform(X), model.transform(X))
            assert again.score(X) == model.score(X)
            assert_array_equal(again.partial_fit(X).components_, copy.deepcopy(model).partial_fit(X).components_)
            assert again.fit(X).objective_ == model.objective_

    def test_pickle_of_another_version_warns(self):
        with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.0"):
            EMTopicModel().__setstate__({**self.model.__getstate__(), "_emkit_version": "0.0.0"})

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_frames(self, library):
        frames = pytest.importorskip(library)
        table = dict(zip(PETS + MONEY, X.toarray().T, strict=True))
        model = clone(self.model).set_output(transform=library).fit(frames.DataFrame(table))
        assert_array_equal(model.feature_names_in_, PETS + MONEY)
        assert_array_equal(model.components_, self.model.components_)
        out = model.transform(frames.DataFrame(table))
        assert isinstance(out, frames.DataFrame)
        assert list(out.columns) == ["emtopicmodel0", "emtopicmodel1"] == model.get_feature_names_out().tolist()
        assert_array_equal(out.to_numpy(), self.model.transform(X))
        assert sorted(word for topic in model.top_words(6) for word in topic) == sorted(PETS + MONEY)
        with pytest.raises(ValueError, match="feature names"):
            model.transform(frames.DataFrame(dict(reversed(table.items()))))

    def test_index_of_a_frame_is_kept(self):
        frame = pd.DataFrame(X.toarray(), index=[f"d{i}" for i in range(60)])
        out = clone(self.model).set_output(transform="pandas").fit_transform(frame)
        assert out.index.equals(frame.index)

    def test_html_has_every_fitted_attribute_and_the_docstring_too(self):
        frame = pd.DataFrame(X.toarray(), columns=PETS + MONEY)
        model = clone(self.model).fit(frame)
        html = estimator_html_repr(model)
        fitted = [name for name in vars(model) if name.endswith("_") and name[0] != "_"]
        assert len(fitted) > 12
        for name in fitted:
            assert f"    {name} : " in EMTopicModel.__doc__, name
            assert BEFORE_1_9 or name in html, name

    def test_y_is_ignored(self):
        assert_array_equal(clone(self.model).fit(X, THEMES).components_, self.model.components_)
        assert self.model.score(X, THEMES) == self.model.score(X)

    def test_transform_is_predict_proba_and_predict_its_largest(self):
        theta = self.model.transform(X)
        assert_array_equal(theta, self.model.predict_proba(X))
        assert_array_equal(theta.argmax(axis=1), self.model.predict(X))
        assert_array_equal(clone(self.model).fit_transform(X), theta)

    def test_a_changed_method_counts_from_the_next_fit(self):
        model = copy.deepcopy(self.model).set_params(method="cvb0", n_components=5)
        assert_array_equal(model.transform(X), self.model.transform(X))
        assert model.score(X) == self.model.score(X)
        assert model.get_feature_names_out().tolist() == ["emtopicmodel0", "emtopicmodel1"]


class Recorder:
    """A callback that scores each iteration."""

    def __init__(self, stop_after=None):
        self.scores, self.tasks, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.tasks.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "iteration":
            self.scores.append(fitted_estimator.score(X))
            return self.stop_after is not None and len(self.scores) >= self.stop_after
        return False


@needs_callbacks
class TestCallbacks:
    @pytest.mark.parametrize("method", ["map", "plsa", "vb", "cvb0"])
    def test_every_iteration(self, method):
        recorder = Recorder()
        model = EMTopicModel(2, method=method, random_state=0, n_init=1).set_callbacks(recorder).fit(X)
        assert recorder.tasks[0] == "setup"
        assert recorder.tasks[-1] == "teardown"
        assert recorder.tasks.count("iteration") == len(model.history_)
        assert np.isfinite(recorder.scores).all()
        assert recorder.scores[-1] == pytest.approx(model.score(X))

    def test_callbacks_change_nothing(self):
        model = EMTopicModel(2, random_state=0, n_init=2)
        silent = clone(model).fit(X)
        assert_array_equal(model.set_callbacks(Recorder()).fit(X).components_, silent.components_)

    def test_stop(self):
        model = EMTopicModel(2, random_state=0, components_init=X[:2].toarray() + 1)  # the only start there is
        with pytest.warns(ConvergenceWarning):
            model.set_callbacks(Recorder(stop_after=3)).fit(X)
        assert model.n_iter_ == 2

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_starts_in_threads(self, early_stopping):
        recorder = Recorder()
        model = EMTopicModel(2, random_state=0, n_init=3, n_jobs=2, early_stopping=early_stopping)
        model.set_callbacks(recorder).fit(X)
        assert len(recorder.scores) == len(model.history_)

    def test_partial_fit(self):
        recorder = Recorder()
        EMTopicModel(2, random_state=0, n_init=1).set_callbacks(recorder).partial_fit(X).partial_fit(X)
        assert recorder.tasks.count("setup") == recorder.tasks.count("teardown") == 2


class TestReports:
    def test_log(self, caplog):
        with caplog.at_level(logging.INFO, logger="emkit"):
            EMTopicModel(2, random_state=0).fit(X)
            assert not caplog.records
            EMTopicModel(2, random_state=0, verbose=1).fit(X)
            short = len(caplog.records)
            assert "converged" in caplog.text
            EMTopicModel(2, random_state=0, verbose=2).fit(X)
            assert len(caplog.records) > 3 * short

    def test_max_iter_warns(self):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            model = EMTopicModel(2, max_iter=1, tol=1e-9, random_state=0).fit(X)
        assert not model.converged_
        assert model.n_iter_ == 1

    @pytest.mark.parametrize("n_init", ["auto", 2])
    @pytest.mark.parametrize("batch_size", [None, 20])
    def test_history(self, n_init, batch_size):
        model = EMTopicModel(2, random_state=0, n_init=n_init, batch_size=batch_size, tol=1e-4).fit(X)
        history = model.history_
        assert set(history["phase"]) == {"sample", "start", "em"}
        assert len(set(history["start"])) <= (4 if n_init == "auto" else 2)
        steps = history[history["phase"] == "em"]
        assert (steps["change"] >= -1e-9 * abs(model.objective_)).all()
        assert model.n_iter_ in history["iteration"]
        assert model.objective_ in history["objective"]
        assert_allclose(history["objective"][history["phase"] == "em"].max(), model.objective_)


@pytest.mark.parametrize("method", ["map", "plsa", "vb", "cvb0"])
def test_warm_start_goes_on(method):
    model = EMTopicModel(2, method=method, random_state=0, warm_start=True, n_init=1).fit(X)
    before = model.objective_
    assert model.fit(X).objective_ >= before - model.tol * 60
    assert set(model.history_["start"]) == {0}
    assert "sample" not in model.history_["phase"]
    assert model.fit(X[:30]).n_features_in_ == 12  # other documents


def test_matrices_and_arrays_of_a_vectorizer_give_the_same_bits():
    one, other = (EMTopicModel(2, random_state=0, n_init=1).fit(kind(X)) for kind in (sp.csr_matrix, sp.csr_array))
    assert_array_equal(one.components_, other.components_)


class TestWords:
    model = EMTopicModel(2, random_state=0, n_init=1, vocabulary=PETS + MONEY).fit(X)

    @pytest.mark.parametrize(
        "vocabulary",
        [
            np.array(PETS + MONEY),
            tuple(PETS + MONEY),
            pd.Series(PETS + MONEY),
            {word: column for column, word in reversed(list(enumerate(PETS + MONEY)))},
            {word: np.int64(column) for column, word in enumerate(PETS + MONEY)},
        ],
    )
    def test_vocabulary_of_any_kind(self, vocabulary):
        model = EMTopicModel(2, random_state=0, n_init=1, vocabulary=vocabulary).fit(X)
        assert model.top_words(3) == self.model.top_words(3)

    def test_names_or_numbers(self):
        words, numbers = self.model.top_words(4), clone(self.model).set_params(vocabulary=None).fit(X).top_words(4)
        assert words == [[(PETS + MONEY)[v] for v in topic] for topic in numbers]
        assert {type(v) for topic in numbers for v in topic} == {int}
        probability = np.take_along_axis(self.model.topic_word_, np.array(numbers), axis=1)
        assert (np.diff(probability, axis=1) <= 0).all()
        assert [len(topic) for topic in self.model.top_words(99)] == [12, 12]
        frame = self.model.top_words(4, as_frame=True)
        assert frame.columns.tolist() == ["topic", "rank", "word", "probability"]
        assert frame["word"].tolist() == [word for topic in words for word in topic]
        assert frame["rank"].tolist() == [1, 2, 3, 4] * 2
        assert_array_equal(frame["probability"], probability.ravel())

    @pytest.mark.parametrize("method", ["map", "vb", "cvb0"])
    @pytest.mark.parametrize("words", [["loan", "debt"], np.array(["loan", "debt"]), [7, 9], np.array([7, 9])])
    def test_seed_words_lead_their_topic(self, words, method):
        for other in (PETS[:2], MONEY[:2]):
            seeds = {"other": other, "mine": words} if "cat" in other else {"mine": words}
            model = EMTopicModel(3, method=method, seed_words=seeds, vocabulary=PETS + MONEY, seed_strength=1.0)
            model.set_params(random_state=0, n_init=1).fit(X)
            assert set(model.top_words(2)[list(seeds).index("mine")]) == {"loan", "debt"}
            assert model.topic_word_prior_.shape == (3, 12)

    def test_seed_words_of_an_iterator(self):
        EMTopicModel(2, random_state=0, vocabulary=PETS + MONEY, seed_words={"a": iter(["cat", "dog"])}).fit(X)

    @pytest.mark.parametrize("method", ["map", "vb", "cvb0"])
    def test_sample(self, method):
        model = EMTopicModel(2, method=method, random_state=0, n_init=1).fit(X)
        drawn, topic = model.sample(2000)
        assert isinstance(drawn, sp.csr_array)
        assert (drawn.shape, drawn.dtype) == ((2000, 12), np.int64)
        assert topic.shape == (2000,)
        assert drawn.sum() / 2000 == pytest.approx(model.mean_document_length_, rel=0.02)
        expected = (model.doc_topic_prior_ / model.doc_topic_prior_.sum()) @ model.topic_word_
        assert_allclose(drawn.sum(axis=0) / drawn.sum(), expected, atol=0.02)
        assert np.mean(topic == model.predict(drawn)) > 0.9
        assert_array_equal(model.sample(2000)[0].toarray(), drawn.toarray())
        assert model.sample()[0].shape == (1, 12)
