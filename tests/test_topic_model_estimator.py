"""EMTopicModel: tables of every kind, weights, seeds and jobs, blocks, partial fits, what is given of the topics."""

import copy
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from emkit import EMTopicModel
from emkit.topic_model.fitting import Stopper

METHODS = ("map", "plsa", "vb", "cvb0")
HOLDING = METHODS[:3]  # methods that can hold topics
K, V = 3, 12


def simulated(n=60, length=20, seed=0, n_terms=V):
    """Counts (n, n_terms) from three topics of four frequent terms each."""
    rng = np.random.default_rng(seed)
    topics = np.full((K, n_terms), 0.02) + np.repeat(np.eye(K), -(-n_terms // K), axis=1)[:, :n_terms]
    mixed = rng.dirichlet(np.full(K, 0.2), n) @ topics
    return np.array([rng.multinomial(length, p / p.sum()) for p in mixed])


X = simulated()
NAMES = [f"w{v}" for v in range(V)]


def fitted(data=X, *, n_components=K, sample_weight=None, **options):
    return EMTopicModel(n_components, **{"random_state": 0, **options}).fit(data, sample_weight=sample_weight)


def assert_same(one, other, rtol=0.0):
    names = ("components_", "topic_word_", "topic_weights_", "doc_topic_prior_", "topic_word_prior_", "objective_")
    for name in (*names, "mean_document_length_"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol, err_msg=name)


def assert_sound(model, data):
    """All is finite, and shares are shares."""
    for name, value in vars(model).items():
        if name.endswith("_") and name not in ("history_", "feature_names_in_"):
            assert np.isfinite(np.asarray(value, dtype=float)).all(), name
    assert np.isfinite(model.history_["objective"]).all()
    assert_allclose(model.topic_word_.sum(axis=1), 1, rtol=1e-5)
    assert model.topic_weights_.sum() == pytest.approx(1, rel=1e-5)
    theta = model.transform(data)
    assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)
    assert theta.min() >= 0
    assert theta.max() <= 1
    assert (model.components_ >= 0).all()
    assert np.isfinite(model.score_samples(data)).all()
    assert np.isfinite([model.bic(data), model.aic(data), model.icl(data)]).all()


def long_indices(table):
    table = sp.csr_array(table)
    table.indices, table.indptr = table.indices.astype(np.int64), table.indptr.astype(np.int64)
    return table


def full(table):
    """CSR with explicit zeros."""
    n, n_terms = table.shape
    return sp.csr_array((table.ravel() + 0.0, np.tile(np.arange(n_terms), n), n_terms * np.arange(n + 1)))


def doubled(table):
    """CSR with each entry in two halves."""
    table = sp.csr_array(table, dtype=float)
    return sp.csr_array((np.repeat(table.data / 2, 2), np.repeat(table.indices, 2), 2 * table.indptr), table.shape)


def unsorted(table):
    table = sp.csr_array(table, dtype=float)
    order = np.lexsort([-table.indices, np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))])
    return sp.csr_array((table.data[order], table.indices[order], table.indptr), table.shape)


FORMS = {
    **{f"{form}_array": getattr(sp, f"{form}_array") for form in ("csr", "csc", "coo", "lil")},
    **{f"{form}_matrix": getattr(sp, f"{form}_matrix") for form in ("csr", "csc", "coo", "dok")},
    **{dtype: lambda t, d=dtype: t.astype(d) for dtype in ("uint8", "int32", "float64", "float16", "object")},
    **{f"csr {dtype}": lambda t, d=dtype: sp.csr_array(t.astype(d)) for dtype in ("uint8", "int64", "float64")},
    "int64 indices": long_indices, "explicit zeros": full, "duplicates": doubled, "unsorted": unsorted,
    "fortran": np.asfortranarray, "list": np.ndarray.tolist, "frame": pd.DataFrame,
    "sparse frame": lambda t: pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(t)),
    "frame of Int64": lambda t: pd.DataFrame(t).astype("Int64"),
}  # fmt: skip


class TestTables:
    expected = fitted(n_init=1)

    @pytest.mark.parametrize("form", FORMS)
    def test_the_same_counts_in_any_form(self, form):
        data = FORMS[form](X)
        model = fitted(data, n_init=1)
        assert_same(model, self.expected)
        assert_array_equal(model.transform(data), self.expected.transform(X))
        assert_array_equal(model.score_samples(data), self.expected.score_samples(X))

    @pytest.mark.parametrize("form", [form for form in FORMS if form != "list"])
    def test_input_is_not_modified(self, form):
        data = FORMS[form](X)
        before, model = copy.deepcopy(data), self.expected
        model.transform(data)
        model.score(data)
        fitted(data, n_init=1).partial_fit(data)
        names = [name for name in ("data", "indices", "indptr", "row", "col") if sp.issparse(data)]
        for name in names:
            assert_array_equal(getattr(data, name, None), getattr(before, name, None))
        assert_array_equal(data.toarray() if names else data, before.toarray() if names else before)

    @pytest.mark.parametrize("form", ["csr float64", "float64", "explicit zeros", "unsorted"])
    def test_read_only_memory(self, form):
        """As joblib's memory maps are."""
        data = FORMS[form](X)
        for array in (data.data, data.indices, data.indptr) if sp.issparse(data) else (data,):
            array.flags.writeable = False
        assert_same(fitted(data, n_init=1), self.expected)

    def test_bool_is_presence(self):
        assert_same(fitted(X > 0, n_init=1), fitted((X > 0).astype(int), n_init=1))
        assert_same(fitted(sp.csr_array(X > 0), n_init=1), fitted((X > 0) * 1.0, n_init=1))

    @pytest.mark.parametrize(("given", "dtype"), [("float32", "auto"), ("float64", "float32"), ("int64", "float32")])
    @pytest.mark.parametrize("method", METHODS)
    def test_single_precision(self, method, given, dtype):
        data = X.astype(given)
        model = fitted(data, method=method, dtype=dtype, n_init=1, tol=1e-3)
        assert model.components_.dtype == model.topic_word_.dtype == model.transform(data).dtype == np.float32
        assert_sound(model, data)
        assert model.objective_ == pytest.approx(fitted(method=method, n_init=1, tol=1e-3).objective_, rel=1e-3)

    @pytest.mark.parametrize("method", METHODS)
    def test_zero_rows_and_columns(self, method):
        data = np.vstack([np.zeros((2, V + 2), int), np.hstack([np.zeros((60, 2), int), X])])
        model = fitted(data, method=method, n_init=1)
        assert_sound(model, data)
        alpha = np.ones(K) if method == "plsa" else model.doc_topic_prior_
        assert_allclose(model.transform(data)[:2], np.tile(alpha / alpha.sum(), (2, 1)), rtol=1e-6)
        assert_array_equal(model.score_samples(data)[:2], 0)


class TestWeights:
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    repeated = np.random.default_rng(2).permutation(np.repeat(X, weight, axis=0))

    @pytest.mark.parametrize(
        "options", [{"n_components": 5}, {"n_init": 3}, {"background": True}, {"learn_priors": False}]
    )
    @pytest.mark.parametrize("method", METHODS)
    def test_neither_order_nor_repetition_matters(self, method, options):
        if method == "cvb0":
            options = {name: value for name, value in options.items() if name != "background"}
        order = np.random.default_rng(3).permutation(len(X))
        assert_same(fitted(X[order], method=method, **options), fitted(method=method, **options), rtol=1e-8)
        weighted = fitted(method=method, sample_weight=self.weight, **options)
        plain = fitted(self.repeated, method=method, **options)
        assert_same(weighted, plain, rtol=1e-8)
        rel = 1e-3 if method == "plsa" else 1e-8  # the log of a share that is nearly zero magnifies rounding
        for name in ("score", "bic", "aic", "icl", "perplexity"):
            got = getattr(weighted, name)(X, sample_weight=self.weight)
            assert got == pytest.approx(getattr(plain, name)(self.repeated), rel=rel)

    def test_starts_from_seed_words(self):
        data = np.array([[3, 1, 0, 0], [0, 1, 0, 3], [0, 0, 2, 5]])
        start = {"n_components": 2, "seed_words": {"one": [0, 1]}, "n_init": 1, "max_iter": 0, "learn_priors": False}
        weighted = fitted(data, sample_weight=[3, 1, 2], **start)
        assert_same(weighted, fitted(np.repeat(data, [3, 1, 2], axis=0), **start), rtol=1e-8)

    @pytest.mark.parametrize("method", METHODS)
    def test_weight_zero_is_absence(self, method):
        data = np.where(self.weight[:, None] > 0, X, 1000)
        some = fitted(data, method=method, sample_weight=self.weight)
        assert_same(some, fitted(X[self.weight > 0], method=method, sample_weight=self.weight[self.weight > 0]))

    def test_a_scalar_weight_is_that_of_all(self):
        assert_same(fitted(sample_weight=2.0), fitted(sample_weight=np.full(60, 2)))
        assert_same(fitted(sample_weight=2), fitted(np.repeat(X, 2, axis=0)), rtol=1e-8)
        assert_same(fitted(sample_weight=1), fitted())
        assert fitted().score(X, sample_weight=0.1) == pytest.approx(fitted().score(X))


class TestChance:
    large = simulated(3000, 8, n_terms=6)

    @pytest.mark.parametrize(
        "options", [{}, {"n_init": 2}, {"method": "vb"}, {"early_stopping": True}, {"batch_size": 7}]
    )
    def test_same_seed_same_bits(self, options):
        assert_same(fitted(**options), fitted(**options))
        one, other = fitted(**options), fitted(random_state=np.random.RandomState(0), **options)
        assert_same(one, other)
        assert (fitted(random_state=1, **options).components_ != one.components_).any()

    @pytest.mark.parametrize("options", [{}, {"n_init": 2}, {"method": "vb"}, {"method": "cvb0"}, {"batch_size": 500}])
    @pytest.mark.parametrize("size", ["small", "large", "blocks"])
    def test_jobs(self, size, options):
        data = {"small": X, "large": self.large, "blocks": lambda: np.array_split(self.large, 7)}[size]
        one, two = (fitted(data, n_components=2, n_jobs=n_jobs, **options) for n_jobs in (1, 2))
        assert_same(one, two)
        assert_array_equal(one.history_["objective"], two.history_["objective"])
        if callable(data):
            assert_array_equal(one.transform(data), one.transform(self.large.astype(one.transform(data).dtype)))

    def test_integers_of_many_documents_are_single_precision(self):
        model = fitted(self.large, n_components=2)
        assert model.components_.dtype == model.transform(self.large).dtype == np.float32
        assert_sound(model, self.large)

    @pytest.mark.parametrize("n_chunks", [1, 5])
    @pytest.mark.parametrize("method", METHODS)
    def test_the_number_of_chunks_does_not_matter(self, method, n_chunks, monkeypatch):
        expected = fitted(method=method, n_init=1)
        monkeypatch.setattr("emkit.topic_model.documents.N_CHUNKS", n_chunks)
        assert_same(fitted(method=method, n_init=1), expected, rtol=1e-8)


class Blocks:
    """Documents by blocks, empty ones between them; how often they were asked for, and how many live at a time."""

    def __init__(self, data, size):
        self.data, self.size, self.n_calls, self.made, self.most = data, size, 0, [], 0

    def __call__(self):
        self.n_calls += 1
        yield self.data[:0]
        for start in range(0, len(self.data), self.size):
            block = self.data[start : start + self.size].copy()
            self.made = [made for made in self.made if made() is not None] + [weakref.ref(block)]
            self.most = max(self.most, len(self.made))
            yield block
            del block
            yield self.data[:0]


class TestBlocks:
    table = X.astype(float)  # integers by blocks are single precision

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("size", [1, 7, 60])
    def test_blocks_of_any_size(self, method, size):
        blocks = Blocks(self.table, size)
        model = fitted(blocks, method=method, n_init=1)
        assert_sound(model, self.table)
        assert_allclose(model.transform(blocks), model.transform(self.table), rtol=1e-12)
        assert_array_equal(model.predict(blocks), model.predict(self.table))
        assert_allclose(model.score_samples(blocks), model.score_samples(self.table), rtol=1e-12)
        assert model.perplexity(blocks) == pytest.approx(model.perplexity(self.table), rel=1e-12)
        assert model.mean_document_length_ == 20
        assert model.score(self.table) == pytest.approx(fitted(method=method, n_init=1).score(X), rel=0.05)

    def test_weights(self):
        weight = np.random.default_rng(0).integers(0, 3, 60).astype(float)
        options = {"n_init": 1, "max_iter": 5, "tol": 0, "components_init": X[:K] + 0.5, "learn_priors": False}
        by_blocks = fitted(Blocks(self.table, 7), sample_weight=weight, **options)
        assert_same(by_blocks, fitted(lambda: [self.table], sample_weight=weight, **options), rtol=1e-8)
        assert by_blocks.score(Blocks(self.table, 7), sample_weight=weight) == by_blocks.score(
            self.table, sample_weight=weight
        )

    @pytest.mark.parametrize("block", [sp.csr_array, sp.coo_matrix, pd.DataFrame])
    def test_blocks_of_any_kind(self, block):
        model = fitted(lambda: (block(part) for part in np.split(self.table, 3)), n_init=1)
        assert_same(model, fitted(lambda: np.split(self.table, 3), n_init=1))

    @pytest.mark.parametrize("n_jobs", [1, 2])
    @pytest.mark.parametrize("method", METHODS)
    def test_few_are_in_memory_at_a_time(self, method, n_jobs):
        blocks = Blocks(simulated(3000, 5), 50)
        model = EMTopicModel(2, method=method, random_state=0, n_init=1, max_iter=2, tol=0, n_jobs=n_jobs).fit(blocks)
        model.partial_fit(blocks).transform(blocks)
        assert blocks.most <= 8


class TestPartialFit:
    @pytest.mark.parametrize("method", METHODS)
    def test_from_nothing(self, method):
        online = EMTopicModel(K, method=method, random_state=0)
        for part in np.split(simulated(1000), [600, 700, 800, 900]):
            online.partial_fit(part)
        assert_sound(online, X)
        at_once = fitted(simulated(1000), method=method, max_iter=30, tol=0)  # as many steps as the first call has
        assert online.score(X) == pytest.approx(at_once.score(X), rel=0.05)

    def test_parts_count(self):
        online = EMTopicModel(K, random_state=0, batch_size=10).partial_fit(X[:20])
        assert online.get_params() == EMTopicModel(K, random_state=0, batch_size=10).get_params()
        n_iter = online.n_iter_
        assert online.partial_fit(X[20:]).n_iter_ == n_iter + 4
        assert online.mean_document_length_ == 20
        assert online.partial_fit(X[:20] * 2, sample_weight=np.full(20, 3)).mean_document_length_ == 30

    def test_after_a_fit_and_on_blocks(self):
        model = fitted()
        before = copy.deepcopy(model)
        model.partial_fit(X[:1])
        assert 0 < np.abs(model.topic_word_ - before.topic_word_).max() < 0.05
        one, other = copy.deepcopy(before), copy.deepcopy(before)
        one.partial_fit(Blocks(X, 20))
        for part in np.split(X, 3):
            other.partial_fit(part)
        assert_same(one, other, rtol=1e-12)
        assert_same(before.fit(X), fitted())

    def test_held_topics_stay(self):
        given = {"components_init": X[:1] + 0.5, "fixed": ("components",)}
        online = fitted(**given).partial_fit(X[:20])
        assert_allclose(online.topic_word_[0], (X[0] + 0.5) / (X[0] + 0.5).sum(), rtol=1e-12)


class TestGiven:
    given = X[:2] + 0.5

    @pytest.mark.parametrize("scale", [1, 1e-3, 2.0**-200, 2.0**200])
    @pytest.mark.parametrize("method", HOLDING)
    def test_fixed_topics_stay_and_their_scale_says_nothing(self, method, scale):
        options = {"method": method, "fixed": ("components",), "learn_priors": False, "n_init": 1}
        model = fitted(components_init=self.given * scale, **options)
        shares = self.given / self.given.sum(axis=1, keepdims=True)
        assert_allclose(model.topic_word_[:2], shares, rtol=1e-14)
        assert np.abs(model.topic_word_[2] - shares).max() > 0.05
        assert model.n_parameters_ == V - 1
        assert_allclose(model.topic_word_, fitted(components_init=self.given, **options).topic_word_, rtol=1e-6)

    @pytest.mark.parametrize("method", HOLDING)
    def test_all_topics_fixed(self, method):
        given = np.vstack([self.given, X[2:3] + 0.5])
        model = fitted(method=method, components_init=given, fixed=("components",))
        assert_allclose(model.topic_word_, given / given.sum(axis=1, keepdims=True), rtol=1e-14)
        assert model.n_parameters_ == 0
        assert_sound(model, X)

    def test_the_learned_prior_stays_even_where_all_topics_are_given(self):
        free = fitted()
        assert np.ptp(free.doc_topic_prior_) > 0.05
        prior = fitted(components_init=free.components_).doc_topic_prior_
        assert np.ptp(prior) == 0
        assert prior[0] != 1 / K

    @pytest.mark.parametrize("method", HOLDING)
    def test_background_is_the_corpus(self, method):
        model = fitted(method=method, n_components=4, background=True)
        assert_allclose(model.topic_word_[0], X.sum(axis=0) / X.sum(), atol=1e-3)
        assert model.n_parameters_ == 3 * (V - 1)
        assert_sound(model, X)

    @pytest.mark.parametrize("shape", [(V,), (K, V)])
    def test_prior_arrays_are_kept(self, shape):
        prior = np.random.default_rng(0).random(shape)
        model = fitted(topic_word_prior=prior, doc_topic_prior=[0.1, 0.2, 0.3], learn_priors="topic_word")
        assert_array_equal(model.doc_topic_prior_, [0.1, 0.2, 0.3])
        assert_array_equal(np.broadcast_to(model.topic_word_prior_, (K, V)), np.broadcast_to(prior, (K, V)))
        assert fitted(learn_priors="doc_topic").topic_word_prior_ == 1 / 3
        assert_array_equal(fitted(learn_priors=False).doc_topic_prior_, 1 / 3)

    @pytest.mark.parametrize("others", ["none", "empty", "rare"])
    @pytest.mark.parametrize("prior", [-0.5, -0.1])
    def test_negative_prior_makes_sparse_topics(self, prior, others):
        more = {"none": np.zeros((60, 0)), "empty": np.zeros((60, 2)), "rare": np.eye(60, 30)}[others]
        model = fitted(np.hstack([X, more]), topic_word_prior=prior)
        assert (model.topic_word_[:, :V] == 0).any()
        assert_sound(model, np.hstack([X, more]))

    @pytest.mark.parametrize("options", [{"method": "plsa"}, {"topic_word_prior": 0, "learn_priors": False}])
    def test_rare_terms_of_a_large_corpus(self, options):
        data = np.hstack([simulated(4000, 8), np.zeros((4000, 20), int)])
        data[np.arange(20) * 200, np.arange(V, V + 20)] = 1
        assert np.isfinite(fitted(data, n_init=1, max_iter=20, tol=0, **options).objective_)

    def test_a_topic_of_prior_zero_can_be_used(self):
        model = fitted(doc_topic_prior=[0, 0.1, 0.1], learn_priors=False)
        assert model.topic_weights_[0] > 0.1


class TestStops:
    def test_early_stopping_returns_the_best(self, monkeypatch):
        seen = []
        monkeypatch.setattr(Stopper, "_score", lambda _, params: seen.append(params) or -abs(len(seen) - 5))
        options = {"components_init": X[:K] + 0.5, "tol": 0, "early_stopping": True, "n_iter_no_change": 3}
        model = fitted(**options)
        assert (model.n_iter_, model.converged_, len(seen)) == (7, True, 8)
        assert_array_equal(model.components_, seen[4].pseudo_counts.T)
        assert model.objective_ == pytest.approx(model.history_["objective"][4], abs=0.1)
        assert_sound(model, X)

    @pytest.mark.parametrize("method", METHODS)
    def test_early_stopping_stops(self, method):
        assert fitted(method=method, early_stopping=True, tol=0, n_init=1).n_iter_ < 1000


@pytest.mark.parametrize("options", [{}, {"seed_words": {"one": [0, 1]}}])
def test_a_continued_fit_keeps_the_priors_that_were_learned(options):
    model = fitted(warm_start=True, **options)
    alpha, eta, objective = model.doc_topic_prior_, model.topic_word_prior_, model.objective_
    model.set_params(random_state=7).fit(X)
    assert_array_equal(model.doc_topic_prior_, alpha)
    assert_array_equal(model.topic_word_prior_, eta)
    assert model.objective_ >= objective - 0.01 * len(X)  # documents begin anew; tol is 0.01 for each
