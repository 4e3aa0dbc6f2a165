"""Documents drawn from a fitted topic model.

References
----------
.. [1] Blei, D. M., Ng, A. Y. and Jordan, M. I. (2003). Latent Dirichlet allocation. JMLR 3, 993-1022. Section 3: the
   generative process.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

MANY_TOKENS = 10_000_000
MOST_TOKENS = 1e18  # of a document: an integer of 64 bits


def draw_documents(
    topic_word: np.ndarray, alpha: np.ndarray, mean_length: float, n: int, rng: np.random.Generator
) -> tuple[sp.csr_array, np.ndarray]:
    """Counts (n, V) and the topic of most tokens of each document, (n,)."""
    if mean_length > MOST_TOKENS:
        raise ValueError(
            f"documents have {mean_length:.3g} tokens on average, but those of at most {MOST_TOKENS:g} can be drawn"
        )
    n_terms = topic_word.shape[1]
    tokens = np.array([rng.multinomial(rng.poisson(mean_length), _weights(alpha, rng)) for _ in range(n)])
    counts = sp.coo_array((n, n_terms), dtype=np.int64)
    for shares, of_topic in zip(topic_word.astype(np.float64), tokens.T, strict=True):
        counts = counts + _terms(shares, of_topic, rng)
    return sp.csr_array(counts), tokens.argmax(axis=1)


def _terms(shares: np.ndarray, tokens: np.ndarray, rng: np.random.Generator) -> sp.coo_array:
    """Counts (n, V) of the terms of a topic, of which documents have tokens (n,)."""
    n, n_terms = len(tokens), len(shares)
    if tokens.sum(dtype=np.float64) > max(MANY_TOKENS, n * n_terms):  # a table takes less memory than all tokens
        return sp.coo_array(rng.multinomial(tokens, shares / shares.sum()))
    documents, ends = np.repeat(np.arange(n), tokens), np.cumsum(shares)
    terms = np.searchsorted(ends, rng.random(len(documents)) * ends[-1], side="right")
    drawn = (np.ones(len(documents), dtype=np.int64), (documents, np.minimum(terms, n_terms - 1)))
    return sp.coo_array(drawn, shape=(n, n_terms))


def _weights(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From a Dirichlet distribution; topics of prior zero have weight zero."""
    weights = np.zeros(len(alpha))
    weights[alpha > 0] = rng.dirichlet(alpha[alpha > 0])
    return weights
