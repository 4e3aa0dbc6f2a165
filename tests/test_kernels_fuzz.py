"""Every kernel against its twin on problems of random sizes, layouts and magnitudes: few by default, many if slow."""

import numpy as np
import pytest
import test_conditional_kernels as conditional
import test_kernels as gaussian
import test_markov_kernels as markov
from numpy.testing import assert_allclose, assert_array_equal
from topics_problem import DTYPES, unaligned
from topics_problem import problem as topics_problem

from emkit import kernels
from emkit.kernels import _topics, reference, topics_reference
from emkit.kernels.padding import padded

SEEDS = [range(8), pytest.param(range(8, 1500), marks=pytest.mark.slow)]
LARGEST = 40  # columns, components, states


def packed(X):
    """Rows in records that begin anywhere."""
    records = np.zeros(len(X), [("one byte", "i1"), ("row", X.dtype, X.shape[1:])])
    records["row"] = X
    return records["row"]


LAYOUTS = [*gaussian.LAYOUTS.values(), packed, unaligned]


def size(rng, least=1, most=LARGEST):
    """Often small, where the ends of vectors are."""
    return int(rng.integers(least, rng.choice([least + 3, 10, most]) + 1))


def n_rows(rng):
    return int(rng.choice([0, 1, 2, rng.integers(3, 40), 16 * rng.integers(1, 20) + rng.integers(-1, 2)]))


# --- checks, of a random problem each -----------------------------------------------------------------------------


def of_complete_rows(rng):
    """In units that are powers of two up to 2^60; equal rows, and far ones, which rounding assigns."""
    dtype, kind = rng.choice(DTYPES), str(rng.choice(["full", "shared", "diag"]))
    p = gaussian.problem(n_rows(rng), size(rng), size(rng), dtype, kind == "shared", int(rng.integers(1000)))
    unit = dtype(2.0) ** dtype(rng.integers(-60, 61) if dtype is np.float64 else rng.integers(-15, 16))
    X, is_far = p.X.copy(), rng.random(len(p.X)) < 0.05
    X[rng.random(len(X)) < 0.1] = X[:1]
    X[is_far] *= dtype(1e20 if dtype is np.float64 else 1e6)
    p = p._replace(weight=np.where(is_far, 0, p.weight).astype(dtype))
    p = p._replace(X=X * unit, means=p.means * unit, factors=p.factors / unit, scales=p.scales / unit)
    p = p._replace(X=LAYOUTS[rng.integers(len(LAYOUTS))](p.X))
    in_memory = [a if name == "X" else unaligned(a) for name, a in p._asdict().items()]
    kind = "full" if kind == "shared" else kind
    hard, tolerance = bool(rng.integers(2)), gaussian.TOLERANCE[dtype]
    expected = p.log_density(reference, kind)
    assert_allclose(gaussian.Problem(*in_memory).log_density(kernels, kind), expected, rtol=tolerance, atol=tolerance)
    if hard:
        p = gaussian.without_ties(p, kind)
    objective, counts, *moments = p.step(kernels, kind, hard)
    expected, theirs, *others = p.step(reference, kind, hard)
    scale = (p.weight * np.abs(p.log_density(reference, kind)).max(axis=1, initial=0)).sum()
    assert abs(objective - expected) <= tolerance * (1 + scale)
    gaussian.assert_agree([counts], [theirs], tolerance)
    reach = np.abs(p.X.astype(np.float64)[:, None] - p.means).max(initial=0) or 1.0
    for power, (ours, other) in enumerate(zip(moments, others, strict=True), 1):
        assert_allclose(ours / reach**power, other / reach**power, rtol=0, atol=tolerance * (1 + p.weight.sum()))


def of_given_responsibilities(rng):
    """Columns of a wider array, and statistics that are added to."""
    dtype, n, d, k = rng.choice(DTYPES), n_rows(rng), size(rng), size(rng)
    X, means = (rng.normal(size=shape).astype(dtype) for shape in ((n, d), (k, d)))
    wide = (rng.random((n, k + 5)) * (rng.random((n, k + 5)) < 0.8)).astype(dtype)
    start, X = rng.integers(6), LAYOUTS[rng.integers(len(LAYOUTS))](X)
    resp = wide[:, start : start + k]
    for kind, shape in (("full", (k, d, d)), ("full", (1, d, d)), ("diag", (k, d))):
        results = []
        for module in (kernels, reference):
            statistics = np.ones(k), np.ones((k, d)), np.ones(shape)
            getattr(module, f"moments_{kind}")(X, resp, means, *statistics)
            results.append([*statistics[:2], np.tril(statistics[2]) if kind == "full" else statistics[2]])
        gaussian.assert_agree(*results, gaussian.TOLERANCE[dtype])


def of_gaps(rng):
    gaussian.test_rows_with_gaps(max(n_rows(rng), 1), size(rng, most=20), size(rng), bool(rng.integers(2)))


def of_factors(rng):
    """Condition numbers below 1e4, in units from 1e-6 to 1e6."""
    k, d = size(rng), size(rng)
    root = rng.normal(size=(k, d, 3 * d + 3))
    scale = 10.0 ** rng.uniform(-6, 6, d)
    covariances = root @ root.swapaxes(1, 2) * np.outer(scale, scale)
    failed, ours = gaussian.factorise_by(kernels, covariances, scale)
    also_failed, theirs = gaussian.factorise_by(reference, covariances, scale)
    assert failed == also_failed == -1
    units = [np.outer(scale, scale), 1, 1 / scale[:, None], 1, 1]
    for actual, expected, unit in zip(ours, theirs, units, strict=True):
        assert_allclose(actual / unit, expected / unit, rtol=1e-10, atol=1e-10)
    bad = int(rng.integers(k))
    covariances[bad] = np.outer(scale, scale)
    if d > 1:
        assert gaussian.factorise_by(kernels, covariances, scale)[0] == bad


def of_chains(rng):
    k, spread = size(rng), float(rng.choice([0.0, 1.0, 8.0]))
    lengths = [size(rng, most=60) for _ in range(size(rng, most=6))]
    p = markov.problem(k, lengths, bool(rng.integers(2)), int(rng.integers(1000)), spread)
    markov.check(p, rng.choice([np.array, markov.unaligned]))
    if sum(lengths) < 60:
        one = markov.problem(k, [sum(lengths)], False, int(rng.integers(1000)), spread)
        results = (one.k_best(module, min(5, k)) for module in (markov.kernels, markov.reference))
        markov.assert_agree(*results)


def of_nearly_certain_chains(rng):
    """Sequences whose probabilities underflow are flagged; of the others results are those in logs."""
    k, lengths = size(rng), [size(rng, most=30) for _ in range(size(rng, most=8))]
    p = markov.problem(k, lengths, bool(rng.integers(2)), int(rng.integers(1000)), rng.choice([30.0, 100.0, 1000.0]))
    in_logs = p.in_logs(markov.kernels)
    markov.assert_agree(in_logs, p.in_logs(markov.reference))
    markov.assert_agree(p.viterbi(markov.kernels), p.viterbi(markov.reference))
    state, log_likelihood, unsafe, *_ = p.smooth(markov.kernels)
    for is_unsafe, start, stop, likelihood in zip(unsafe, p.starts, p.starts[1:], log_likelihood, strict=False):
        if not is_unsafe:
            assert_allclose(state[start:stop, :k], in_logs[2][start:stop, :k], rtol=1e-7, atol=1e-9)
            assert_allclose(likelihood, in_logs[1][start:stop].sum(), rtol=1e-9)


def of_blocks(rng):
    """A part of a sequence, there and back; draws of its paths."""
    k, n = size(rng), size(rng, most=60)
    p = markov.problem(k, [n], bool(rng.integers(2)), int(rng.integers(1000)))
    tail, uniform = p.padded(rng.random(k)), rng.random((5, n))
    filtered = p.filter(markov.reference)[0]
    results = []
    for module in (markov.kernels, markov.reference):
        state, head, log_likelihood, pairs, *_ = p.there_and_back(module, tail, place=markov.unaligned)
        value, paths = p.padded(markov.log(p.startprob), -np.inf), np.full((5, n), -9)
        module.viterbi_forward(p.log_density, markov.log(p.transmat), value)
        module.sample_paths(filtered, p.transmat, uniform, np.empty(k), paths)
        results.append([state, head, log_likelihood, pairs, value, paths])
    markov.assert_agree(*results)


def of_shares(rng):
    dtype = rng.choice(DTYPES)
    x = rng.normal(size=(n_rows(rng), size(rng))) * rng.choice([1e-3, 1, 30]) + rng.choice([0, -500])
    x[rng.random(x.shape) < 0.1] = -np.inf
    tolerance = gaussian.TOLERANCE[dtype]
    results = [gaussian.softmax_by(module, x.astype(dtype)) for module in (kernels, reference)]
    for actual, expected in zip(*results, strict=True):
        assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def of_documents(rng):
    """Extrapolation enlarges rounding errors."""
    k, dtype = size(rng, most=70), rng.choice(DTYPES)
    lengths = [int(length) for length in rng.integers(0, rng.choice([2, 10, 100]), rng.integers(0, 7))]
    p = topics_problem(k, dtype, lengths, bool(rng.integers(2)), int(rng.integers(1000)))
    p = p._replace(counts=p.counts * dtype(rng.choice([0.25, 1, 8])))
    place, digamma, own = rng.choice([np.array, unaligned]), bool(rng.integers(2)), bool(rng.integers(2))
    close = {"rtol": 1e-9, "atol": 1e-11} if dtype is np.float64 else {"rtol": 1e-3, "atol": 1e-5}
    results = []
    for module in (_topics, topics_reference):
        sweeps, folded = p.sweeps(module, digamma, place=place), p.fold_in(module, digamma, place=place)
        collapsed = p.collapsed(module, own, place=place) if p.terms.size else ()
        results.append([*sweeps, folded, p.log_likelihood(module, place), *collapsed])
    for actual, expected in zip(*results, strict=True):
        assert_allclose(actual, expected, **close)


def of_topics(rng):
    """What the M-step needs, to the bit."""
    k, n, dtype = size(rng, most=70), max(n_rows(rng), 1), rng.choice(DTYPES)
    tables = [padded(10 ** rng.uniform(-40, 35, (n, k)), dtype) for _ in range(2)]
    counts = [np.full((n, k), np.nan) for _ in range(2)]
    pseudo = 10 ** rng.uniform(-300, 290, (n, k)) * (rng.random((n, k)) < 0.8)
    inverse = 1 / np.maximum(pseudo.sum(axis=0), 1e-300)
    shares = [padded(np.ones((n, k)), dtype) for _ in range(2)]
    for out, share, module in zip(counts, shares, (_topics, topics_reference), strict=True):
        module.expected_counts(*tables, out)
        module.topic_shares(pseudo, inverse, share)
    assert_array_equal(*counts)
    assert_array_equal(*shares)
    positive = np.abs(pseudo) + 1e-300
    assert_allclose(_topics.sum_of_logs(positive), np.log(positive).sum(), rtol=1e-10, atol=1e-9)


def of_patterns(rng):
    d, n = size(rng), size(rng, most=12)
    observed = conditional.random_patterns(d, n, rng.uniform(0.1, 0.9), int(rng.integers(1000)))
    conditional.assert_rows_agree(conditional.patterned(observed, rng.integers(1, 12, n), int(rng.integers(1000))))


def of_cells(rng):
    d, n = size(rng, most=9), size(rng, most=9)
    conditional.assert_cells_agree(conditional.table(conditional.random_kinds(n, d, rng), int(rng.integers(1000))))


CHECKS = [check for name, check in list(globals().items()) if name.startswith("of_")]


@pytest.mark.parametrize("seeds", SEEDS, ids=["few", "many"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_kernels_equal_their_twins(check, seeds):
    for seed in seeds:
        try:
            check(np.random.default_rng(seed))
        except Exception as error:
            raise AssertionError(f"{check.__name__}(np.random.default_rng({seed}))") from error
