"""The topic model as an EM model: parameters, statistics and the two steps; methods.py has what `method` changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..engine import Stats
from .documents import Documents, Kept
from .methods import Method, Sweeps, Topics

ONE_SWEEP = Sweeps(1)
SMALLEST = 1e-300  # of a pseudo-count whose log is taken
ROUNDING = 64  # units in the last place of a sum over tokens


class TopicModelParams(NamedTuple):
    """Parameters: the topics, and what the documents begin the next pass with."""

    pseudo_counts: np.ndarray  # (V, K) float64: expected counts of the terms in the topics plus their prior
    alpha: np.ndarray  # (K,): prior pseudo-counts of the topics in a document; steps leave them as they are
    topics: Topics
    kept: Kept


@dataclass(frozen=True)
class TopicModelStats(Stats):
    """Expected sufficient statistics.

    Attributes
    ----------
    counts : ndarray of shape (V, K)
        Expected number of tokens of each term in each topic, weighted.
    kept : Kept
        What the next pass over these documents begins with.
    """

    counts: np.ndarray
    kept: Kept


@dataclass(frozen=True, eq=False)
class TopicModel:
    """Hyper-parameters and the two steps; pure. See :class:`emkit.engine.EMModel`.

    Attributes
    ----------
    method : Method
        One of :data:`emkit.topic_model.methods.METHODS`.
    alpha : ndarray of shape (K,)
        Prior pseudo-counts of the topics in a document, at a start.
    eta : ndarray, broadcasts to (V, K)
        Prior pseudo-counts of the terms in a topic.
    dtype : dtype
        Of the documents and of the loops over them.
    sweeps : Sweeps
        Updates of a document in a pass that begins where the one before ended.
    first_sweeps : Sweeps
        The same for a document of which nothing is kept.
    held : ndarray of shape (V, m) or None
        Pseudo-counts of topics that the M-step leaves as they are, ...
    is_held : ndarray of shape (m' >= m,), bool, or None
        ... and which of the first m' topics these are. None is none.
    documents_stay : bool
        Whether what is kept of documents is there in the next pass, without which no objective is sure to rise.
    n_documents : float or None
        Total weight of the documents that statistics stand for, where they are a share of them; None if they are all.
    mean_length : float
        Tokens of a document, whose number bounds what is lost by rounding where all of them are likely.
    """

    method: Method
    alpha: np.ndarray
    eta: np.ndarray
    dtype: np.dtype
    sweeps: Sweeps = ONE_SWEEP
    first_sweeps: Sweeps = ONE_SWEEP
    held: np.ndarray | None = None
    is_held: np.ndarray | None = None
    documents_stay: bool = True
    n_documents: float | None = None
    mean_length: float = 0.0

    @property
    def can_accelerate(self) -> bool:
        """Where an objective says whether a step was one too far."""
        return self.monotone

    @property
    def n_components(self) -> int:
        return len(self.alpha)

    @property
    def monotone(self) -> bool:
        """Not with a negative prior, which has no maximum: terms that leave a topic lift the objective at will."""
        return self.method.monotone and self.documents_stay and bool((self.eta >= 0).all())

    def params(
        self, pseudo_counts: np.ndarray, alpha: np.ndarray | None = None, kept: Kept | None = None
    ) -> TopicModelParams:
        """Parameters of pseudo-counts (V, K), the held topics put in; without `alpha`, with the model's."""
        if self.is_held is not None:
            pseudo_counts = pseudo_counts.copy()
            pseudo_counts[:, np.flatnonzero(self.is_held)] = self.held
        topics = self.method.topics(pseudo_counts, self.dtype)
        return TopicModelParams(pseudo_counts, self.alpha if alpha is None else alpha, topics, kept or Kept())

    def init_params(self, chunks: Iterable[Documents], rng: np.random.Generator) -> TopicModelParams:
        """A start from documents far from each other."""
        from .starts import Starts  # starts use the model

        return Starts(self, chunks).draw(0, rng)

    def e_step(self, params: TopicModelParams, chunk: Documents) -> TopicModelStats:
        """Expected counts of a chunk, and what it begins the next pass with."""
        before = params.kept.of(chunk)
        sweeps = self.first_sweeps if before is None else self.sweeps
        visit = self.method.visit(params.topics, chunk, params.alpha, sweeps, before)
        kept = Kept()
        if chunk.place is not None and self.method.keeps_documents:
            kept = Kept({chunk.place: visit.kept})
        return TopicModelStats(
            float(chunk.weight.astype(np.float64) @ visit.objective),
            float(chunk.weight.sum(dtype=np.float64)),
            visit.counts,
            kept,
        )

    def m_step(self, stats: TopicModelStats, params: TopicModelParams) -> TopicModelParams:
        """Counts plus prior."""
        counts = stats.counts
        if self.n_documents is not None:
            counts = counts * (self.n_documents / stats.weight)
        return self.params(self.with_prior(counts), params.alpha, stats.kept)

    def with_prior(self, counts: np.ndarray) -> np.ndarray:
        """Pseudo-counts of counts (V, K). Below zero (a negative prior) a term leaves the topic, but not all topics."""
        pseudo_counts = counts + self.eta
        if (self.eta < 0).any():
            np.maximum(pseudo_counts, 0, out=pseudo_counts)
            lost = np.flatnonzero((pseudo_counts.sum(axis=1) == 0) & (counts.sum(axis=1) > 0))
            last = counts[lost].argmax(axis=1)
            pseudo_counts[lost, last] = counts[lost, last]
        return pseudo_counts

    def log_prior(self, params: TopicModelParams) -> float:
        """That of the topics; the documents' is in the statistics."""
        pseudo_counts, eta = params.pseudo_counts, self.eta
        if self.is_held is not None:
            pseudo_counts = pseudo_counts[:, self._is_free]
            eta = eta if eta.shape[1] == 1 else eta[:, self._is_free]
        return self.method.topic_prior(pseudo_counts, eta)

    def n_free(self, params: TopicModelParams) -> int:
        """Those of the topics; the weights of the documents are left out, as they grow with the data."""
        n_held = 0 if self.held is None else self.held.shape[1]
        return (self.n_components - n_held) * (len(params.pseudo_counts) - 1)

    def rounding(self, params: TopicModelParams) -> float:
        return float(ROUNDING * np.finfo(self.dtype).eps + self.mean_length * np.finfo(np.float64).eps)

    def to_vector(self, params: TopicModelParams) -> np.ndarray:
        """Logs of the pseudo-counts of the topics that are not held."""
        return np.log(np.maximum(params.pseudo_counts[:, self._is_free], SMALLEST)).ravel()

    def from_vector(self, vector: np.ndarray, params: TopicModelParams) -> TopicModelParams | None:
        """Back again, for the documents as they are in `params`; None where the vector is out of range."""
        pseudo_counts = params.pseudo_counts.copy()
        with np.errstate(over="ignore"):
            pseudo_counts[:, self._is_free] = np.exp(vector).reshape(len(pseudo_counts), -1)
        return self.params(pseudo_counts, params.alpha, params.kept) if np.isfinite(pseudo_counts).all() else None

    @property
    def _is_free(self) -> np.ndarray:
        is_free = np.ones(self.n_components, dtype=bool)
        if self.is_held is not None:
            is_free[np.flatnonzero(self.is_held)] = False
        return is_free

    def widened(self, n_more: int) -> TopicModel:
        """The same with more topics at the end, like the last."""
        eta = self.eta if self.eta.shape[1] == 1 else np.hstack([self.eta, np.repeat(self.eta[:, -1:], n_more, axis=1)])
        return replace(self, alpha=np.append(self.alpha, np.repeat(self.alpha[-1], n_more)), eta=eta)

    def recentre(
        self, stats: TopicModelStats, params: TopicModelParams, new_params: TopicModelParams
    ) -> TopicModelStats:
        """The same: counts are about nothing."""
        return stats
