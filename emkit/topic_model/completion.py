"""Document completion: how well the second half of a document is foretold from the first.

References
----------
.. [1] Wallach, H. M., Murray, I., Salakhutdinov, R. and Mimno, D. (2009). Evaluation methods for topic models. ICML,
   1105-1112. Section 5: document completion.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .._validation import check_sample_weight
from ..kernels import _topics as kernels
from ..kernels.padding import padded
from .documents import Documents, documents_of
from .methods import METHODS, Method, Sweeps, Topics


class Completion(NamedTuple):
    """Of each document."""

    log_likelihood: np.ndarray  # (n,): natural log, of the tokens in the second half
    n_tokens: np.ndarray  # (n,): in the second half


def halves(chunk: Documents) -> tuple[Documents, Documents]:
    """The tokens of each document, in the order of the terms, go to the first and second half in turn.

    Of a fractional count the whole tokens go first; what is left over goes where the next token would.
    """
    whole = np.floor(chunk.counts.astype(np.float64))
    ends = np.concatenate([[0.0], np.cumsum(whole)])
    before = ends[:-1] - np.repeat(ends[chunk.starts[:-1]], np.diff(chunk.starts))
    first = np.floor((before + whole + 1) / 2) - np.floor((before + 1) / 2)
    first += np.where((before + whole) % 2 == 0, chunk.counts - whole, 0.0)
    return _with_counts(chunk, first), _with_counts(chunk, chunk.counts - first)


def _with_counts(chunk: Documents, counts: np.ndarray) -> Documents:
    table = sp.csr_array((counts.astype(chunk.dtype), chunk.terms, chunk.starts), shape=chunk.table.shape, copy=True)
    table.eliminate_zeros()
    return documents_of(table, chunk.weight)


def complete_documents(
    method: Method, pseudo_counts: np.ndarray, alpha: np.ndarray, chunk: Documents, sweeps: Sweeps
) -> Completion:
    """As `complete`, of topics with pseudo-counts (V, K)."""
    topics, topic_word = (m.topics(pseudo_counts, chunk.dtype) for m in (method, METHODS["map"]))
    return complete(method, topics, topic_word.weights, alpha, chunk, sweeps)


def complete(
    method: Method, topics: Topics, topic_word: np.ndarray, alpha: np.ndarray, chunk: Documents, sweeps: Sweeps
) -> Completion:
    """Fold in the first half of each document, and score the second. `topic_word` is padded, (V, width)."""
    first, second = halves(chunk)
    theta = shares_of(method.fold_in(topics, first, alpha, sweeps))
    return Completion(log_likelihood(second, topic_word, theta), second.lengths)


def perplexity_of(log_likelihood: np.ndarray, n_tokens: np.ndarray, sample_weight: Any = None) -> float:
    """Of scores and scored tokens of documents, each (n,)."""
    weight = check_sample_weight(sample_weight, len(n_tokens), n_tokens.dtype)
    weight = np.ones(len(n_tokens)) if weight is None else weight
    present = (weight > 0) & (n_tokens > 0)
    if not present.any():
        raise ValueError("X has no document with two tokens, so that a second half could be scored")
    return float(np.exp(-(weight[present] @ log_likelihood[present]) / (weight[present] @ n_tokens[present])))


def log_likelihood(chunk: Documents, topic_word: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Of each document, sum of count log p(term | theta), (n,); `topic_word` is padded, (V, width)."""
    scores = np.zeros(len(chunk))
    kernels.topic_log_likelihood(
        chunk.starts, chunk.terms, chunk.counts, topic_word, padded(theta, chunk.dtype), scores
    )
    return scores


def shares_of(pseudo_counts: np.ndarray) -> np.ndarray:
    """Rows divided by their sums; even where there is nothing at all."""
    totals = pseudo_counts.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(totals > 0, pseudo_counts / np.where(totals > 0, totals, 1), 1 / pseudo_counts.shape[1])
