"""Each kernel of topic models against its NumPy twin, and what the twins cannot show: bits, when a document ends."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import digamma as psi
from topics_problem import CLOSE, DTYPES, assert_agree, problem, unaligned

from emkit.kernels import _topics as kernels
from emkit.kernels import topics_reference as reference
from emkit.kernels.padding import padded

TOPICS = [*range(1, 71), 130]


def check(p, place=np.array):
    dtype = p.topics.dtype.type
    for digamma in (False, True) if p.prior.any() else (False,):
        results = p.sweeps(kernels, digamma, place=place)
        assert_agree(results, p.sweeps(reference, digamma), dtype)
        assert all((a[:, p.k :] == 0).all() for a in results[:3])
        assert_agree([p.fold_in(kernels, digamma, place=place)], [p.fold_in(reference, digamma)], dtype)
    assert_agree([p.log_likelihood(kernels, place)], [p.log_likelihood(reference)], dtype)


def check_collapsed(p, place=np.array):
    for own, learns in ((True, True), (False, False), (False, True)):
        results = p.collapsed(kernels, own, learns, place), p.collapsed(reference, own, learns)
        assert_agree(*results, p.topics.dtype.type)


# --- against the twins ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", TOPICS)
def test_every_number_of_topics(k, dtype):
    for zeros, place in ((False, np.array), (True, unaligned)):
        p = problem(k, dtype, zeros=zeros)
        check(p, place)
        check(p._replace(prior=np.zeros_like(p.prior)), place)  # PLSA
        check_collapsed(p, place)


@settings(max_examples=60)
@given(
    k=st.integers(1, 80),
    dtype=st.sampled_from(DTYPES),
    lengths=st.lists(st.integers(0, 40), max_size=6),
    zeros=st.booleans(),
    prior=st.sampled_from([None, 0.0, 1.0]),
    share=st.sampled_from([1, 0.25, 8]),
    seed=st.integers(0, 1000),
)
def test_kernel_equals_its_twin(k, dtype, lengths, zeros, prior, share, seed):
    p = problem(k, dtype, lengths, zeros, seed, prior)
    p = p._replace(counts=p.counts * dtype(share))
    check(p)
    if p.terms.size and p.prior.any():
        check_collapsed(p)


def collapsed_by_loops(p, own):
    topics, resp = p.topics * 1000, np.zeros_like(p.resp)
    totals, sums, log_likelihood = topics.sum(axis=0), np.zeros_like(topics), np.zeros(len(p.weight))
    for d, w in enumerate(p.weight):
        entries = range(p.starts[d], p.starts[d + 1])
        for j in entries:
            rest, here, there = 0, min(p.counts[j], 1), own * min(w * p.counts[j], 1)
            for k in range(p.k):
                old = p.resp[j, k]
                others = sum(p.counts[i] * p.resp[i, k] for i in entries) - here * old
                resp[j, k] = (max(others, 0) + p.prior[k]) * max(topics[p.terms[j], k] - there * old, 0)
                resp[j, k] /= totals[k] - there * old
                rest += max(others, 0) + p.prior[k]
            log_likelihood[d] += p.counts[j] * np.log(resp[j].sum() / rest)
            resp[j] /= resp[j].sum()
            sums[p.terms[j]] += w * p.counts[j] * resp[j]
    return resp, sums, log_likelihood


@pytest.mark.parametrize("share", [1.0, 0.2])
@pytest.mark.parametrize("own", [False, True])
def test_collapsed_twin_equals_loops(own, share):
    """With 0.2 documents have less than one token."""
    p = problem(4, lengths=(0, 1, 3, 7))
    p = p._replace(counts=p.counts * share)
    assert_agree(p.collapsed(reference, own), collapsed_by_loops(p, own))


# --- what holds of the results ---


@pytest.mark.parametrize("digamma", [False, True])
@pytest.mark.parametrize("module", [kernels, reference], ids=["kernel", "twin"])
def test_sums_times_topics_are_the_expected_counts(module, digamma):
    p = problem(6, lengths=(9,))._replace(weight=np.ones(1))
    pseudo, sums, used, log_likelihood = p.sweeps(module, digamma)
    assert_allclose(p.prior + (sums * p.topics).sum(axis=0), pseudo[0])
    assert_allclose((sums * p.topics).sum(axis=1)[p.terms], p.counts)
    assert_array_equal(used, p.sweeps(module, digamma, n_sweeps=2)[0])
    if not digamma:
        assert_allclose(log_likelihood, p._replace(pseudo=used).log_likelihood(module))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_added_to(dtype):
    p = problem(5, dtype)
    for run in (lambda **kw: p.sweeps(kernels, True, **kw), lambda **kw: p.collapsed(kernels, True, **kw)):
        assert_agree([run(sums=3.0)[1]], [run()[1] + dtype(3)], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 5, 16, 67])
def test_a_document_does_not_depend_on_the_others(k, dtype):
    """Bits of the whole corpus and of its two parts, at each border."""
    p = problem(k, dtype, lengths=(5, 0, 100, 3, 17))
    for border in range(6):
        three = p, p.documents(0, border), p.documents(border, 5)
        results = [
            [*q.sweeps(kernels, False, 20, 1e-3)[::2], *q.sweeps(kernels, True)[::3], q.log_likelihood(kernels)]
            + [q.fold_in(kernels, digamma, 20, 1e-3) for digamma in (False, True)]
            + [*q.collapsed(kernels, True)[::2]][: 2 if 0 < border < 5 else 0]
            for q in three
        ]
        for whole, *parts in zip(*results, strict=True):
            assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("digamma", [False, True])
def test_terms_that_no_topic_has(digamma, dtype):
    """They count as absent, but make the document impossible."""
    p = problem(3, dtype, lengths=(4, 4))
    topics = p.topics.copy()
    topics[p.terms[1]] = 0
    with_term = p._replace(topics=topics)
    starts, rest = np.array([0, 3, 7]), np.arange(8) != 1
    without = with_term._replace(starts=starts, terms=p.terms[rest], counts=p.counts[rest])
    assert_agree(with_term.sweeps(kernels, digamma)[:3], without.sweeps(kernels, digamma)[:3], dtype)
    for result in (with_term.sweeps(kernels, digamma)[3], with_term.log_likelihood(kernels)):
        assert result[0] == -np.inf
        assert np.isfinite(result[1])


# --- when a document ends ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("digamma", [False, True])
def test_each_document_ends_by_itself(digamma, dtype):
    p = problem(6, dtype, lengths=(0, 2, 5, 30, 100))
    tol = 0.02
    fixed = [p.pseudo, *(p.sweeps(kernels, digamma, n_sweeps)[0] for n_sweeps in range(1, 200))]
    changes = np.array([np.abs(b - a).sum(axis=1) / p.k for a, b in pairwise(fixed)])
    ends = (changes <= tol).argmax(axis=0) + 1
    assert len(set(ends)) > 2
    pseudo, _, used, _ = p.sweeps(kernels, digamma, 200, tol)
    for d, end in enumerate(ends):
        assert_array_equal(used[d], fixed[end][d])
        assert_array_equal(pseudo[d], fixed[end + 1][d])
    if dtype is np.float64:  # rounding may shift the end
        assert_agree([pseudo, used], p.sweeps(reference, digamma, 200, tol)[::2])


@pytest.mark.parametrize("module", [kernels, reference], ids=["kernel", "twin"])
def test_number_of_sweeps(module):
    p = problem(3)
    once, twice = (p.sweeps(module, False, n_sweeps)[0] for n_sweeps in (1, 2))
    assert_array_equal(p.fold_in(module, False, 1), once)
    assert_array_equal(p.fold_in(module, False, 5, 1e9), once)
    for n_sweeps, tol, used, pseudo in ((1, 0.0, p.pseudo, once), (2, 0.0, once, twice), (5, 1e9, once, twice)):
        results = p.sweeps(module, False, n_sweeps, tol)
        assert_array_equal(results[2], used)
        assert_array_equal(results[0], pseudo)


# --- extrapolation of new documents ---


@pytest.mark.parametrize("digamma", [False, True])
@pytest.mark.parametrize("n_sweeps", [2, 3, 4, 7, 12])
def test_extrapolated_sweeps(n_sweeps, digamma):
    for seed in range(10):
        p = problem(4, zeros=seed % 2 == 1, seed=seed)
        for tol in (0.0, 0.05):
            folded = (p.fold_in(module, digamma, n_sweeps, tol) for module in (kernels, reference))
            assert_allclose(*folded, rtol=1e-7, atol=1e-9)


def test_an_extrapolation_that_went_astray_is_taken_back(monkeypatch):
    """With some of the documents the twin gives other results if it never takes one back."""
    p = problem(3, lengths=(3, 10, 60) * 30, prior=0.0)
    folded = p.fold_in(kernels, False, 12)
    assert_allclose(folded, p.fold_in(reference, False, 12), rtol=1e-6, atol=1e-9)
    monkeypatch.setattr(reference, "FAR", np.inf)
    assert not np.isclose(folded, p.fold_in(reference, False, 12), rtol=1e-3).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_extrapolation_leads_to_the_same_pseudo_counts_in_fewer_sweeps(dtype):
    p = problem(6, dtype, lengths=(0, 2, 5, 30, 100))
    tol = 1e-10 if dtype is np.float64 else 1e-4
    end = p.sweeps(kernels, False, 20_000, tol / 100)[0]
    assert_allclose(p.fold_in(kernels, False, 2000, tol), end, rtol=1e-6 if dtype is np.float64 else 0.01)
    if dtype is np.float64:
        away = [np.abs(a - end).max(axis=1) for a in (p.sweeps(kernels, False, 41)[0], p.fold_in(kernels, False, 41))]
        assert (away[1] <= 0.1 * away[0] + 1e-9).all()


# --- digamma ---


def weights_of(pseudo, dtype):
    """exp(psi(g_k) - psi(sum of g)) of each row, from statistics of documents with one term."""
    pseudo = np.asarray(pseudo, dtype)
    n, k = pseudo.shape
    topics, ones, log_likelihood = padded(np.ones((n, k)), dtype), np.ones(n, dtype), np.zeros(n)
    sums, used = np.zeros_like(topics), np.zeros_like(topics)
    inputs = np.arange(n + 1), np.arange(n, dtype=np.int32), ones, ones, topics, topics[0], k, True, 1, 0.0
    kernels.topic_sweeps(*inputs, padded(pseudo, dtype), sums, used, log_likelihood)
    return sums[:, :k] * np.exp(log_likelihood)[:, np.newaxis]


@pytest.mark.parametrize(("dtype", "least", "tolerance"), [(np.float64, -2.8, 1e-12), (np.float32, -1.88, 3e-5)])
@pytest.mark.parametrize("other", [0.5, 1.0, 1.4616321449683622, 30.0])
def test_digamma(other, dtype, least, tolerance):
    values = np.concatenate([np.logspace(least, 3, 400), np.logspace(3, 30, 50), np.linspace(0.1, 12, 120)])
    pseudo = np.stack([values, np.full_like(values, other)], axis=1).astype(dtype).astype(np.float64)
    expected = np.exp(psi(pseudo) - psi(pseudo.sum(axis=1, keepdims=True)))
    assert_allclose(weights_of(pseudo, dtype), expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_digamma_of_next_to_nothing(dtype):
    tiny = np.array([0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, 1e-30, 1e-9, 1e-4])
    weights = weights_of(np.stack([tiny, np.ones(6)], axis=1), dtype)
    assert_array_equal(weights[:, 0], 0)
    assert_allclose(weights[:, 1], np.exp(psi(1) - psi(1 + tiny)), **CLOSE[dtype])
