"""What EMTopicModel and TopicDisplay refuse, with nothing left half fitted; and odd tables that they do not refuse."""

from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from emkit import EMGaussianMixture, EMTopicModel
from emkit.plot import TopicDisplay
from emkit.topic_model.model import TopicModel

mpl.use("Agg")
METHODS = ("map", "plsa", "vb", "cvb0")
X = np.random.default_rng(0).poisson(np.repeat(np.kron(np.eye(2), np.full(3, 3.0)) + 0.3, 15, axis=0))
NAMES = ["cat", "dog", "pet", "bank", "loan", "rate"]


def assert_refused(model, message, data=X, call="fit", **metadata):
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(data, **metadata)
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        model.transform(X)


ARGUMENTS = [
    ({"n_components": 0}, r"n_components must be an integer >= 1, but got 0"),
    ({"n_components": 2.5}, r"n_components .* 2\.5"),
    ({"n_components": True}, r"n_components .* True"),
    ({"n_components": "2"}, r"n_components .* '2'"),
    ({"n_components": None}, r"n_components .* None"),
    ({"n_components": 31}, r"n_components = 31, n_samples = 30"),
    ({"method": "lda"}, r"method must be one of \['map', 'plsa', 'vb', 'cvb0'\], but got 'lda'"),
    ({"method": None}, r"method must be one of .* None"),
    ({"doc_topic_prior": -0.1}, r"doc_topic_prior must be .* >= 0.*, but got -0\.1"),
    ({"doc_topic_prior": [0.1]}, r"doc_topic_prior .* n_components = 2 .* \[0\.1\]"),
    ({"doc_topic_prior": np.nan}, r"doc_topic_prior must be finite, but got nan"),
    ({"doc_topic_prior": "some"}, r"doc_topic_prior .* 'some'"),
    ({"doc_topic_prior": True}, r"doc_topic_prior .* True"),
    ({"topic_word_prior": -1}, r"topic_word_prior must be .* > -1.*, but got -1"),
    ({"topic_word_prior": np.inf}, r"topic_word_prior must be finite, but got inf"),
    ({"topic_word_prior": np.ones(5)}, r"topic_word_prior .* shape \(6,\) or \(2, 6\)"),
    ({"topic_word_prior": np.ones((6, 2))}, r"topic_word_prior .* shape \(6,\) or \(2, 6\)"),
    ({"topic_word_prior": 0, "method": "vb"}, r"topic_word_prior must be positive for method='vb'"),
    ({"topic_word_prior": -0.1, "method": "cvb0"}, r"topic_word_prior must be positive for method='cvb0'"),
    ({"doc_topic_prior": [0, 1], "method": "vb"}, r"doc_topic_prior .* must be positive for method='vb'"),
    ({"learn_priors": "all"}, r"learn_priors must be one of \[True, False, 'doc_topic', 'topic_word'\], but got 'all'"),
    ({"learn_priors": 1}, r"learn_priors must be one of .* 1"),
    ({"tol": -1}, r"tol must be a finite number >= 0, but got -1"),
    ({"tol": np.nan}, r"tol .* nan"),
    ({"max_iter": -1}, r"max_iter must be an integer >= 0, but got -1"),
    ({"max_iter": 1.5}, r"max_iter .* 1\.5"),
    ({"n_init": 0}, r"n_init must be 'auto' or an integer >= 1, but got 0"),
    ({"n_init": "many"}, r"n_init .* 'many'"),
    ({"batch_size": 0}, r"batch_size must be an integer >= 1, but got 0"),
    ({"batch_size": "auto"}, r"batch_size .* 'auto'"),
    ({"components_init": X[:3]}, r"components_init must have .* \(m, 6\) with 1 <= m <= n_components = 2, .* \(3, 6\)"),
    ({"components_init": X[:1, :5]}, r"components_init must have the shape \(m, 6\) .* \(1, 5\)"),
    ({"components_init": X[:0]}, r"components_init must have the shape"),
    ({"components_init": X[0]}, r"components_init must have the shape .* \(6,\)"),
    ({"components_init": "random"}, r"components_init must be an array of numbers, but got 'random'"),
    ({"components_init": -np.ones((1, 6))}, r"components_init must be finite and not negative"),
    ({"components_init": np.full((1, 6), np.nan)}, r"components_init must be finite"),
    ({"components_init": np.zeros((2, 6))}, r"components_init .* with a positive number in each row"),
    ({"fixed": ("topics",)}, r"fixed must be a tuple of names among \('components',\), but got \('topics',\)"),
    ({"fixed": "components"}, r"fixed must be a tuple .* 'components'"),
    ({"fixed": None}, r"fixed must be a tuple .* None"),
    ({"fixed": ([],)}, r"fixed must be a tuple"),
    ({"fixed": ("components",)}, r"fixed=\('components',\) .* components_init, but that is None"),
    ({"seed_words": ["cat"]}, r"seed_words must map .* \['cat'\]"),
    ({"seed_words": {"a": "cat"}}, r"seed_words must map .* 'cat'"),
    ({"seed_words": {"a": ["cat", "cow"]}, "vocabulary": NAMES}, r"seed_words\['a'\] .* not in .*: \['cow'\]"),
    ({"seed_words": {"a": ["cat"]}}, r"seed_words\['a'\] .* no vocabulary was given .* vocabulary: \['cat'\]"),
    ({"seed_words": {"a": [6]}}, r"seed_words\['a'\] .* \[6\]"),
    ({"seed_words": {"a": [-1]}}, r"seed_words\['a'\] .* \[-1\]"),
    ({"seed_words": {"a": [1.0]}}, r"seed_words\['a'\] .* \[1\.0\]"),
    ({"seed_words": {"a": [True]}}, r"seed_words\['a'\] .* \[True\]"),
    ({"seed_words": {"a": []}}, r"seed_words\['a'\]"),
    ({"seed_words": {"a": [0]}, "method": "plsa"}, r"seed_words are a prior, .* method='plsa'"),
    ({"seed_words": {k: [0] for k in "abc"}}, r"n_components is 2, but .* seed_words .* give 3 topics"),
    ({"seed_words": {k: [0] for k in "ab"}, "background": True}, r"n_components is 2, but .* give 3 topics"),
    ({"seed_words": {"a": 3}}, r"seed_words .* 3"),
    ({"seed_words": {"a": None}}, r"seed_words .* None"),
    ({"seed_words": {"a": [["cat"]]}}, r"seed_words.* \[\['cat'\]\]"),
    ({"seed_words": {"a": b"\0\1"}}, r"seed_words must map"),
    ({"seed_strength": -1}, r"seed_strength must be a finite number >= 0, but got -1"),
    ({"seed_strength": "much"}, r"seed_strength .* 'much'"),
    ({"background": True, "method": "cvb0"}, r"method='cvb0' cannot hold topics"),
    ({"background": 1}, r"background must be one of \[True, False\], but got 1"),
    ({"vocabulary": NAMES[:5]}, r"vocabulary must .* 6 columns .* has 5"),
    ({"vocabulary": 6}, r"vocabulary .* 6"),
    ({"vocabulary": "catdog"}, r"vocabulary"),
    ({"vocabulary": dict.fromkeys(NAMES, 0)}, r"vocabulary .* a column of its own"),
    ({"vocabulary": ["cat"] * 6}, r"vocabulary .* 1 of them distinct"),
    ({"max_doc_update_iter": 0}, r"max_doc_update_iter must be an integer >= 1, but got 0"),
    ({"mean_change_tol": -1e-3}, r"mean_change_tol must be a finite number >= 0, but got -0\.001"),
    ({"early_stopping": "yes"}, r"early_stopping must be one of .* 'yes'"),
    ({"validation_fraction": 0}, r"validation_fraction must be in \(0, 1\), but got 0"),
    ({"validation_fraction": 1.0}, r"validation_fraction must be in \(0, 1\), but got 1\.0"),
    (
        {"validation_fraction": 0.99, "early_stopping": True},
        r"n_samples = 30, which leaves none.* validation_fraction below 0\.99",
    ),
    ({"validation_fraction": 0.95, "early_stopping": True}, r"n_components = 2, n_samples = 1"),
    ({"n_iter_no_change": 0}, r"n_iter_no_change must be an integer >= 1, but got 0"),
    ({"dtype": "float16"}, r"dtype must be one of \['auto', 'float32', 'float64'\], but got 'float16'"),
    ({"dtype": np.float32}, r"dtype must be one of .* <class 'numpy\.float32'>"),
    ({"accelerate": "much"}, r"accelerate must be one of .* 'much'"),
    ({"accelerate": True}, r"accelerate must be one of .* True"),
    ({"warm_start": "yes"}, r"warm_start must be one of .* 'yes'"),
    ({"verbose": -1}, r"verbose must be an integer >= 0, but got -1"),
    ({"n_jobs": 0}, r"n_jobs must be None or an integer other than 0 .*, but got 0"),
    ({"n_jobs": "all"}, r"n_jobs must be None or an integer other than 0 .*, but got 'all'"),
    ({"random_state": "dice"}, r"'dice'"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_arguments(arguments, message):
    assert_refused(EMTopicModel(**{"n_components": 2, "n_init": 1, **arguments}), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 31}, r"n_components = 31, n_samples = 30"),
        ({"n_init": 0}, r"n_init"),
        ({"max_iter": None}, r"max_iter must be an integer"),
        ({"tol": "small"}, r"tol must be a finite number"),
    ],
)
def test_arguments_at_a_first_partial_fit(arguments, message):
    assert_refused(EMTopicModel(**{"n_components": 2, "n_init": 1, **arguments}), message, call="partial_fit")


TABLES = [
    ([["a", "b"], ["c", "d"]], r"X must be counts \(could not convert .*'a'\); sklearn.* counts the words of texts"),
    *(
        (kind(["a cat and a dog " * 50, "a cat"] * 5), r"^X must be counts .{,160} sklearn.*CountVectorizer counts")
        for kind in (list, np.array, pd.Series)
    ),
    (X + 1j, "Complex data not supported"),
    (X[0], "Expected 2D array, got 1D array"),
    (np.ones((9, 2, 2)), "dim 3"),
    (5.0, "Expected 2D array, got scalar array"),
    (np.empty((0, 2)), r"0 sample\(s\)"),
    (np.empty((9, 0)), r"0 feature\(s\)"),
    (np.zeros((9, 3)), "X has no tokens: all counts are zero"),
    (sp.csr_array((9, 3)), "X has no tokens: all counts are zero"),
    *((kind(X - 1), "Negative values in data") for kind in (np.asarray, sp.csr_array, sp.coo_matrix, pd.DataFrame)),
    *((kind(np.where(X > 3, np.nan, X)), "NaN") for kind in (np.asarray, sp.csr_array, sp.coo_matrix, pd.DataFrame)),
    *((kind(np.where(X > 3, np.inf, X)), "infinity") for kind in (np.asarray, sp.csc_array, pd.DataFrame)),
    (lambda: None, "each call must return an iterable"),
    (list, "yields no block of rows"),
    (lambda: [X[:0]], "yields no block of rows"),
    (lambda: [X, X[:, :5]], "5 features"),
    (lambda: [X, -X], "Negative values"),
    (lambda: [np.zeros((9, 3))], "no tokens"),
    (lambda: [X[0].tolist(), X], "Expected 2D array|block"),
    (lambda: [None], "block"),
    (lambda: [X, np.empty((0, 5))], "5 features"),
]


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize(("data", "message"), TABLES)
def test_tables(data, message, call):
    assert_refused(EMTopicModel(2, n_init=1), message, data, call)


def test_blocks_that_come_once():
    once = iter([X])
    assert_refused(EMTopicModel(2), "new iterator at each call", lambda: once)


def test_blocks_may_be_lists():
    EMTopicModel(2, n_init=1, random_state=0).fit(lambda: [X.tolist()])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(30, -1.0), r"sample_weight must be finite and not negative, but sample_weight\[0\] is -1\.0"),
        (np.zeros(30), r"sample_weight is zero for all rows"),
        (0, r"sample_weight is zero for all rows"),
        (np.ones(29), r"sample_weight\.shape == \(29,\), expected \(30,\)"),
        (np.ones((30, 1)), r"1D array"),
        (np.full(30, np.nan), r"sample_weight .* nan"),
        (["heavy"] * 30, r"sample_weight must be an array of numbers"),
        (np.eye(1, 30)[0], r"n_samples = 1"),
    ],
)
def test_weights(weight, message):
    assert_refused(EMTopicModel(2), message, sample_weight=weight)


@pytest.mark.parametrize(("n", "message"), [(29, "more rows|30 rows"), (31, "30 rows")])
def test_weights_of_blocks(n, message):
    assert_refused(EMTopicModel(2), message, lambda: np.split(X, 3), sample_weight=np.ones(n))


def test_blocks_cannot_be_held_out():
    assert_refused(EMTopicModel(2, early_stopping=True), "early_stopping=True needs documents in memory", lambda: [X])


FITTED = EMTopicModel(2, random_state=0, n_init=1).fit(X)
BY_TABLE = ("transform", "predict", "predict_proba", "score", "score_samples", "perplexity", "bic", "aic", "icl")


@pytest.mark.parametrize("name", BY_TABLE)
def test_methods(name):
    with pytest.raises(NotFittedError):
        getattr(EMTopicModel(2), name)(X)
    for data, message in ((X[:, :5], "5 features"), (-X, "Negative"), (list, "no block"), (X[:0], "0 sample")):
        with pytest.raises(ValueError, match=message):
            getattr(FITTED, name)(data)
    with pytest.raises(NotFittedError):
        EMTopicModel(2).sample()
    with pytest.raises(NotFittedError):
        EMTopicModel(2).top_words()


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3"])
def test_numbers_that_are_asked_for(value):
    for name, method in (("n_samples", FITTED.sample), ("n", FITTED.top_words)):
        with pytest.raises(ValueError, match=f"{name} must be an integer >= 1"):
            method(value)


def test_what_has_no_answer():
    with pytest.raises(ValueError, match="cannot be drawn without a prior"):
        EMTopicModel(2, method="plsa", random_state=0).fit(X).sample()
    with pytest.raises(ValueError, match="no document with two tokens"):
        FITTED.perplexity(np.eye(6))


@pytest.mark.parametrize("change", [{"n_components": 3}, {"method": "vb"}, {"X": X[:, :5]}])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_what_cannot_be_continued(change, call):
    model = EMTopicModel(2, random_state=0, n_init=1, warm_start=True).fit(X)
    data, state = change.get("X", X), dict(vars(model))
    model.set_params(**{name: value for name, value in change.items() if name != "X"})
    with pytest.raises(ValueError, match=r"continues a fit with n_components=2, 6 features|has 5 features"):
        getattr(model, call)(data)
    assert all(vars(model)[name] is value for name, value in state.items() if name.endswith("_"))


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_all_as_it_was(call, error, monkeypatch):
    model = EMTopicModel(2, random_state=0, n_init=1).fit(X)
    state = dict(vars(model))
    if error is KeyboardInterrupt:
        monkeypatch.setattr(TopicModel, "m_step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(error):
        getattr(model, call)(X if error is KeyboardInterrupt else X - 1)
    assert vars(model).keys() == state.keys()
    assert all(vars(model)[name] is state[name] for name in state)


class TestDisplay:
    @pytest.fixture(autouse=True)
    def close(self):
        yield
        mpl.pyplot.close("all")

    @pytest.mark.parametrize("k", [1, 2, 7])
    @pytest.mark.parametrize("kind", ["words", "map"])
    def test_drawn(self, kind, k):
        model = EMTopicModel(k, random_state=0, n_init=1, vocabulary=NAMES).fit(X)
        display = TopicDisplay.from_estimator(model, kind=kind, n_words=2)
        display.figure_.canvas.draw()
        assert len(display.figure_.axes) == (k if kind == "words" else 1)
        if kind == "words":
            labels = [[text.get_text() for text in ax.get_yticklabels()] for ax in display.ax_]
            assert labels == [words[::-1] for words in model.top_words(2)]
        else:
            assert [text.get_text() for text in display.ax_.texts] == [
                f"{topic}\n{one}\n{two}" for topic, (one, two) in enumerate(model.top_words(2))
            ]
        again = TopicDisplay.from_estimator(model, kind=kind, ax=display.ax_)
        assert again.figure_ is display.figure_

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kind": "bars"}, r"kind must be one of \['words', 'map'\], but got 'bars'"),
            ({"n_words": 0}, r"n_words must be an integer >= 1, but got 0"),
            ({"feature_names": ["a"]}, r"feature_names must have 6 terms, but has 1"),
            ({"ax": 5}, r"ax must be Axes"),
            ({"ax": [None] * 3}, r"ax must be Axes"),
            ({"ax": [1, 2]}, r"ax must"),
            ({"kind": "map", "ax": [None] * 2}, r"ax must be Axes"),
            ({"kind": "map", "ax": 5}, r"ax must be Axes"),
            ({"feature_names": (n for n in NAMES[:5])}, r"feature_names must have 6 terms, but has 5"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            TopicDisplay.from_estimator(FITTED, **options)

    def test_other_estimators(self):
        with pytest.raises(NotFittedError):
            TopicDisplay.from_estimator(EMTopicModel())
        with pytest.raises(ValueError, match="estimator must be an EMTopicModel, but got EMGaussianMixture"):
            TopicDisplay.from_estimator(EMGaussianMixture(2, random_state=0).fit(X[:, ::2] * 1.0))

    @pytest.mark.parametrize("kind", ["words", "map"])
    def test_dollars(self, kind):
        names = [f"$\\x{v}_$" for v in range(6)]
        TopicDisplay.from_estimator(FITTED, kind=kind, feature_names=names).figure_.canvas.draw()

    def test_map_of_topics_that_are_the_same_but_for_rounding(self):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            topic_word = rng.random(12) * (1 + 1e-7 * rng.random((6, 12)))
            topic_word = (topic_word / topic_word.sum(axis=1, keepdims=True)).astype(np.float32)
            names = [str(v) for v in range(12)]
            TopicDisplay(topic_word=topic_word, topic_weights=np.ones(6) / 6, feature_names=names, kind="map").plot()


ONE_TOKEN = np.eye(4)[[0, 1, 2, 3, 0, 1]]
ODD = {
    "one token": ONE_TOKEN,
    "one term": np.array([[3, 0], [0, 4], [5, 0]]),
    "one column": np.array([[1], [2], [5]]),
    "identical": np.tile([1, 2, 3, 0], (6, 1)),
    "one document": np.array([[1, 2, 0]]),
    **{f"{scale:g}": X * scale for scale in (1e9, 1e15, 1e-12)},
    **{f"{scale:g} in single": (X * scale).astype(np.float32) for scale in (1e9, 1e-3, 1e-12)},
    "unlike": X * np.logspace(-9, 3, 30)[:, None],
}


def unsound(model, data):
    """Names of all that is not finite, or no share."""
    names = [name for name in vars(model) if name.endswith("_") and name != "history_"]
    bad = [name for name in names if not np.isfinite(np.asarray(getattr(model, name), float)).all()]
    bad += [] if np.isfinite(model.history_["objective"]).all() else ["history_"]
    theta = model.transform(data)
    bad += (
        [] if (np.abs(theta.sum(axis=1) - 1) < 1e-5).all() and (theta >= 0).all() and (theta <= 1).all() else ["theta"]
    )
    bad += [] if np.allclose(model.topic_word_.sum(axis=1), 1, rtol=1e-5) else ["topic_word_"]
    return bad + ([] if np.isfinite(model.score_samples(data)).all() else ["score_samples"])


OPTIONS = [{}, {"n_components": 1}, {"max_iter": 0}, {"batch_size": 2}, {"background": True}]


@pytest.mark.parametrize(
    ("method", "options"), [pair for pair in product(METHODS, OPTIONS) if pair != ("cvb0", OPTIONS[-1])]
)
@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # such tables may take long
def test_odd_tables(name, method, options, request):
    if (name, method) == ("1e-12 in single", "vb") and options != {"n_components": 1}:
        reason = "the weights of all topics in a document underflow: the objective is minus infinity"
        request.node.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    data = ODD[name]
    options = {"n_components": min(2, len(data)), "random_state": 0, "n_init": 1, **options}
    model = EMTopicModel(method=method, **options).fit(data)
    assert not unsound(model, data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["one token", "one term", "identical"])
def test_as_many_topics_as_documents(name, method):
    model = EMTopicModel(len(ODD[name]), method=method, random_state=0).fit(ODD[name])
    assert not unsound(model, ODD[name])
