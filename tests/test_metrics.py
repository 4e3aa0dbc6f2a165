"""Measures of topics against loops over pairs and documents, values by hand and of gensim; and scorers of them."""

import math
import pickle
import re
from itertools import combinations
from operator import mul

import numpy as np
import old_versions
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csc_array, csc_matrix, csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import NMF, LatentDirichletAllocation
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline

from emkit.metrics import (
    _cosines,
    c_v,
    completion_log_likelihood,
    completion_perplexity,
    make_topic_scorer,
    npmi,
    topic_diversity,
    u_mass,
)

BEFORE_1_8 = pytest.mark.skipif(
    old_versions.BEFORE_1_8, reason="scikit-learn < 1.8: its Pipeline and routing refuse this"
)

COHERENCES = [npmi, u_mass, c_v]

# Counts of seven terms in ten documents, and four topics by their top terms. Term 5 is never with term 3 or 6.
COUNTS = np.array(
    [
        [2, 1, 0, 1, 0, 0, 1],
        [1, 0, 1, 0, 1, 0, 0],
        [0, 1, 1, 1, 0, 0, 1],
        [1, 1, 1, 0, 0, 1, 0],
        [0, 0, 0, 2, 1, 0, 1],
        [3, 0, 0, 0, 1, 1, 0],
        [0, 1, 0, 0, 1, 0, 1],
        [1, 1, 1, 1, 0, 0, 1],
        [0, 0, 1, 1, 0, 0, 1],
        [1, 0, 0, 0, 0, 0, 1],
    ]
)
TOPICS = [[0, 1, 2, 3], [3, 1, 4, 0], [5, 3, 6, 2], [2, 4, 1, 0]]

TEXTS = [
    "cat dog pet",
    "dog cat fur",
    "pet cat fur dog",
    "fur pet dog cat",
    "sun star moon",
    "moon star sky",
    "sky sun moon star",
    "star sky sun moon",
] * 3


def topic_word_of(topics, n_terms):
    """Weights that fall along each list of terms, 0 for the others."""
    weights = np.zeros((len(topics), n_terms))
    for row, terms in zip(weights, topics, strict=True):
        row[terms] = range(len(terms), 0, -1)
    return weights


TOPIC_WORD = topic_word_of(TOPICS, 7)


# In plain Python, over sets of documents


def top_by_hand(weights, n_words):
    return sorted(range(len(weights)), key=lambda term: (-weights[term], term))[:n_words]


def documents_by_hand(X):
    return [{i for i, row in enumerate(X) if row[term] > 0} for term in range(len(X[0]))]


def pair_by_hand(a, b, n, epsilon=0.0):
    """Normalised pointwise mutual information of two terms, by the documents that hold them."""
    if len(a & b) == n:
        return 1.0
    share = len(a & b) / n + epsilon
    return math.log(share / (len(a) / n * len(b) / n)) / -math.log(share) if share > 0 else -1.0


def npmi_by_hand(docs, n):
    values = [pair_by_hand(a, b, n) for a, b in combinations(docs, 2)]
    return sum(values) / len(values)


def u_mass_by_hand(docs, n):
    return sum(math.log((len(b & a) + 1) / len(a)) for a, b in combinations(docs, 2))


def c_v_by_hand(docs, n):
    vectors = [[pair_by_hand(a, b, n, 1e-12) for b in docs] for a in docs]
    total = [sum(column) for column in zip(*vectors, strict=True)]
    lengths = [math.hypot(*v) * math.hypot(*total) for v in vectors]
    cosines = [sum(map(mul, v, total)) / length for v, length in zip(vectors, lengths, strict=True)]
    return sum(cosines) / len(cosines)


BY_HAND = {npmi: npmi_by_hand, u_mass: u_mass_by_hand, c_v: c_v_by_hand}


def by_hand(measure, topic_word, X, n_words):
    documents = documents_by_hand(X)
    tops = [[documents[term] for term in top_by_hand(row, n_words)] for row in topic_word]
    return [BY_HAND[measure](top, len(X)) for top in tops]


@st.composite
def problems(draw, all_held=True):
    """Topic-word weights with ties, counts in which each term occurs if `all_held`, and a number of top terms."""
    n_topics, n_terms, n_documents = (draw(st.integers(low, 7)) for low in (1, 2, 1))
    topic_word = draw(arrays(np.int64, (n_topics, n_terms), elements=st.integers(0, 4)))
    X = draw(arrays(np.int64, (n_documents, n_terms), elements=st.sampled_from([0, 0, 1, 3])))
    if all_held:
        X[draw(st.integers(0, n_documents - 1)), X.sum(axis=0) == 0] = 1
    return topic_word, X, draw(st.integers(2, n_terms))


@pytest.mark.parametrize("measure", COHERENCES)
@given(problem=problems())
def test_coherence_is_that_of_loops(measure, problem):
    topic_word, X, n_words = problem
    value = measure(topic_word, X, n_words=n_words)
    assert value.shape == (len(topic_word),)
    assert value.dtype == np.float64
    assert_allclose(value, by_hand(measure, topic_word.tolist(), X.tolist(), n_words), atol=1e-9)


@given(problem=problems(all_held=False))
def test_npmi_is_that_of_loops_with_terms_in_no_document(problem):
    topic_word, X, n_words = problem
    value = npmi(topic_word, X, n_words=n_words)
    assert_allclose(value, by_hand(npmi, topic_word.tolist(), X.tolist(), n_words), atol=1e-12)


@pytest.mark.parametrize("measure", COHERENCES)
@given(problem=problems(), seed=st.integers(0, 99), factor=st.sampled_from([1e-9, 0.3, 7, 1e12]))
def test_what_coherence_does_not_depend_on(measure, problem, seed, factor):
    topic_word, X, n_words = problem
    rng = np.random.default_rng(seed)
    value = measure(topic_word, X, n_words=n_words)
    assert_array_equal(measure(topic_word, rng.permutation(X), n_words=n_words), value)
    assert_array_equal(measure(topic_word, X > 0, n_words=n_words), value)
    assert_array_equal(measure(topic_word * factor, X * factor, n_words=n_words), value)
    topics = rng.permutation(len(topic_word))
    assert_array_equal(measure(topic_word[topics], X, n_words=n_words), value[topics])


@given(problem=problems())
def test_ranges(problem):
    topic_word, X, n_words = problem
    n_pairs = n_words * (n_words - 1) / 2
    assert (np.abs(npmi(topic_word, X, n_words=n_words)) <= 1 + 1e-12).all()
    assert (np.abs(c_v(topic_word, X, n_words=n_words)) <= 1 + 1e-12).all()
    assert (u_mass(topic_word, X, n_words=n_words) <= n_pairs * math.log(2) + 1e-12).all()


@given(problem=problems())
def test_topic_diversity_is_that_of_sets(problem):
    topic_word, _, n_words = problem
    tops = [top_by_hand(row, n_words) for row in topic_word.tolist()]
    value = topic_diversity(topic_word, n_words=n_words)
    assert type(value) is float
    assert value == len(set().union(*tops)) / (n_words * len(tops))
    assert topic_diversity(topic_word * 0.3, n_words=n_words) == value


# Values by hand


def test_values_by_hand():
    X = [[1, 1, 0], [2, 1, 0], [1, 0, 1], [0, 0, 0]]  # documents of the terms: 3, 2, 1; of pairs: 01 2, 02 1, 12 0
    topic_word = [[3, 2, 1]]
    pair_01 = math.log((2 / 4) / (3 / 4 * 2 / 4)) / math.log(4 / 2)
    pair_02 = math.log((1 / 4) / (3 / 4 * 1 / 4)) / math.log(4 / 1)
    assert_allclose(npmi(topic_word, X, n_words=3), [(pair_01 + pair_02 - 1) / 3], rtol=1e-14)
    assert_allclose(u_mass(topic_word, X, n_words=3), [math.log((2 + 1) / 3 * (1 + 1) / 3 * (0 + 1) / 2)], rtol=1e-14)
    a = pair_01  # vectors (1, a) and (a, 1), sum (1 + a, 1 + a): both cosines are those with (1, 1)
    assert_allclose(c_v(topic_word, X, n_words=2), [(1 + a) / math.sqrt(2 * (1 + a * a))], rtol=1e-10)


def test_pairs_that_always_or_never_occur_together():
    X = [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 0]]
    in_all, same, apart, absent = [0, 1], [2, 3], [2, 4], [0, 5]
    topic_word = topic_word_of([in_all, same, apart, absent, [5, 0], [0, 2]], 6)
    assert_array_equal(npmi(topic_word, X, n_words=2), [1, 1, -1, -1, -1, 0])
    assert_allclose(c_v(topic_word[:2], X, n_words=2), [1, 1], rtol=1e-10)


def test_vectors_that_cancel_have_no_cosine_of_nan():
    assert_array_equal(_cosines(np.array([[1.0, -1.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 4.0]])), [0, 1])


def test_one_document_and_one_topic():
    assert_array_equal(npmi([[1, 1]], [[1, 5]], n_words=2), [1])
    assert_array_equal(u_mass([[1, 1]], [[1, 5]], n_words=2), [math.log(2)])
    assert_allclose(c_v([[1, 1]], [[1, 5]], n_words=2), [1])


def test_ties_go_to_the_lower_column():
    topic_word = np.array([[1, 2, 2, 2, 2, 0, 0]])
    for n_words, top in [(2, [1, 2]), (3, [1, 2, 3]), (5, [1, 2, 3, 4, 0]), (6, [1, 2, 3, 4, 0, 5])]:
        clear = topic_word_of([top], 7)
        for measure in COHERENCES:  # u_mass tells the order of the top terms too
            assert_array_equal(measure(topic_word, COUNTS, n_words=n_words), measure(clear, COUNTS, n_words=n_words))


def test_topic_diversity_of_shared_and_distinct_topics():
    assert topic_diversity(np.eye(3), n_words=1) == 1
    assert topic_diversity(np.ones((4, 25))) == 1 / 4
    assert topic_diversity(TOPIC_WORD, n_words=4) == 7 / 16


# gensim 4.4.0, CoherenceModel(topics=TOPICS as words, texts=COUNTS as texts, topn=4, processes=1, window_size=1000)
# .get_coherence_per_topic(); "u_mass" as it is and with the constant EPSILON of
# gensim.topic_coherence.direct_confirmation_measure set to 1 / 10

GENSIM_C_NPMI = [0.03372836976091707, -0.13597318254932275, -0.21792320498944961, -0.09398490981381663]
GENSIM_C_V = [0.545435457651927, 0.29683364226315184, 0.34595503648916337, 0.3685708644309699]
GENSIM_U_MASS_OF_EPSILON = [-0.3622513417864838, -0.5128960437657502, -0.3311220239292614, -0.42775843980475176]


def test_c_v_is_that_of_gensim_with_a_window_longer_than_each_document():
    assert_allclose(c_v(TOPIC_WORD, COUNTS, n_words=4), GENSIM_C_V, rtol=1e-12)


def test_npmi_is_that_of_gensim_but_for_its_constant_in_pairs_that_never_occur_together():
    value = npmi(TOPIC_WORD, COUNTS, n_words=4)
    apart = [math.log(2 / 10 * other / 10) / math.log(1e-12) for other in (5, 7)]  # term 5 with 3 and 6, of topic 2
    assert_allclose(value + [0, 0, sum(apart) / 6, 0], GENSIM_C_NPMI, rtol=1e-10)


def test_u_mass_is_the_sum_where_gensim_has_the_mean():
    assert_allclose(u_mass(TOPIC_WORD, COUNTS, n_words=4) / 6, GENSIM_U_MASS_OF_EPSILON, rtol=1e-13)


# What may come as a matrix


def with_long_indices(X):
    X = csr_array(X)
    return csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)


def with_stored_zeros(X):
    return csr_array((X.ravel(), np.tile(np.arange(X.shape[1]), len(X)), np.arange(0, X.size + 1, X.shape[1])))


def with_split_entries(X):
    """Each count stored in two parts, in falling order of the columns."""
    rows, columns = np.nonzero(X)
    order = np.lexsort((-columns, rows))
    starts = 2 * np.concatenate([[0], np.cumsum((X > 0).sum(axis=1))])
    parts = np.repeat(X[rows, columns][order] / 2, 2)
    return csr_array((parts, np.repeat(columns[order], 2), starts), shape=X.shape)


KINDS = [
    csr_matrix,
    csr_array,
    csc_matrix,
    csc_array,
    coo_array,
    with_long_indices,
    with_stored_zeros,
    with_split_entries,
    pd.DataFrame,
    np.asfortranarray,
    np.ndarray.tolist,
    *[lambda X, dtype=dtype: X.astype(dtype) for dtype in ("u1", "f4", object)],
    lambda X: csr_matrix(X > 0),
    lambda X: pd.DataFrame(X).astype(pd.SparseDtype("int64", 0)),
]


@pytest.mark.parametrize("measure", COHERENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_corpora(measure, kind):
    X = kind(COUNTS)
    before = pickle.dumps(X)
    assert_array_equal(measure(TOPIC_WORD, X, n_words=4), measure(TOPIC_WORD, COUNTS, n_words=4))
    assert pickle.dumps(X) == before


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.int64, pd.DataFrame, np.asfortranarray, np.ndarray.tolist])
def test_kinds_of_topic_word(kind):
    topic_word = kind(TOPIC_WORD) if not isinstance(kind, type) or kind is pd.DataFrame else TOPIC_WORD.astype(kind)
    assert_array_equal(u_mass(topic_word, COUNTS, n_words=4), u_mass(TOPIC_WORD, COUNTS, n_words=4))


def test_a_vocabulary_whose_square_does_not_fit_into_memory():
    n_terms = 3_000_000
    X = csr_array(([1, 2, 1, 1], [0, n_terms - 1, 0, n_terms - 2], [0, 2, 4]), shape=(2, n_terms))
    topic_word = topic_word_of([[0, n_terms - 1], [n_terms - 1, n_terms - 2]], n_terms)
    assert_array_equal(npmi(topic_word, X, n_words=2), [0, -1])


# Refusals


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize("measure", [*COHERENCES, lambda topic_word, X, **kw: topic_diversity(topic_word, **kw)])
@pytest.mark.parametrize(
    ("topic_word", "message"),
    [
        ([[1, -0.5]], "topic_word must be finite and not negative, but holds -0.5"),
        ([[1, np.nan]], "topic_word must be finite and not negative, but holds nan"),
        ([[1, np.inf]], "topic_word must be finite and not negative, but holds inf"),
        ([1, 2], "topic_word must be a dense matrix of numbers, but got [1, 2]: Expected 2D array, got 1D"),
        (np.ones((2, 2, 2)), "topic_word must be a dense matrix of numbers, but got array("),
        (np.ones((0, 2)), "topic_word must be a dense matrix of numbers, but got array([], "),
        ([["a", "b"]], "topic_word must be a dense matrix of numbers, but got [['a', 'b']]: "),
        (np.array([[1j, 1]]), "topic_word must be a dense matrix of numbers"),
        (csr_array([[1, 2]]), "topic_word must be a dense matrix of numbers, but got <"),
        (None, "topic_word must be a dense matrix of numbers, but got None: "),
    ],
)
def test_refused_topic_word(measure, topic_word, message):
    with refused(message):
        measure(topic_word, [[1, 1]], n_words=2)


@pytest.mark.parametrize("measure", COHERENCES)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, -1]], "X must be finite and not negative, but holds -1"),
        (csr_array([[1.0, -0.5]]), "X must be finite and not negative, but holds -0.5"),
        (csc_array([[1.0, np.nan]]), "X must be finite and not negative, but holds nan"),
        ([[1, np.inf]], "X must be finite and not negative, but holds inf"),
        (pd.DataFrame({"a": [1, 2], "b": [None, 1.0]}), "X must be finite and not negative, but holds nan"),
        ([[1, 1, 1]], "X must have as many columns as topic_word, 2, but has 3"),
        (csr_array((0, 2)), "X must be a matrix of numbers, but got <"),
        (["cat dog", "dog"], "X must be a matrix of numbers, but got ['cat dog', 'dog']: "),
        (None, "X must be a matrix of numbers, but got None: "),
    ],
)
def test_refused_corpora(measure, X, message):
    with refused(message):
        measure([[1, 1]], X, n_words=2)


@pytest.mark.parametrize("n_words", [0, 8, 2.0, True, "3", None, math.inf])
def test_refused_n_words(n_words):
    message = "n_words must be an integer from {} to the number of columns of topic_word, 7, but got " + repr(n_words)
    for measure in COHERENCES:
        with refused(message.format(2)):
            measure(TOPIC_WORD, COUNTS, n_words=n_words)
    with refused(message.format(1)):
        topic_diversity(TOPIC_WORD, n_words=n_words)


def test_one_term_has_no_pairs_but_a_diversity():
    for measure in COHERENCES:
        with refused("n_words must be an integer from 2 to the number of columns of topic_word, 7, but got 1"):
            measure(TOPIC_WORD, COUNTS, n_words=1)
    assert topic_diversity(TOPIC_WORD, n_words=np.int64(1)) == 1


def test_default_n_words():
    wide = np.hstack([TOPIC_WORD, TOPIC_WORD])
    for measure in COHERENCES:
        corpus = np.hstack([COUNTS, COUNTS])
        assert_array_equal(measure(wide, corpus), measure(wide, corpus, n_words=10))
    with refused("to the number of columns of topic_word, 14, but got 25"):
        topic_diversity(wide)


@pytest.mark.parametrize("measure", [u_mass, c_v])
@pytest.mark.parametrize("top", [[2, 1, 0], [0, 2, 1], [0, 1, 2]])
def test_a_top_term_in_no_document_is_refused_by_name(measure, top):
    X = [[1, 1, 0, 1], [1, 0, 0, 0]]
    with refused("none holds term 2 (its column), a top term of topic 1; take a larger reference corpus"):
        measure(topic_word_of([[0, 1, 3], top], 4), X, n_words=3)


# Scorers


class Fitted(BaseEstimator):
    """A topic model without a fit."""

    def __init__(self, topic_word=None):
        self.topic_word = topic_word

    def fit(self, X, y=None):
        self.topic_word_ = np.asarray(self.topic_word)
        return self


def mean_weight(topic_word, X):
    """A measure of one's own: the largest share of a term."""
    return topic_word.max(axis=1) / topic_word.sum(axis=1)


@pytest.mark.parametrize(("name", "measure"), [("npmi", npmi), ("u_mass", u_mass), ("c_v", c_v)])
def test_a_scorer_is_the_mean_over_topics(name, measure):
    model = Fitted(TOPIC_WORD).fit(None)
    score = make_topic_scorer(name, n_words=4)(model, COUNTS)
    assert type(score) is float
    assert score == measure(TOPIC_WORD, COUNTS, n_words=4).mean()
    assert score != make_topic_scorer(name, n_words=3)(model, COUNTS, y=np.zeros(10))
    other = make_topic_scorer(name, n_words=4, X=csr_array(COUNTS[:8]))
    assert other(model, COUNTS) == other(model, None) == measure(TOPIC_WORD, COUNTS[:8], n_words=4).mean()


def test_scorers_of_diversity_and_of_a_callable():
    model = Fitted(TOPIC_WORD).fit(None)
    diversity = make_topic_scorer("topic_diversity", n_words=1)(model, None)
    assert type(diversity) is float
    assert diversity == topic_diversity(TOPIC_WORD, n_words=1)
    own = make_topic_scorer(mean_weight)(model, None)
    assert type(own) is float
    assert own == mean_weight(TOPIC_WORD, None).mean()
    assert make_topic_scorer(lambda topic_word, X: X.sum(), X=COUNTS)(model, None) == COUNTS.sum()


def test_components_are_divided_by_their_sums():
    lda = LatentDirichletAllocation(2, random_state=0).fit(COUNTS)
    seen = []
    make_topic_scorer(lambda topic_word, X: seen.append(topic_word) or 0.0)(lda, COUNTS)
    assert_allclose(seen[0], lda.components_ / lda.components_.sum(axis=1, keepdims=True), rtol=1e-15)
    model = Fitted()
    model.components_ = [[2, 6], [0, 0]]  # as a component of NMF that the data do not need
    make_topic_scorer(lambda topic_word, X: seen.append(topic_word) or 0.0)(model, COUNTS)
    assert_array_equal(seen[1], [[0.25, 0.75], [0, 0]])
    model.topic_word_ = [[0.5, 0.5]]
    assert make_topic_scorer(mean_weight)(model, None) == 0.5


def test_a_scorer_takes_nmf():
    nmf = NMF(2, random_state=0, init="nndsvda").fit(COUNTS)
    assert make_topic_scorer("c_v", n_words=3)(nmf, COUNTS) == c_v(nmf.components_, COUNTS, n_words=3).mean()


def test_a_pipeline_reads_texts():
    vectoriser = CountVectorizer()
    counts = vectoriser.fit_transform(TEXTS)
    lda = LatentDirichletAllocation(2, random_state=0).fit(counts)
    pipeline = make_pipeline(vectoriser, "passthrough", lda)
    nested = make_pipeline(vectoriser, make_pipeline(lda))
    expected = npmi(lda.components_, counts, n_words=4).mean()
    scorer = make_topic_scorer("npmi", n_words=4)
    assert scorer(pipeline, TEXTS) == scorer(nested, TEXTS) == scorer(make_pipeline(lda), counts) == expected
    assert make_topic_scorer("npmi", n_words=4, X=TEXTS)(pipeline, TEXTS[:1]) == expected
    assert make_topic_scorer("topic_diversity", n_words=4)(pipeline, None) == 1


@BEFORE_1_8
def test_a_pipeline_may_start_with_a_step_that_needs_no_fit():
    hashing = HashingVectorizer(n_features=64, alternate_sign=False, norm=None)
    pipeline = make_pipeline(hashing, LatentDirichletAllocation(2, random_state=0)).fit(TEXTS)
    expected = npmi(pipeline[-1].components_, hashing.transform(TEXTS), n_words=4).mean()
    assert make_topic_scorer("npmi", n_words=4)(pipeline, TEXTS) == expected


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("reference", [None, TEXTS])
def test_grid_search_over_a_pipeline_of_texts(n_jobs, reference):
    pipeline = Pipeline([("counts", CountVectorizer()), ("lda", LatentDirichletAllocation(random_state=0))])
    folds = KFold(3)
    search = GridSearchCV(
        pipeline,
        {"lda__n_components": [1, 2]},
        scoring={
            "npmi": make_topic_scorer("npmi", n_words=4, X=reference),
            "u_mass": make_topic_scorer("u_mass", n_words=4, X=reference),
            "own": make_topic_scorer(mean_weight),
        },
        refit="npmi",
        cv=folds,
        n_jobs=n_jobs,
    )
    search = clone(search).fit(TEXTS)
    assert search.best_params_ == {"lda__n_components": 2}  # pets and the sky, of which no text has both
    train, test = next(folds.split(TEXTS))
    fitted = clone(pipeline).set_params(lda__n_components=2).fit([TEXTS[i] for i in train])
    corpus = fitted[0].transform([TEXTS[i] for i in test] if reference is None else reference)
    for name, measure in [("npmi", npmi), ("u_mass", u_mass)]:
        expected = measure(fitted[-1].components_, corpus, n_words=4).mean()
        assert_allclose(search.cv_results_[f"split0_test_{name}"][1], expected, rtol=1e-12)


@pytest.mark.parametrize("routing", [False, pytest.param(True, marks=BEFORE_1_8)])
def test_cross_val_score(routing):
    with config_context(enable_metadata_routing=routing):
        model = LatentDirichletAllocation(2, random_state=0)
        scores = cross_val_score(model, csr_matrix(COUNTS), cv=2, scoring=make_topic_scorer("npmi", n_words=4))
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_scorers_can_be_pickled_and_cloned():
    model = Fitted(TOPIC_WORD).fit(None)
    for measure in ("npmi", "topic_diversity", mean_weight):
        scorer = make_topic_scorer(measure, n_words=4, X=COUNTS)
        assert pickle.loads(pickle.dumps(scorer))(model, None) == scorer(model, None)
        assert clone(scorer) is scorer  # so a large corpus is not copied for each candidate


def test_the_text_of_a_scorer():
    assert repr(make_topic_scorer("npmi")) == "make_topic_scorer('npmi', n_words=10, X=None)"
    assert repr(make_topic_scorer("c_v", n_words=5, X=COUNTS)) == "make_topic_scorer('c_v', n_words=5, X=ndarray)"


@pytest.mark.parametrize("measure", ["pmi", None, 3, ["npmi"], np.ones(2)])
def test_refused_measures(measure):
    with refused(
        "measure must be one of ['npmi', 'u_mass', 'c_v', 'topic_diversity'] or callable, but got " + repr(measure)
    ):
        make_topic_scorer(measure)


def test_scorers_refuse_n_words_when_made_and_when_called():
    with refused("n_words must be an integer >= 2, but got 1"):
        make_topic_scorer("c_v", n_words=1)
    with refused("n_words must be an integer >= 1, but got 0"):
        make_topic_scorer("topic_diversity", n_words=0)
    with refused("n_words must be an integer from 2 to the number of columns of topic_word, 7, but got 10"):
        make_topic_scorer("c_v")(Fitted(TOPIC_WORD).fit(None), COUNTS)


@pytest.mark.parametrize("estimator", [Fitted(), LatentDirichletAllocation(), make_pipeline(CountVectorizer(), NMF())])
def test_scorers_refuse_what_is_no_fitted_topic_model(estimator):
    with refused("estimator must be a fitted topic model with topic_word_ or components_, or a pipeline that ends in"):
        make_topic_scorer("npmi")(estimator, COUNTS)


def test_npmi_of_held_out_data_without_a_top_term_is_a_number_and_u_mass_is_refused():
    model = Fitted(TOPIC_WORD).fit(None)
    assert np.isfinite(make_topic_scorer("npmi", n_words=4)(model, COUNTS[4:5]))
    with refused("none holds term 0 (its column), a top term of topic 0"):
        make_topic_scorer("u_mass", n_words=4)(model, COUNTS[4:5])


def test_topics_of_a_corpus_are_more_coherent_than_mixed_ones():
    vectoriser = CountVectorizer()
    counts = vectoriser.fit_transform(TEXTS)
    terms = vectoriser.vocabulary_
    pure, mixed = (
        topic_word_of([[terms[word] for word in topic.split()] for topic in topics], len(terms))
        for topics in (("cat dog pet fur", "sun moon star sky"), ("cat dog sun moon", "pet fur star sky"))
    )
    for measure in COHERENCES:
        assert measure(pure, counts, n_words=4).min() > measure(mixed, counts, n_words=4).max()


# --- completion: the figures themselves are held to an oracle in test_topic_model_oracle.py ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"doc_topic_prior": -0.1}, r"doc_topic_prior must be .* -0\.1"),
        ({"doc_topic_prior": [0.1, 0.2, 0.3]}, r"doc_topic_prior must be .* array of 2"),
        ({"doc_topic_prior": np.nan}, r"doc_topic_prior must be .* nan"),
        ({"topic_word": [[0.0, 0.0], [0.5, 0.5]]}, "topic_word must have a positive number in each row"),
        ({"topic_word": [[-1.0, 2.0], [0.5, 0.5]]}, "topic_word"),
        ({"X": [[1, 2, 3]]}, "X has 3 columns, but topic_word has 2"),
        ({"X": [[-1, 2]]}, "X"),
        ({"X": [[np.inf, 2]]}, "X"),
    ],
)
@pytest.mark.parametrize("function", [completion_log_likelihood, completion_perplexity])
def test_completion_refuses(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**{"topic_word": [[0.5, 0.5], [0.1, 0.9]], "X": [[2, 2]], **arguments})


def test_perplexity_needs_second_halves():
    topic_word = [[0.5, 0.5], [0.1, 0.9]]
    assert_array_equal(completion_log_likelihood(topic_word, [[1, 0], [0, 0]]), 0)
    with pytest.raises(ValueError, match="no document with two tokens"):
        completion_perplexity(topic_word, [[1, 0], [0, 0]])


def test_perplexity_counts_a_document_by_its_weight():
    topic_word, X = [[0.5, 0.5], [0.1, 0.9]], csr_array([[2, 2], [1, 7], [4, 0]])
    weighted = completion_perplexity(topic_word, X, sample_weight=[1, 3, 0])
    assert weighted == pytest.approx(completion_perplexity(topic_word, X[[0, 1, 1, 1]]), rel=1e-12)
