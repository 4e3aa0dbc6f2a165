"""The parts of topic models: chunks of documents, reading, starts, merging, mini-batches; and the hooks they use."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare
from test_restarts import Landscape, Place, find, settings

from emkit import EMTopicModel, selection
from emkit.chunks import CHUNK_ROWS, BlockSource
from emkit.executors import Serial
from emkit.kernels.padding import CACHE_LINE, aligned_zeros, padded, padded_width
from emkit.restarts import both, run_one, short_starts
from emkit.topic_model.documents import ENTRIES_PER_TERM, N_CHUNKS, Kept, as_chunks, documents_of, joined, split
from emkit.topic_model.merging import merged
from emkit.topic_model.methods import METHODS
from emkit.topic_model.model import TopicModel, TopicModelStats
from emkit.topic_model.options import Given
from emkit.topic_model.reading import FEW, Dtypes, random_documents, read_corpus, read_table
from emkit.topic_model.schedule import N_CHUNKS as N_PIECES
from emkit.topic_model.schedule import Batches, _in_batches, batches_for, run_stepwise
from emkit.topic_model.starts import NEIGHBOURS, Starts

DTYPES = [np.float64, np.float32]


def counts_of(n=11, n_terms=7, seed=0, density=0.5):
    """Counts, some of them fractions; a document or term may have none."""
    rng = np.random.default_rng(seed)
    return rng.choice([1, 2, 2.5, 7], (n, n_terms)) * (rng.random((n, n_terms)) < density)


def table_of(counts, dtype=np.float64):
    return sp.csr_array(np.asarray(counts, dtype))


def dense(chunks):
    return np.concatenate([chunk.table.toarray() for chunk in chunks])


def weights(chunks):
    return np.concatenate([chunk.weight for chunk in chunks])


# --- documents ---


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("dtype", DTYPES)
def test_documents_of(dtype, kind):
    counts, weight = counts_of(), np.linspace(0, 3, 11)
    chunk = documents_of(kind(counts.astype(dtype)), weight, 3)
    assert_array_equal(chunk.table.toarray(), counts)
    assert_array_equal(chunk.weight, weight.astype(dtype))
    assert (len(chunk), chunk.n_terms, chunk.place, chunk.dtype) == (11, 7, 3, dtype)
    assert [a.dtype for a in (chunk.starts, chunk.terms, chunk.counts, chunk.weight)] == [
        np.intp,
        np.int32,
        dtype,
        dtype,
    ]
    plain = documents_of(kind(counts.astype(dtype)))
    assert_array_equal(plain.weight, np.ones(11))
    assert plain.place is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_documents(dtype):
    counts, weight = counts_of(), np.linspace(0, 3, 11).astype(dtype)
    chunk = documents_of(table_of(counts, dtype), weight)
    assert_array_equal(chunk.lengths, counts.sum(axis=1))
    assert_allclose(chunk.term_counts, weight.astype(np.float64) @ counts, rtol=1e-14)
    assert chunk.lengths.dtype == chunk.term_counts.dtype == np.float64
    assert chunk.term_counts.shape == (7,)


def test_sums_are_in_double_precision():
    """In single precision 2^24 + 1 is 2^24."""
    chunk = documents_of(table_of([[2**24, 1, 1], [1, 0, 0]], np.float32))
    assert_array_equal(chunk.lengths, [2**24 + 2, 1])
    assert_array_equal(chunk.term_counts, [2**24 + 1, 1, 1])


def test_take():
    counts, index = counts_of(), np.array([7, 2, 2, 10])
    chunk = documents_of(table_of(counts), np.arange(11.0), 4)
    assert len(chunk.lengths) == 11
    part = chunk.take(index)
    assert_array_equal(part.table.toarray(), counts[index])
    assert_array_equal(part.weight, index)
    assert_array_equal(part.lengths, counts[index].sum(axis=1))
    assert part.place is None  # nothing is kept of them


@pytest.mark.parametrize("dtype", DTYPES)
def test_reweighted(dtype):
    counts = counts_of()
    chunk = documents_of(table_of(counts, dtype), place=4)
    assert_allclose(chunk.term_counts, counts.sum(axis=0))
    again = chunk.reweighted(np.arange(22)[::2])
    assert again.weight.dtype == dtype
    assert_array_equal(again.weight, np.arange(22)[::2])
    assert_allclose(again.term_counts, np.arange(22)[::2] @ counts)
    assert_allclose(chunk.term_counts, counts.sum(axis=0))
    assert again.counts is chunk.counts
    assert again.place == 4


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 4, 11, 20])
def test_split(rows, dtype, weighted):
    table, weight = table_of(counts_of(), dtype), np.arange(11.0) if weighted else None
    pieces = list(split(table, weight, rows))
    assert [len(piece) for piece in pieces] == [rows] * (11 // rows) + [11 % rows] * (11 % rows > 0)
    assert_array_equal(dense(pieces), table.toarray())
    assert_array_equal(weights(pieces), np.arange(11) if weighted else np.ones(11))
    assert all(piece.place is None and piece.starts[0] == 0 and piece.dtype == dtype for piece in pieces)
    assert all(piece.weight.dtype == dtype for piece in pieces)
    assert all(np.shares_memory(piece.counts, table.data) for piece in pieces if piece.counts.size)
    whole = joined(iter(pieces))
    assert_array_equal(whole.table.toarray(), table.toarray())
    assert_array_equal(whole.weight, weights(pieces))
    assert whole.place is None
    assert whole.starts.dtype == np.intp


def test_nothing_to_split():
    assert list(split(sp.csr_array((0, 7)), None)) == []


def test_one_chunk_joined_is_not_copied():
    chunk = documents_of(table_of(counts_of()), place=2)
    assert joined([chunk]).counts is chunk.counts
    assert joined([chunk]).place is None


@pytest.mark.parametrize(
    ("n", "n_terms", "n_chunks"),
    [(1, 3, 1), (20, 5, 2), (20, 1, 2), (39, 1, 3), (40, 1, 4), (500, 1, 4), (3 * N_CHUNKS * CHUNK_ROWS, 1, 12)],
)
def test_number_of_chunks(n, n_terms, n_chunks):
    """By the number of entries for each term, but no more than 10,000 documents in each."""
    table = sp.csr_array((np.ones(n * n_terms), np.tile(np.arange(n_terms), n), np.arange(n + 1) * n_terms))
    chunks = as_chunks(table, None)
    assert len(chunks) == n_chunks
    assert [chunk.place for chunk in chunks] == list(range(n_chunks))
    assert sum(map(len, chunks)) == n
    assert max(map(len, chunks)) <= CHUNK_ROWS


@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_depend_on_the_table_alone(dtype):
    counts = counts_of(200)
    assert (counts > 0).sum() > 2 * ENTRIES_PER_TERM * 7
    expected = as_chunks(table_of(counts), None)
    for weight in (None, np.zeros(200), np.arange(200.0)):
        chunks = as_chunks(table_of(3 * counts, dtype), weight)
        assert [len(chunk) for chunk in chunks] == [len(chunk) for chunk in expected]
        assert [chunk.place for chunk in chunks] == list(range(len(chunks)))
        assert_array_equal(dense(chunks), 3 * counts)
        assert_array_equal(weights(chunks), np.ones(200) if weight is None else weight)


def test_kept():
    first, second, other = np.zeros((2, 3)), np.ones((4, 3)), np.full((1, 3), 2.0)
    kept = Kept({0: first}) + Kept({3: second}) + Kept()
    assert kept.by_place.keys() == {0, 3}
    chunk = documents_of(table_of(counts_of()))
    places = {place: kept.of(documents_of(chunk.table, place=place)) for place in (None, 0, 1, 3)}
    assert [places[None], places[1]] == [None, None]
    assert places[0] is first
    assert places[3] is second
    given = {0: other}
    assert Kept(given).by_place is not given
    stats = TopicModelStats(1.0, 2.0, np.ones((7, 3)), Kept({0: first}))
    total = (stats + TopicModelStats(1.0, 2.0, np.ones((7, 3)), Kept({1: second}))) * 0.5
    assert_array_equal(total.counts, np.ones((7, 3)))
    assert total.weight == 2
    assert total.kept.by_place[0] is first  # and no half of it
    assert total.kept.by_place[1] is second


# --- reading ---


def numbered(n, n_terms=3):
    """Document i has i + 1 tokens of term 0, and the weight i + 1."""
    counts = np.zeros((n, n_terms))
    counts[:, 0] = np.arange(1, n + 1)
    return table_of(counts), np.arange(1.0, n + 1)


@pytest.mark.parametrize("rows", [3, 7, 20])
def test_random_documents_are_equally_likely(rows):
    """Chunks shorter and longer than the sample, more of them than are held at a time."""
    rng, n_draws, n = np.random.default_rng(0), 600, 5
    chunks = list(split(*numbered(20), rows))
    hits = np.zeros(20)
    for _ in range(n_draws):
        sample = joined(random_documents(chunks, n, 20, rng))
        assert len(set(sample.lengths)) == n
        hits[sample.lengths.astype(int) - 1] += 1
    # hits of a draw are n of 20 without replacement: their variance is 15/19 of that of a multinomial
    assert chisquare(hits).pvalue > 1e-3
    assert chisquare(hits).statistic > 19 * 15 / 19 - 3 * math.sqrt(2 * 19)


@pytest.mark.parametrize("n", [1, 4, 19, 20, 50])
def test_random_documents(n):
    source = split(*numbered(20), 6)  # an iterator, so that there is one pass
    sample = random_documents(source, n, 20, np.random.default_rng(1))
    assert next(source, None) is None
    whole = joined(sample)
    assert len(whole) == min(n, 20)
    assert_array_equal(whole.weight, whole.lengths)  # each with its own weight
    assert_array_equal(whole.lengths, np.unique(whole.lengths))  # in their order
    places = [chunk.place for chunk in sample]
    assert max(places) < 0
    assert len(set(places)) == len(places)


RAW = np.array([[0, 3, 0, 1.5], [2, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 4]])


def untidy(kind=sp.csr_array, dtype=np.float64):
    """The same table with columns out of order, a count in two parts, and a zero that is written."""
    data = np.array([1.5, 1, 2, 0, 2, 4, 1, 1], dtype=dtype)
    return kind((data, np.array([3, 1, 1, 2, 0, 3, 1, 0]), np.array([0, 4, 5, 5, 8])), shape=(4, 4))


def with_a_zero():
    return sp.csr_array((np.array([2.0, 0, 1]), np.array([0, 2, 3]), np.array([0, 2, 3])), shape=(2, 4))


TABLES = {
    "untidy array": untidy,
    "untidy matrix": lambda: untidy(sp.csr_matrix),
    "untidy float32": lambda: untidy(dtype=np.float32),
    "untidy coo": lambda: untidy().tocoo(),
    "csc": lambda: sp.csc_array(RAW),
    "lil": lambda: sp.lil_array(RAW),
    "csr": lambda: sp.csr_array(RAW),
    "dense": lambda: RAW,
    "list": RAW.tolist,
    "frame": lambda: pd.DataFrame(RAW),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("dtype", ["auto", "float32", "float64"])
def test_read_table(name, dtype):
    X = TABLES[name]()
    table = read_table(EMTopicModel(2), X, Dtypes.of(dtype, np.float64), reset=True)
    assert isinstance(table, sp.csr_array)
    assert_array_equal(table.toarray(), RAW)
    assert_array_equal(table.indices, [1, 3, 0, 0, 1, 3])
    assert_array_equal(table.indptr, [0, 2, 3, 3, 6])
    assert table.dtype == ((np.float32 if name == "untidy float32" else np.float64) if dtype == "auto" else dtype)


@pytest.mark.parametrize("name", [*(name for name in TABLES if name not in ("dense", "list", "frame")), "zero"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_reading_leaves_the_input_as_it_was(name, dtype):
    X = {**TABLES, "zero": with_a_zero}[name]()
    names = [part for part in ("data", "indices", "indptr", "row", "col") if hasattr(X, part)]
    before = [getattr(X, part).copy() for part in names]
    read_table(EMTopicModel(2), X, Dtypes.of(dtype, np.float64), reset=True)
    for part, values in zip(names, before, strict=True):
        assert_array_equal(getattr(X, part), values)


def test_a_read_only_table():
    """As joblib and memory maps give it."""
    X = untidy()
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert_array_equal(read_table(EMTopicModel(2), X, Dtypes.of("auto", np.float64), reset=True).toarray(), RAW)


def test_a_tidy_table_is_not_copied():
    X = sp.csr_array(RAW)
    assert np.shares_memory(read_table(EMTopicModel(2), X, Dtypes.of("auto", np.float64), reset=True).data, X.data)


@pytest.mark.parametrize(("n", "dtype"), [(FEW - 1, np.float64), (FEW, np.float32)])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_many_integer_counts_are_read_in_single_precision(kind, n, dtype):
    X = np.ones((n, 2), dtype=np.int64)
    assert read_corpus(EMTopicModel(2), kind(X), None, reset=True, dtype="auto")[0].dtype == dtype


# --- starts ---


def model_of(k, n_terms=12, **options):
    return TopicModel(METHODS["map"], np.full(k, 0.1), np.full((1, 1), 0.05), np.dtype(np.float64), **options)


def corpus(n=40, n_terms=12):
    """Documents of three themes, of different lengths."""
    rng = np.random.default_rng(5)
    themes = rng.dirichlet(np.full(n_terms, 0.3), 3)
    return np.stack([rng.multinomial(rng.integers(5, 30), themes[i % 3]) for i in range(n)]).astype(float)


def started(way, chunks, k=3, given=None, number=0, **options):
    starts = Starts(model_of(k, **options), chunks, given)
    return getattr(starts, way)(number, np.random.default_rng(7)).pseudo_counts


@pytest.mark.parametrize("number", range(len(NEIGHBOURS)))
@pytest.mark.parametrize("way", ["seeded", "draw"])
def test_a_start_does_not_depend_on_the_order_of_documents(way, number):
    counts = corpus()
    weight = np.random.default_rng(3).integers(1, 4, 40).astype(float)
    expected = started(way, as_chunks(table_of(counts), weight), number=number)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(40)
        chunks = split(table_of(counts[order]), weight[order], 7 + seed)
        assert_allclose(started(way, chunks, number=number), expected, rtol=1e-12)


@pytest.mark.parametrize("number", range(len(NEIGHBOURS)))
@pytest.mark.parametrize("way", ["seeded", "draw"])
def test_a_weight_is_a_repetition_at_a_start(way, number):
    counts, repeats = corpus(), np.random.default_rng(3).integers(0, 4, 40)
    weighted = as_chunks(table_of(counts), repeats.astype(float))
    repeated = as_chunks(table_of(np.repeat(counts, repeats, axis=0)), None)
    expected = started(way, repeated, number=number)
    assert_allclose(started(way, weighted, number=number), expected, rtol=1e-12 if way == "seeded" else 1e-8)


@pytest.mark.parametrize("way", ["seeded", "draw"])
@pytest.mark.parametrize("k", [4, 9])
def test_more_topics_than_distinct_documents(k, way):
    counts = np.repeat(np.eye(3, 5) * 4 + 1, 4, axis=0)
    for number in range(3):
        topics = started(way, as_chunks(table_of(counts), None), k, number=number)
        assert topics.shape == (5, k)
        assert np.isfinite(topics).all()
        assert (topics > 0).all()
        shares = topics / topics.sum(axis=0)
        apart = np.abs(shares[:, :, None] - shares[:, None]).max(axis=0) + np.eye(k)
        assert apart.min() > 1e-9


def test_starts_differ():
    chunks = as_chunks(table_of(corpus()), None)
    topics = [started("seeded", chunks, number=number) for number in range(3)]
    assert all((a != b).any() for a, b in ((topics[0], topics[1]), (topics[1], topics[2])))


def test_given_topics_come_first():
    counts = corpus()
    components, columns = np.random.default_rng(2).uniform(0.1, 1, (2, 12)) * [[1], [100]], np.array([3, 8])
    given = Given(components, (columns,))
    topics = started("seeded", as_chunks(table_of(counts), None), 5, given) - 0.05
    shares = topics / topics.sum(axis=0)
    assert_allclose(topics.sum(axis=0), counts.sum() / 5)
    assert_allclose(shares[:, :2], (components / components.sum(axis=1, keepdims=True)).T)
    holds = counts[:, columns].sum(axis=1) @ counts
    assert_allclose(shares[:, 2], (holds / holds.sum() + np.isin(np.arange(12), columns) / 2) / 2)


def test_held_topics_come_first():
    components = np.random.default_rng(2).uniform(0.1, 1, (2, 12)) * [[1], [100]]
    held = {"held": components.T, "is_held": np.ones(2, dtype=bool)}
    for way in ("seeded", "draw"):
        topics = started(way, as_chunks(table_of(corpus()), None), 5, Given(components), **held)
        assert_array_equal(topics[:, :2], components.T)
        assert np.isfinite(topics).all()


# --- merging ---


def topics_of(m, seed=0):
    return np.random.default_rng(seed).gamma(0.3, 20, (30, m))


@pytest.mark.parametrize(("m", "k", "n_held"), [(5, 5, 0), (5, 3, 0), (9, 2, 0), (6, 1, 0), (9, 5, 2), (4, 3, 1)])
def test_merged_topics_have_the_same_total(m, k, n_held):
    counts = topics_of(m)
    before = counts.copy()
    topics = merged(counts, k, n_held)
    assert topics.shape == (30, k)
    assert_allclose(topics.sum(axis=1), counts.sum(axis=1), rtol=1e-13)
    assert_array_equal(topics[:, :n_held], counts[:, :n_held])
    assert_array_equal(counts, before)


@pytest.mark.parametrize("scale", [1.0, 0.01, 30.0])
@pytest.mark.parametrize(("one", "other"), [(0, 5), (2, 3), (1, 4)])
def test_copies_are_merged_first(one, other, scale):
    counts = topics_of(6)
    counts[:, other] = counts[:, one] * scale
    rest = [k for k in range(6) if k not in (one, other)]
    expected = {tuple(counts[:, k]) for k in rest} | {tuple(counts[:, one] + counts[:, other])}
    assert set(map(tuple, merged(counts, 5).T)) == expected


def test_a_held_topic_is_not_merged_with_its_copy():
    counts = topics_of(6)
    counts[:, 4] = counts[:, 0]
    assert_array_equal(merged(counts, 5, 1)[:, 0], counts[:, 0])
    assert any((merged(counts, 5, 1)[:, 1:] == counts[:, [4]]).all(axis=0))


@pytest.mark.parametrize("k", [2, 4, 7])
def test_merging_does_not_depend_on_the_order_of_topics(k):
    counts = topics_of(9)
    expected = merged(counts, k)
    for seed in range(5):
        topics = merged(counts[:, np.random.default_rng(seed).permutation(9)], k)
        assert_allclose(topics[:, np.argsort(topics[0])], expected[:, np.argsort(expected[0])], rtol=1e-13)


def test_empty_topics_are_merged():
    counts = topics_of(6)
    counts[:, 2:4] = 0
    topics = merged(counts, 4)
    assert np.isfinite(topics).all()
    assert_allclose(topics.sum(), counts.sum())


# --- mini-batches ---


def test_size_of_batches():
    for n in (2000, 7601, 7999, 8001, 15_000, 20_000, 20_001, 1_000_003):
        batches = batches_for(n, 3.0, np.ones(1), None)
        assert batches.total == 3
        assert 20 <= -(-n // batches.size) <= 50
    assert batches_for(15_000, 1.0, np.ones(1), None).size == 400
    assert batches_for(1, 1.0, np.ones(1), None).size == 1
    assert batches_for(100, 1.0, np.ones(1), 30).size == 30
    assert batches_for(100, 1.0, np.ones(1), 1000).size == 100


@pytest.mark.parametrize("size", [1, 4, 7, 100])
@pytest.mark.parametrize("in_memory", [True, False])
def test_each_document_is_in_one_batch(in_memory, size):
    rng, chunks = np.random.default_rng(0), list(split(*numbered(23), 9))
    orders = []
    for _ in range(2):
        batches = list(_in_batches(chunks if in_memory else iter(chunks), size, rng))
        assert max(map(len, batches)) <= size
        orders.append(np.concatenate([batch.lengths for batch in batches]))
        assert_array_equal(np.sort(orders[-1]), np.arange(1, 24))
        assert_array_equal(weights(batches), orders[-1])
    assert (orders[0] != orders[1]).any() == in_memory


class Recorder:
    """An executor that knows the lengths of the documents of each sum, and in how many chunks they came."""

    def __init__(self):
        self.sums = []

    def sum(self, function, chunks):
        chunks = list(chunks)
        self.sums.append((np.concatenate([chunk.lengths for chunk in chunks]), len(chunks)))
        return Serial().sum(function, chunks)


def test_stepwise_passes_over_all_documents():
    chunks, model, recorder = list(split(*numbered(23), 9)), model_of(2), Recorder()
    params = model.params(np.random.default_rng(0).uniform(1, 2, (3, 2)))
    batches = Batches(size=5, total=276.0, term_counts=np.ones(3), n_passes=3)
    after = run_stepwise(model, params, chunks[:1], chunks, batches, np.random.default_rng(0), recorder)
    first, *rest = recorder.sums
    assert_array_equal(first[0], np.arange(1, 10))  # the sample
    assert [len(lengths) for lengths, _ in rest] == [5, 5, 5, 5, 3] * 3
    assert {pieces for _, pieces in rest} == {N_PIECES}
    for number in range(3):
        seen = np.concatenate([lengths for lengths, _ in rest[5 * number : 5 * number + 5]])
        assert_array_equal(np.sort(seen), np.arange(1, 24))
    assert np.isfinite(after.pseudo_counts).all()
    assert after.kept.by_place == {}


# --- from a sample to all rows ---


class Carried(Landscape):
    def carry_over(self, params, rng, executor):
        self.__dict__.setdefault("carried", []).append((params, rng, executor))
        return Place(3, np.array(0.5))


HEIGHTS = [1.0, 5.0, 3.0, 0.5]


@pytest.mark.parametrize("plan", [None, short_starts])
def test_a_run_on_a_sample_is_carried_over_once(plan):
    problem = Carried(HEIGHTS, draws=[0, 1, 2] * 4, sampled=7)
    found = find(problem, plan, n_starts=3)
    ((params, rng, executor),) = problem.carried
    assert params.hill == 1
    assert params.distance < 1
    assert any(rng is other for other in problem.generators)  # the start's own
    assert callable(executor.sum)
    assert found.best.number == 1
    assert found.best.result.params.hill == 3  # it went on from there
    assert found.best.result.stats.weight == 20


@pytest.mark.parametrize("plan", [None, short_starts])
def test_nothing_is_carried_over_without_a_sample(plan):
    problem = Carried(HEIGHTS, draws=[0, 1, 2] * 4)
    assert find(problem, plan, n_starts=3).best.result.params.hill == 1
    assert not hasattr(problem, "carried")


def test_an_only_start_is_not_carried_over():
    problem = Carried(HEIGHTS, sampled=7)
    run_one(problem, Place(1, np.array(1.0)), settings(), np.random.default_rng(0))
    assert not hasattr(problem, "carried")


def test_each_run_that_may_win_is_carried_over_once():
    problem = Carried([5.0, 5.0, 1.0, 0.5], draws=[0, 1, 2] * 4, sampled=7)
    find(problem, n_starts=3)
    assert sorted(params.hill for params, _, _ in problem.carried) == [0, 1]


# --- two that watch ---


def watcher(seen, stop_at=math.inf):
    def watch(number):
        def listen(step, params):
            seen.append((number, step.iteration))
            return step.iteration >= stop_at

        return listen

    return watch


@pytest.mark.parametrize(("one", "other"), [(3, math.inf), (math.inf, 3), (3, 3), (3, 8)])
def test_either_of_two_stops_a_run(one, other):
    seen = [], []
    watch = both(watcher(seen[0], one), watcher(seen[1], other))
    found = run_one(Landscape([1.0]), Place(0, np.array(1.0)), settings(tol=0, watch=watch), np.random.default_rng(0))
    assert found.best.result.n_iter == 3
    assert seen[0] == seen[1] == [(0, i) for i in range(len(seen[0]))]
    assert seen[0][-1] == (0, 3)


def test_two_of_which_one_or_none_watches():
    silent, seen = (lambda number: None), []
    for watch in (both(silent, watcher(seen, 2)), both(watcher(seen, 2), silent)):
        assert [watch(5)(step, None) for step in (Step(0), Step(1), Step(2))] == [False, False, True]
    assert seen == [(5, 0), (5, 1), (5, 2)] * 2
    assert not both(silent, silent)(0)(Step(9), None)


class Step:
    def __init__(self, iteration):
        self.iteration = iteration


# --- blocks of sparse rows ---


@pytest.mark.parametrize("weighted", [False, True])
def test_block_source_with_a_split_of_its_own(weighted):
    counts, weight = counts_of(12), np.array([1.0, 0, 2, 0, 0, 0, 0, 0, 1, 1, 0, 3])
    blocks = [counts[:5], counts[5:5], counts[5:8], counts[8:]]
    calls = []

    def in_threes(table, weight):
        calls.append(table.shape)
        return split(table, weight, 3)

    source = BlockSource(
        lambda: iter(blocks), table_of, weight if weighted else None, np.dtype(np.float64), 7, in_threes
    )
    kept = weight > 0 if weighted else np.ones(12, dtype=bool)
    for _ in range(2):
        chunks = list(source)
        assert_array_equal(dense(chunks), counts[kept])
        assert_array_equal(weights(chunks), weight[kept] if weighted else np.ones(12))
        assert [len(chunk) for chunk in chunks] == ([2, 2, 1] if weighted else [3, 2, 3, 3, 1])
        assert all(chunk.place is None for chunk in chunks)
    assert calls == [(5, 7), (0, 7), (3, 7), (4, 7)] * 2


# --- padding ---


@pytest.mark.parametrize(("dtype", "widths"), [(np.float64, [0, 4, 4, 8, 12]), (np.float32, [0, 8, 8, 8, 16])])
def test_padded_width(dtype, widths):
    assert [padded_width(n, dtype) for n in (0, 1, 4, 5, 9)] == widths


@pytest.mark.parametrize("dtype", [*DTYPES, np.int32])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 8), (2, 3, 4), (0,), (0, 8), (3, 0)])
def test_aligned_zeros(shape, dtype):
    for array in [aligned_zeros(shape, dtype) for _ in range(20)]:
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert (array == 0).all()
        assert array.size == 0 or array.ctypes.data % CACHE_LINE == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (6, 1), (6, 8), (2, 3, 9), (0, 3)])
def test_padded(shape, dtype):
    array = np.random.default_rng(0).uniform(1, 2, shape)
    copy = padded(array, dtype)
    n = shape[-1]
    assert copy.shape == (*shape[:-1], padded_width(n, dtype))
    assert copy.dtype == dtype
    assert_array_equal(copy[..., :n], array.astype(dtype))
    assert (copy[..., n:] == 0).all()
    assert copy.size == 0 or copy.ctypes.data % CACHE_LINE == 0
    assert not np.shares_memory(copy, array)


# --- criteria ---


class Scores:
    """A fitted estimator whose scores are no likelihood of the training data."""

    n_parameters_ = 3

    def score_samples(self, X, shift=0.0):
        return np.asarray(X, float)[:, 0] + shift


class Likelihoods(Scores):
    def _training_log_likelihood(self, X, shift=0.0):
        return np.asarray(X, float)[:, 1] + shift


@pytest.mark.parametrize(("estimator", "column"), [(Scores(), 0), (Likelihoods(), 1)])
def test_criteria_take_the_training_log_likelihood(estimator, column):
    X, weight = np.array([[1.0, -2], [3, -5], [7, -11]]), np.array([1.0, 0.5, 2])
    total = X[:, column]
    assert_allclose(selection.bic(estimator, X), -2 * total.sum() + 3 * math.log(3))
    assert_allclose(selection.aic(estimator, X), -2 * total.sum() + 6)
    assert_allclose(selection.bic(estimator, X, sample_weight=weight), -2 * weight @ total + 3 * math.log(3.5))
    assert_allclose(selection.aic(estimator, X, shift=1.0), -2 * (total.sum() + 3) + 6)


def test_criteria_of_a_topic_model():
    """Of all tokens, which `score_samples` of half of them are not."""
    counts = corpus()
    model = EMTopicModel(2, learn_priors=False, n_init=1, random_state=0).fit(counts)
    theta, phi = model.transform(counts), model.topic_word_
    total = (counts * np.log(theta @ phi)).sum()
    assert_allclose(selection.aic(model, counts), -2 * total + 2 * model.n_parameters_, rtol=1e-9)
    assert_allclose(selection.bic(model, counts), -2 * total + model.n_parameters_ * math.log(40), rtol=1e-9)
    assert model.n_parameters_ == 2 * 11
    assert abs(model.score_samples(counts).sum()) < 0.8 * abs(total)
