"""Kernels of topic models where little or nothing is left to count, at the limits of numbers, and for wrong shapes."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from topics_problem import DTYPES, N_TERMS, assert_agree, problem

from emkit.kernels import _topics as kernels
from emkit.kernels import topics_reference as reference
from emkit.kernels.padding import padded

MODULES = pytest.mark.parametrize("module", [kernels, reference], ids=["kernel", "twin"])


# --- next to nothing ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [(), (0,), (0, 0, 0)])
def test_nothing_to_do(lengths, dtype):
    p = problem(5, dtype, lengths)
    for digamma in (False, True):
        pseudo, sums, _, log_likelihood = p.sweeps(kernels, digamma)
        assert_array_equal(pseudo, np.broadcast_to(p.prior, pseudo.shape))
        assert (sums == 0).all()
        assert (log_likelihood == 0).all()
    assert (p.log_likelihood(kernels) == 0).all()


@MODULES
def test_collapsed_with_nothing_to_do(module):
    assert_array_equal(problem(5, lengths=(0, 0)).collapsed(module, True)[2], 0)


@pytest.mark.parametrize(
    ("module", "digamma"),
    [(kernels, False), (kernels, True), (reference, False), (reference, True)],
)
def test_a_document_without_pseudo_counts(module, digamma):
    """It has no weights, so that its terms are impossible."""
    p = problem(5, prior=0.01 if digamma else 0.0)
    pseudo, sums, _, log_likelihood = p._replace(pseudo=np.zeros_like(p.pseudo)).sweeps(module, digamma, n_sweeps=1)
    assert_array_equal(pseudo, np.broadcast_to(p.prior, pseudo.shape))
    assert (sums == 0).all()
    assert_array_equal(log_likelihood, [0, *[-np.inf] * 5])


@pytest.mark.parametrize("n", [0.25, 1.0])
@pytest.mark.parametrize("prior", [0.0, 0.01])
def test_collapsed_with_one_token_or_less(prior, n):
    """Without a prior nothing is left of a document of one entry but the token itself."""
    p = problem(2, lengths=(1, 2), prior=prior)._replace(counts=np.full(3, n))
    for own in (False, True):
        results = p.collapsed(kernels, own)
        assert_agree(results, p.collapsed(reference, own))
        assert np.isfinite(results[2][0]) == (prior > 0)
        assert (results[0][0, :2].sum() > 0) == (prior > 0)


@MODULES
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_likelihood_skips_entries_without_a_count(dtype, module):
    p = problem(4, dtype, lengths=(3, 5))
    topics, counts = p.topics.copy(), p.counts.copy()
    topics[p.terms[1]], counts[1] = 0, 0
    with_entry = p._replace(topics=topics, counts=counts)
    rest = np.arange(8) != 1
    arrays = {name: getattr(with_entry, name)[rest] for name in ("terms", "counts", "resp")}
    without = with_entry._replace(starts=np.array([0, 2, 7]), **arrays)
    for digamma in (False, True):
        assert_agree(with_entry.sweeps(module, digamma), without.sweeps(module, digamma), dtype)
    assert_agree([with_entry.log_likelihood(module)], [without.log_likelihood(module)], dtype)
    for own in (False, True):
        assert_agree(with_entry.collapsed(module, own)[1:], without.collapsed(module, own)[1:], dtype)


# --- the range of numbers ---


@MODULES
@pytest.mark.parametrize(("dtype", "smallest"), [(np.float64, 1e-150), (np.float32, 1e-18)])
def test_the_smallest_share(dtype, smallest, module):
    p = problem(3, dtype, lengths=(4,), prior=0.0)
    pseudo = p._replace(pseudo=padded(np.array([[1, 1.1 * smallest, 0.9 * smallest]]), dtype)).fold_in(module, False, 1)
    assert pseudo[0, 1] > 0
    assert pseudo[0, 2] == 0


def with_a_rare_term(dtype, probability):
    """A document in which all topics give the second of four terms this probability."""
    p = problem(3, dtype, lengths=(4,))
    topics = p.topics.copy()
    topics[p.terms[1], :3] = probability
    return p._replace(topics=topics, counts=np.array([3, 1, 1, 2], dtype))


@MODULES
@pytest.mark.parametrize(
    ("dtype", "probability", "is_present", "is_possible"),
    [
        (np.float64, 1e-280, True, True),
        (np.float64, 1e-300, False, True),  # 1 / 1e-300 is above the largest ratio
        (np.float64, 1e-310, False, False),
        (np.float64, 5e-324, False, False),
        (np.float32, 1e-28, True, True),
        (np.float32, 1e-33, False, True),
        (np.float32, 1e-39, False, False),
        (np.float32, 1e-45, False, False),
    ],
)
def test_terms_of_next_to_no_probability(dtype, probability, is_present, is_possible, module):
    p, absent = with_a_rare_term(dtype, probability), with_a_rare_term(dtype, 0)
    for digamma in (False, True):
        pseudo, sums, _, log_likelihood = results = p.sweeps(module, digamma, n_sweeps=1)
        without = absent.sweeps(module, digamma, n_sweeps=1)
        assert all(np.isfinite(a).all() for a in results[:3])
        assert (sums[p.terms[1]] > 0).any() == is_present
        if not is_present:
            assert_agree([pseudo, sums], without[:2], dtype)
        assert np.isfinite(log_likelihood).all() == is_possible
        assert np.isfinite(p.log_likelihood(module)).all() == is_possible
        if is_possible:
            expected = reference if module is kernels else kernels
            assert_allclose(log_likelihood, p.sweeps(expected, digamma, n_sweeps=1)[3], rtol=3e-5)


def test_ratios_that_are_no_numbers():
    """A term at the edge of what its only topic can give."""
    k = 80
    prior, topics = np.full(k, 1 / k, np.float32), np.zeros((2, k), np.float32)
    topics[0, 0], topics[1, 3] = 0.5, 1e-3
    results = []
    for module in (kernels, reference):
        pseudo, sums, log_likelihood = prior[np.newaxis].copy(), np.zeros_like(topics), np.zeros(1)
        pseudo[0, 0] = 50
        used = np.zeros_like(pseudo)
        corpus = np.array([0, 2]), np.arange(2, dtype=np.int32), np.array([50, 4], np.float32)
        scalars = k, True, 1, 0.0
        weight = np.ones(1, np.float32)
        module.topic_sweeps(*corpus, weight, topics, prior, *scalars, pseudo, sums, used, log_likelihood)
        assert np.isfinite(pseudo).all()
        assert np.isfinite(sums).all()
        assert_array_equal(pseudo[0, 1:], prior[1:])
        results.append((pseudo, sums, used, log_likelihood))
    assert_agree(*results, np.float32)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float64, 1e-160), (np.float32, 1e-22)])
def test_collapsed_with_next_to_no_counts(dtype, scale):
    """The product of what document and topic have left is subnormal."""
    p = problem(3, dtype, lengths=(1, 4), prior=0.0)._replace(terms=np.arange(5, dtype=np.int32))
    topics, totals, prior = p.topics.copy(), p.topics.sum(axis=0), padded(np.full(3, scale), dtype)
    topics[p.terms[0], :3] = scale
    for module in (kernels, reference):
        resp, log_likelihood = np.zeros_like(p.resp), np.zeros(2)
        module.topic_sweep_collapsed(*p.corpus, None, topics, totals, prior, False, resp, None, log_likelihood)
        assert (resp[0] == 0).all()
        assert_allclose(resp[1:].sum(axis=1), 1, rtol=1e-6)
        assert log_likelihood[0] == -np.inf
        assert np.isfinite(log_likelihood[1])


# --- what the M-step needs ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 5, 8, 67])
def test_expected_counts(k, dtype):
    rng = np.random.default_rng(k)
    low, high = (-150, 150) if dtype is np.float64 else (-44, 38)
    topics, sums = (padded(10 ** rng.uniform(low, high, (30, k)), dtype) for _ in range(2))
    topics[:3], sums[1:4] = 0, 0
    topics[4] = np.finfo(dtype).smallest_subnormal
    topics[:, k:] = sums[:, k:] = np.nan  # is not read
    counts = [np.full((30, k), np.nan) for _ in range(2)]
    kernels.expected_counts(topics, sums, counts[0])
    reference.expected_counts(topics, sums, counts[1])
    assert_array_equal(counts[0], topics[:, :k].astype(np.float64) * sums[:, :k].astype(np.float64))
    assert_array_equal(*counts)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 5, 8, 67])
def test_topic_shares(k, dtype):
    rng = np.random.default_rng(k)
    pseudo = 10 ** rng.uniform(-305, 300, (60, k))
    pseudo[:3], pseudo[3], pseudo[4:9] = 0, np.finfo(float).smallest_subnormal, rng.uniform(1e299, 1e300, (5, k))
    inverse, topics = 1 / pseudo.sum(axis=0), [padded(np.ones((60, k)), dtype) for _ in range(2)]
    for out, module in zip(topics, (kernels, reference), strict=True):
        out[:, k:] = 7
        module.topic_shares(pseudo, inverse, out)
        assert (out[:, k:] == 7).all()
    shares = pseudo * inverse
    expected = np.where(shares > (1e-150 if dtype is np.float64 else 1e-18), shares, 0).astype(dtype)
    assert_array_equal(topics[0][:, :k], expected)
    assert_array_equal(*topics)
    assert_allclose(topics[0][:, :k].sum(axis=0, dtype=np.float64), 1, rtol=1e-6)


@MODULES
@pytest.mark.parametrize(("dtype", "smallest"), [(np.float64, 1e-150), (np.float32, np.float64(np.float32(1e-18)))])
def test_the_smallest_share_of_a_topic(dtype, smallest, module):
    pseudo, out = np.array([[smallest, 0.999 * smallest, 1.001 * smallest]]), np.ones((1, 8), dtype)
    module.topic_shares(pseudo, np.ones(3), out)
    assert_array_equal(out[0, :3], np.array([0, 0, 1.001 * smallest], dtype))


EPS = np.finfo(float).eps
LOGS = {
    "all": np.logspace(-300, 300, 1201),
    "below": np.logspace(-300, -1, 997),
    "above": np.logspace(1, 300, 998),
    "around": np.linspace(0.5, 2, 61),
    "just above": 1 + np.array([0, EPS, 2 * EPS, 1e-12, 1e-9, 1e-6, 1e-3, 1e-2]),
    "just below": 1 - np.array([0, EPS / 2, EPS, 1e-12, 1e-9, 1e-6, 1e-3, 1e-2]),
    "ends": np.array([np.finfo(float).tiny, np.finfo(float).max, 4e307, 2.3e-308]),
    "ones": np.ones(17),
}


def logs_by_hand(values):
    """Their sum, and that of their absolute values."""
    logs = [math.log(value) for value in values.ravel()]
    return math.fsum(logs), math.fsum(map(abs, logs))


@MODULES
@pytest.mark.parametrize("name", LOGS)
def test_sum_of_logs(name, module):
    """Each log to 1e-13 of its value, or, where 1 / x rounds to 1, to the last place of 1."""
    for values in (LOGS[name][:, np.newaxis], LOGS[name][np.newaxis], np.tile(LOGS[name], (5, 3))):
        total, size = logs_by_hand(values)
        assert abs(module.sum_of_logs(values) - total) <= max(1e-13 * size, EPS / 2 * values.size)


@pytest.mark.parametrize("name", LOGS)
def test_sum_of_logs_to_relative_precision(name):
    for value in LOGS[name]:
        values = np.full((4, 1), value)
        assert_allclose(kernels.sum_of_logs(values), logs_by_hand(values)[0], rtol=1e-13, atol=0)


@MODULES
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 4), (3, 5), (4, 8), (7, 1)])
def test_sum_of_logs_of_every_length(shape, module):
    values = np.random.default_rng(shape).uniform(1e-3, 30, shape)
    assert_allclose(module.sum_of_logs(values), logs_by_hand(values)[0], rtol=1e-13, atol=0)


# --- arguments that do not fit ---


def calls():
    """Arguments of each kernel that takes documents."""
    p = problem(5, lengths=(2, 3))
    sums, out = np.zeros_like(p.topics), np.zeros(2)
    terms = np.array([0, 3, N_TERMS - 1, 5, 7], np.int32)  # the last, so that fewer rows of topics are too few
    corpus = p.starts, terms, p.counts
    scalars = np.int64(5), np.bool_(True), np.int64(3), np.float64(0)
    return {
        "topic_sweeps": [*corpus, p.weight, p.topics, p.prior, *scalars, p.pseudo, sums, p.pseudo.copy(), out],
        "topic_log_likelihood": [*corpus, p.topics, p.pseudo, out],
        "topic_sweep_collapsed": [*corpus, p.weight, p.topics, p.prior, p.prior, np.bool_(True), p.resp, sums, out],
    }


def all_calls():
    p = problem(5)
    counts = np.zeros((N_TERMS, 5))
    more = {
        "expected_counts": [p.topics, p.topics, counts],
        "topic_shares": [counts, np.ones(5), np.zeros_like(p.topics)],
    }
    return {**calls(), **more}


RIGHT = [
    ("topic_log_likelihood", 3, 0, 1),  # terms that no document has
    *((name, 2, 1, change) for name in ("expected_counts", "topic_shares") for change in (-1, 1)),
]
WRONG = [
    (name, place, axis, change)
    for name, arguments in all_calls().items()
    for place, argument in enumerate(arguments)
    for axis in range(argument.ndim)
    for change in (-1, 1)
    if (name, place, axis, change) not in RIGHT
]


@pytest.mark.parametrize(("name", "place", "axis", "change"), WRONG)
def test_wrong_shapes(name, place, axis, change):
    arguments = all_calls()[name]
    getattr(kernels, name)(*arguments)  # right as they are
    shape = list(arguments[place].shape)
    shape[axis] += change
    arguments[place] = np.resize(arguments[place], shape)
    with pytest.raises(ValueError, match="shapes of the arguments"):
        getattr(kernels, name)(*arguments)


@pytest.mark.parametrize(
    ("place", "values"),
    [
        *((0, starts) for starts in ([], [0], [1, 2, 5], [0, 2, 4], [0, 2, 6], [0, 6, 5], [0, -1, 5], [-1, 2, 5])),
        *((1, terms) for terms in ([0, 1, 2, 3, N_TERMS], [-1, 0, 1, 2, 3])),
    ],
)
@pytest.mark.parametrize("name", calls())
def test_wrong_corpora(name, place, values):
    arguments = calls()[name]
    arguments[place] = np.array(values, arguments[place].dtype)
    with pytest.raises(ValueError, match="shapes of the arguments"):
        getattr(kernels, name)(*arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 7, 9, 12, 20, 67, 100])
@pytest.mark.parametrize("name", calls())
def test_widths(name, width, dtype):
    """Rows are whole vectors of 32 bytes."""

    def fitted(argument):
        if not isinstance(argument, np.ndarray) or argument.shape[-1:] != (8,):
            is_real = isinstance(argument, np.ndarray) and argument.shape and argument.dtype == np.float64
            return argument.astype(dtype) if is_real and argument is not last else argument
        return np.ones((*argument.shape[:-1], width), dtype)

    *_, last = arguments = calls()[name]
    arguments = [fitted(argument) for argument in arguments]
    if name == "topic_sweeps":
        arguments[6] = 1
    kernel = getattr(kernels, name)
    if width * dtype().itemsize % 32:
        with pytest.raises(ValueError, match="shapes of the arguments"):
            kernel(*arguments)
    else:
        kernel(*arguments)


@pytest.mark.parametrize("n_topics", [-1, 0, 9])
def test_numbers_of_topics_that_do_not_fit(n_topics):
    arguments = calls()["topic_sweeps"]
    arguments[6] = n_topics
    with pytest.raises(ValueError, match="shapes of the arguments"):
        kernels.topic_sweeps(*arguments)


@pytest.mark.parametrize("k", [9, 20])
def test_more_topics_than_there_is_room_for(k):
    room, counts = np.zeros((3, 8)), np.ones((3, k))
    for kernel, arguments in (
        (kernels.expected_counts, (room, room, counts)),
        (kernels.topic_shares, (counts, np.ones(k), room)),
    ):
        with pytest.raises(ValueError, match="shapes of the arguments"):
            kernel(*arguments)
