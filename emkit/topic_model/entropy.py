"""How sure the topics of the tokens are."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from .documents import Documents

BLOCK = 20_000  # entries at a time


def token_entropy(chunk: Documents, topic_word: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Of each document, (n,): entropy of its tokens' topics given the terms, natural log, summed."""
    k = theta.shape[1]
    document = np.repeat(np.arange(len(chunk)), np.diff(chunk.starts))
    entropy = np.zeros(len(chunk))
    for start in range(0, len(document), BLOCK):
        entries = slice(start, start + BLOCK)
        resp = theta[document[entries]] * topic_word[chunk.terms[entries], :k]
        mixture = resp.sum(axis=1, keepdims=True)
        resp /= np.where(mixture > 0, mixture, 1)
        by_entry = -xlogy(resp, resp).sum(axis=1) * chunk.counts[entries]
        entropy += np.bincount(document[entries], weights=by_entry, minlength=len(chunk))
    return entropy
