"""Documents drawn from a fitted topic model.

References
----------
.. [1] Blei, D. M., Ng, A. Y. and Jordan, M. I. (2003). Latent Dirichlet allocation. JMLR 3, 993-1022. Section 3: the
   generative process.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def draw_documents(
    topic_word: np.ndarray, alpha: np.ndarray, mean_length: float, n: int, rng: np.random.Generator
) -> tuple[sp.csr_array, np.ndarray]:
    """Counts (n, V) and the topic of most tokens of each document, (n,)."""
    k, n_terms = topic_word.shape
    ends = np.cumsum(topic_word.astype(np.float64), axis=1)
    tokens = np.array([rng.multinomial(rng.poisson(mean_length), _weights(alpha, rng)) for _ in range(n)])
    counts = sp.coo_array((n, n_terms), dtype=np.int64)
    for topic in range(k):
        documents = np.repeat(np.arange(n), tokens[:, topic])
        terms = np.searchsorted(ends[topic], rng.random(len(documents)) * ends[topic, -1], side="right")
        drawn = (np.ones(len(documents), dtype=np.int64), (documents, np.minimum(terms, n_terms - 1)))
        counts = counts + sp.coo_array(drawn, shape=(n, n_terms))
    return sp.csr_array(counts), tokens.argmax(axis=1)


def _weights(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From a Dirichlet distribution; topics of prior zero have weight zero."""
    weights = np.zeros(len(alpha))
    weights[alpha > 0] = rng.dirichlet(alpha[alpha > 0])
    return weights
