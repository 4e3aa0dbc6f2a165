"""A random problem for the kernels of topic models, and what each kernel makes of it."""

from typing import NamedTuple

import numpy as np
from numpy.testing import assert_allclose

from emkit.kernels.padding import padded

DTYPES = [np.float64, np.float32]
CLOSE = {np.float64: {"rtol": 1e-12, "atol": 1e-14}, np.float32: {"rtol": 3e-5, "atol": 1e-6}}
LENGTHS = (0, 1, 3, 4, 5, 100)
N_TERMS = 120


class Problem(NamedTuple):
    starts: np.ndarray
    terms: np.ndarray
    counts: np.ndarray
    weight: np.ndarray
    topics: np.ndarray  # (N_TERMS, width), as all that follow padded with zeros
    prior: np.ndarray
    pseudo: np.ndarray
    resp: np.ndarray
    k: int

    @property
    def corpus(self):
        return self.starts, self.terms, self.counts

    def sweeps(self, module, digamma, n_sweeps=3, tol=0.0, place=np.array, sums=0.0):
        """Pseudo-counts, sums (added to `sums`), used pseudo-counts and log-likelihoods."""
        pseudo, sums = place(self.pseudo), place(np.full_like(self.topics, sums))
        used, log_likelihood = place(np.full_like(pseudo, np.nan)), place(np.full(len(pseudo), np.nan))
        inputs = (place(a) for a in (*self.corpus, self.weight, self.topics, self.prior))
        module.topic_sweeps(*inputs, self.k, digamma, n_sweeps, tol, pseudo, sums, used, log_likelihood)
        return pseudo, sums, used, log_likelihood

    def fold_in(self, module, digamma, n_sweeps=3, tol=0.0, place=np.array):
        """Pseudo-counts, without statistics; extrapolated after every second sweep."""
        pseudo = place(self.pseudo)
        corpus, topics, prior = (place(a) for a in self.corpus), place(self.topics), place(self.prior)
        nothing = None, None, None
        module.topic_sweeps(*corpus, None, topics, prior, self.k, digamma, n_sweeps, tol, pseudo, *nothing)
        return pseudo

    def log_likelihood(self, module, place=np.array):
        out = place(np.full(len(self.pseudo), np.nan))
        weights = self.pseudo / self.pseudo.sum(axis=1, keepdims=True)
        module.topic_log_likelihood(*(place(a) for a in (*self.corpus, self.topics, weights)), out)
        return out

    def collapsed(self, module, own, learns=True, place=np.array, sums=0.0):
        """Responsibilities, sums and log-likelihoods; the topics' counts are theirs times 1000."""
        topics, resp = self.topics * 1000, place(self.resp)
        out, sums = place(np.full(len(self.weight), np.nan)), place(np.full_like(topics, sums)) if learns else None
        inputs = (place(a) for a in (*self.corpus, self.weight, topics, topics.sum(axis=0), self.prior))
        module.topic_sweep_collapsed(*inputs, own, resp, sums, out)
        return resp, sums, out

    def documents(self, start, stop):
        entries = slice(self.starts[start], self.starts[stop])
        return self._replace(
            starts=self.starts[start : stop + 1] - self.starts[start],
            **{name: getattr(self, name)[entries].copy() for name in ("terms", "counts", "resp")},
            **{name: getattr(self, name)[start:stop].copy() for name in ("weight", "pseudo")},
        )


def problem(k, dtype=np.float64, lengths=LENGTHS, zeros=False, seed=0, prior=None):
    """With `zeros` topics lack terms, documents lack topics, and no topic has term 0, but the longest document."""
    rng = np.random.default_rng([k, seed, *lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    terms = [rng.permutation(np.arange(1, N_TERMS))[:length] for length in lengths]
    topics, pseudo = rng.random((N_TERMS, k)) ** 3, rng.uniform(0.1, 9, (len(lengths), k))
    if zeros:
        topics *= rng.random(topics.shape) < 0.7
        pseudo[:, 1:] *= rng.random((len(lengths), k - 1)) < 0.7
        topics[:, 0] += 0.1
        topics[0] = 0
        if lengths and max(lengths):
            terms[int(np.argmax(lengths))][0] = 0
    counts = rng.choice([1.0, 2.0, 1.25, 7.5, 300.0], starts[-1])
    resp = rng.dirichlet(np.ones(k), starts[-1])
    prior = rng.uniform(0.05, 0.5, k) if prior is None else np.full(k, prior)
    reals = (topics / topics.sum(axis=0), prior, pseudo, resp)
    return Problem(
        starts,
        np.concatenate([[], *terms]).astype(np.int32),
        counts.astype(dtype),
        rng.uniform(0, 3, len(lengths)).astype(dtype),
        *(padded(a, dtype) for a in reals),
        k,
    )


def unaligned(array):
    """The same values at an address that is a multiple of the size of one of them only."""
    size = array.dtype.itemsize
    buffer = np.empty(array.size + 64, array.dtype)
    start = (-buffer.ctypes.data % 64) // size + 1
    out = buffer[start : start + array.size].reshape(array.shape)
    out[...] = array
    return out


def assert_agree(actual, expected, dtype=np.float64):
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            assert_allclose(a, b, **CLOSE[dtype])
