"""Starts of a topic model: each topic the terms of a few documents that resemble each other.

The first document of a topic is drawn far from those of the topics before it, as k-means++ does ([1]_), in the geometry
of term frequencies weighted by rarity. Such starts lead to higher likelihoods and more coherent topics than random
ones, and in fewer passes. Documents are put in an order of their own, and drawn by weight, so that neither the order
of the rows nor a weight written as repetition makes a difference.

References
----------
.. [1] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA, 1027-1035.
   Section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from ..engine import run_em
from ..seeding import draw_row
from .documents import Documents, joined
from .merging import merged
from .model import TopicModel, TopicModelParams
from .options import Given

NEIGHBOURS = (5, 20)  # documents of a topic, in turn; the fewer, the sharper the topics
BACKGROUND = 0.3  # share of a topic that is as in the whole corpus
UNEVENNESS = 0.1  # of the weights of terms at random, so that no two topics are the same
N_CANDIDATES = 4
SURPLUS = 0.7  # topics beyond those asked for, as a share of them
WIDE_STEPS = 30  # of EM with the surplus


class Starts:
    """Draws starts from some documents."""

    def __init__(self, model: TopicModel, chunks: Iterable[Documents], given: Given | None = None) -> None:
        self._model = model
        self._given = given or Given()
        self._documents = replace(_in_own_order(joined(chunks)), place=0)

    def draw(self, number: int, rng: np.random.Generator) -> TopicModelParams:
        """Start `number`, from 0: more topics than are asked for, some steps of EM, and those alike merged."""
        n_free = self._model.n_components - self._given.n_topics
        n_more = int(SURPLUS * n_free)
        if n_more == 0:
            return self.seeded(number, rng)
        wide = self._model.widened(n_more)
        result = run_em(wide, self.seeded(number, rng, wide), [self._documents], tol=0, max_iter=WIDE_STEPS)
        counts = merged(result.stats.counts, self._model.n_components, self._given.n_topics)
        return self._model.params(self._model.with_prior(counts))

    def given(self) -> TopicModelParams:
        """Topics that are all given, as they are; a term that one has not begins with its prior."""
        given = np.array(list(self._given_topics())).T
        return self._model.params(np.where(given > 0, given, np.maximum(self._model.eta, 0)))

    def seeded(self, number: int, rng: np.random.Generator, model: TopicModel | None = None) -> TopicModelParams:
        """Each topic the terms of a few documents, of which start `number` says how many."""
        model, documents = model or self._model, self._documents
        background = _shares(documents.term_counts)
        topics = np.empty((documents.n_terms, model.n_components))
        groups = self._groups(model.n_components, NEIGHBOURS[number % len(NEIGHBOURS)], rng)
        for k, near in enumerate(groups):
            topics[:, k] = (1 - BACKGROUND) * _shares(near @ self._counts) + BACKGROUND * background
        topics *= rng.uniform(1 - UNEVENNESS, 1 + UNEVENNESS, topics.shape)
        for k, distribution in enumerate(self._given_topics()):
            topics[:, k] = distribution
        topics *= documents.term_counts.sum() / model.n_components / topics.sum(axis=0)
        return model.params(model.with_prior(topics))

    def _given_topics(self) -> Iterable[np.ndarray]:
        """Those given as such; and for groups of seed words, half these words and half the documents that hold them."""
        yield from () if self._given.components is None else self._given.components
        for columns in self._given.words:
            holding = self._counts[:, columns].sum(axis=1) * self._documents.weight
            distribution = _shares(holding @ self._counts)
            distribution[columns] += 1 / len(columns)
            yield distribution

    @cached_property
    def _counts(self) -> sp.csr_array:
        return self._documents.table.astype(np.float64)

    @cached_property
    def _similarity(self) -> np.ndarray:
        """Cosines of the documents' weighted term frequencies, (n, n) float32."""
        documents = self._documents
        present = (documents.weight > 0) & (documents.lengths > 0)
        holds = documents.table.astype(bool).astype(np.float64)
        frequency = (documents.weight * present).astype(np.float64) @ holds
        rarity = np.log((documents.weight[present].sum() + 1) / (frequency + 1)) + 1e-3
        weighted = self._counts @ _diagonal(rarity)
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        unit = _diagonal(1 / np.where(norms > 0, norms, 1)) @ weighted
        unit = sp.csr_array(unit, dtype=np.float32)
        return (unit @ unit.T).toarray()

    def _groups(self, n_groups: int, size: int, rng: np.random.Generator) -> Iterable[np.ndarray]:
        """For each topic, by how much each document belongs to its group, (n,); together about `size` documents."""
        weight = self._documents.weight.astype(np.float64) * (self._documents.lengths > 0)
        nearest = np.zeros(len(weight), dtype=np.float32)
        for number in range(n_groups):
            potential = weight * np.maximum(1 - nearest, 0)
            if number == 0 or potential.sum() <= 1e-6 * weight.sum():
                potential = weight  # the first, or more topics than distinct documents
            candidates = draw_row(potential, rng.random(N_CANDIDATES if number else 1))
            covered = np.maximum(self._similarity[candidates], nearest)
            best = int(np.argmax(covered @ weight))
            nearest = covered[best]
            yield _most_similar(self._similarity[candidates[best]], weight, size)


def _diagonal(values: np.ndarray) -> sp.dia_array:
    """As `scipy.sparse.diags_array`, which SciPy 1.11 lacks."""
    return sp.dia_array((values, 0), shape=(len(values), len(values)))


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(float(counts.sum()), 1e-300)


def _most_similar(similarity: np.ndarray, weight: np.ndarray, size: float) -> np.ndarray:
    """The documents most similar to one, until their weight is `size`; of the last as much as is wanting."""
    order = np.argsort(-similarity, kind="stable")
    share = np.zeros_like(weight)
    share[order] = np.clip(size - (np.cumsum(weight[order]) - weight[order]), 0, weight[order])
    return share


def _in_own_order(documents: Documents) -> Documents:
    """Sorted by length and by the value of a fixed linear function, which the order of the rows does not change."""
    place = np.random.default_rng(0).random(documents.n_terms)  # always the same
    value = documents.table.astype(np.float64) @ place
    return documents.take(np.lexsort((value, documents.lengths)))
