"""Priors learned from counts: the fixed point of the evidence of a Dirichlet-multinomial distribution.

References
----------
.. [1] Minka, T. P. (2000). Estimating a Dirichlet distribution. Technical report, MIT. Equation (55).
.. [2] Wallach, H. M., Mimno, D. and McCallum, A. (2009). Rethinking LDA: why priors matter. NIPS, 1973-1981. An uneven
   prior of the documents and an even one of the topics.
"""

from __future__ import annotations

import numpy as np
from scipy.special import psi

N_STEPS = 20
LOWEST, HIGHEST = 1e-4, 1e3
ENOUGH = 1e-3  # relative change at which the fixed point is reached


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
    for _ in range(N_STEPS):
        rise = (psi(counts + eta) - psi(eta)).sum()
        whole = n_terms * (psi(totals + n_terms * eta) - psi(n_terms * eta)).sum()
        new = float(np.clip(eta * rise / max(whole, 1e-300), LOWEST, HIGHEST))
        eta, before = new, eta
        if abs(eta - before) <= ENOUGH * before:
            break
    return eta
