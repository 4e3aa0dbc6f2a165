"""Priors learned from counts: the fixed point of the evidence of a Dirichlet-multinomial distribution.

References
----------
.. [1] Minka, T. P. (2000). Estimating a Dirichlet distribution. Technical report, MIT. Equation (55).
.. [2] Wallach, H. M., Mimno, D. and McCallum, A. (2009). Rethinking LDA: why priors matter. NIPS, 1973-1981. An uneven
   prior of the documents and an even one of the topics.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import psi

from .documents import Documents
from .methods import METHODS, Sweeps

N_STEPS = 20
LOWEST, HIGHEST = 1e-4, 1e3
NOTHING = 1e-6  # tokens
N_ROUNDS = 2
SWEEPS = Sweeps(30, 1e-2)
ENOUGH = 1e-3  # relative change at which the fixed point is reached


def learned_alpha(pseudo_counts: np.ndarray, chunks: Iterable[Documents], alpha: np.ndarray) -> np.ndarray:
    """The prior of the topics in documents, (K,), at topics with pseudo-counts (V, K).

    The expected counts are those of variational Bayes for every method: smoothed ones would have their own smoothing
    taken for the spread of the documents, and a prior several times too large.
    """
    method, chunks = METHODS["vb"], list(chunks)
    topics = method.topics(np.maximum(pseudo_counts, LOWEST), chunks[0].dtype)
    weight = np.concatenate([chunk.weight for chunk in chunks]).astype(np.float64)
    for _ in range(N_ROUNDS):
        alpha = np.maximum(alpha, LOWEST)
        pseudo = np.concatenate([method.fold_in(topics, chunk, alpha, SWEEPS) for chunk in chunks])
        alpha = uneven_prior(np.maximum(pseudo.astype(np.float64) - alpha, 0), weight, alpha)
    return alpha


def learned_eta(counts: np.ndarray, chunks: Iterable[Documents], alpha: np.ndarray, eta: float) -> float:
    """The prior of the terms in topics, one number, at topics with expected counts (V, K); see `learned_alpha`."""
    method, chunks = METHODS["vb"], list(chunks)
    alpha = np.maximum(alpha, LOWEST)
    for _ in range(N_ROUNDS):
        eta = max(eta, LOWEST)
        topics = method.topics(counts + eta, chunks[0].dtype)
        visits = (method.visit(topics, chunk, alpha, SWEEPS, None) for chunk in chunks)
        counts = np.sum([visit.counts for visit in visits], axis=0)
        eta = even_prior(counts, eta)
    return eta


def uneven_prior(counts: np.ndarray, weight: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Of the topics in documents, (K,), from expected counts (n, K) and weights (n,): equation (55) of [1]_."""
    lengths, alpha = counts.sum(axis=1), np.maximum(alpha, LOWEST)
    for _ in range(N_STEPS):
        rise = weight @ (psi(counts + alpha) - psi(alpha))
        whole = weight @ (psi(lengths + alpha.sum()) - psi(alpha.sum()))
        new = np.clip(alpha * rise / max(whole, 1e-300), LOWEST, HIGHEST)
        alpha, before = new, alpha
        if np.abs(alpha - before).max() <= ENOUGH * before.max():
            break
    return alpha


def even_prior(counts: np.ndarray, eta: float) -> float:
    """Of the terms in topics, one number, from expected counts (V, K)."""
    n_terms, totals, eta = len(counts), counts.sum(axis=0), max(eta, LOWEST)
    present = counts[counts > NOTHING]  # the others would add nothing to the sum, and are most
    for _ in range(N_STEPS):
        rise = (psi(present + eta) - psi(eta)).sum()
        whole = n_terms * (psi(totals + n_terms * eta) - psi(n_terms * eta)).sum()
        new = float(np.clip(eta * rise / max(whole, 1e-300), LOWEST, HIGHEST))
        eta, before = new, eta
        if abs(eta - before) <= ENOUGH * before:
            break
    return eta
