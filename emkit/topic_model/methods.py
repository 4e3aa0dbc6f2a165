"""All that depends on `method`: how counts become weights of topics and terms, and what the objective is.

Each method is the same E-step (every token goes to the topics in proportion to the weight of the topic in the document
times that of the term in the topic) with weights of its own ([1]_, table 1):

========  ==========================================  =====================================
method    weight of topic k in a document             weight of term v in topic k
========  ==========================================  =====================================
map       n_k + alpha_k, as a share                   n_kv + eta, as a share
plsa      the same with alpha = 0                     the same with eta = 0
vb        exp digamma(n_k + alpha_k), over the sum's  exp digamma(n_kv + eta), over the sum's
cvb0      n_k + alpha_k less the token itself         (n_kv + eta) / (n_k + V eta), less it
========  ==========================================  =====================================

References
----------
.. [1] Asuncion, A., Welling, M., Smyth, P. and Teh, Y. W. (2009). On smoothing and inference for topic models. UAI,
   27-34. Equations (3) to (5) of VB, (9) of CVB0, (10) and (11) of MAP.
.. [2] Hofmann, T. (1999). Probabilistic latent semantic indexing. SIGIR, 50-57. Equations (3) to (6).
.. [3] Blei, D. M., Ng, A. Y. and Jordan, M. I. (2003). Latent Dirichlet allocation. JMLR 3, 993-1022. Equation (15).
.. [4] Hoffman, M. D., Blei, D. M. and Bach, F. (2010). Online learning for latent Dirichlet allocation. NIPS, 856-864.
   Equation (4): the bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, psi

from ..kernels import _topics as kernels
from ..kernels.padding import aligned_zeros, padded, padded_width
from .documents import Documents


class Topics(NamedTuple):
    """The topics as the kernels take them."""

    weights: np.ndarray  # (V, width) float64 or float32: of term v in topic k; columns beyond k are zero
    log_scale: np.ndarray | None = None  # (V,): log of what the weights of a term were divided by; None is 0
    totals: np.ndarray | None = None  # (width,): sums of the pseudo-counts of each topic


class Sweeps(NamedTuple):
    """How often the documents are updated at fixed topics: at most `most` times, until their counts change, on
    average, by at most `tol`."""

    most: int
    tol: float = 0.0


class Visit(NamedTuple):
    """What a pass over a chunk gives."""

    objective: np.ndarray  # (n,): of each document, its part of the objective, weights apart
    counts: np.ndarray  # (V, K) float64: expected counts of the terms in the topics, weighted
    kept: np.ndarray  # what the next pass begins with


class Method(ABC):
    """One row of the table above. Prior parameters: `alpha` (K,) and `eta`, which broadcasts to (V, K)."""

    name: str
    monotone = True
    keeps_documents = True  # whether a pass begins where the one before ended
    has_priors = True

    @abstractmethod
    def topics(self, pseudo_counts: np.ndarray, dtype: np.dtype) -> Topics:
        """From pseudo-counts (V, K), which include the prior."""

    @abstractmethod
    def visit(
        self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps, kept: np.ndarray | None
    ) -> Visit:
        """The E-step of a chunk."""

    @abstractmethod
    def fold_in(self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps) -> np.ndarray:
        """Pseudo-counts of the topics in new documents, (n, K), prior included; the topics stay as they are."""

    @abstractmethod
    def topic_prior(self, pseudo_counts: np.ndarray, eta: np.ndarray) -> float:
        """The topics' part of the objective."""


class PointEstimate(Method):
    """MAP under Dirichlet priors with parameters alpha + 1 and eta + 1; maximum likelihood if both are zero."""

    name = "map"
    digamma = False

    def topics(self, pseudo_counts: np.ndarray, dtype: np.dtype) -> Topics:
        totals = pseudo_counts.sum(axis=0)
        inverse = 1 / np.where(totals > 0, totals, 1.0)  # a topic without tokens stays so
        weights = aligned_zeros((len(pseudo_counts), padded_width(pseudo_counts.shape[1], dtype)), dtype)
        kernels.topic_shares(np.ascontiguousarray(pseudo_counts), inverse, weights)
        return Topics(weights)

    def visit(
        self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps, kept: np.ndarray | None
    ) -> Visit:
        k, width, dtype = len(alpha), topics.weights.shape[1], chunk.dtype
        pseudo = _first_guess(chunk, alpha, width) if kept is None else kept.copy()
        sums, used = aligned_zeros(topics.weights.shape, dtype), aligned_zeros(pseudo.shape, dtype)
        log_likelihood = np.zeros(len(chunk))
        kernels.topic_sweeps(
            *(chunk.starts, chunk.terms, chunk.counts, chunk.weight, topics.weights, padded(alpha, dtype), k),
            *(self.digamma, sweeps.most, sweeps.tol, pseudo, sums, used, log_likelihood),
        )
        counts = np.empty((chunk.n_terms, k))
        kernels.expected_counts(topics.weights, sums, counts)
        objective = log_likelihood + self.document_prior(used[:, :k], alpha)
        if topics.log_scale is not None:
            objective += chunk.table @ topics.log_scale
        return Visit(objective, counts, pseudo)

    def fold_in(self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps) -> np.ndarray:
        pseudo = _first_guess(chunk, alpha, topics.weights.shape[1])
        kernels.topic_sweeps(
            *(chunk.starts, chunk.terms, chunk.counts, None, topics.weights, padded(alpha, chunk.dtype), len(alpha)),
            *(self.digamma, sweeps.most, sweeps.tol, pseudo, None, None, None),
        )
        return pseudo[:, : len(alpha)]

    def document_prior(self, pseudo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Of each document, (n,): sum of alpha log theta."""
        if not alpha.any():
            return np.zeros(len(pseudo))
        with np.errstate(divide="ignore"):
            log_share = np.log(pseudo) - np.log(pseudo.sum(axis=1, keepdims=True))
        present = alpha > 0
        return log_share[:, present] @ alpha[present]

    def topic_prior(self, pseudo_counts: np.ndarray, eta: np.ndarray) -> float:
        """Sum of eta log phi."""
        if not eta.any():
            return 0.0
        totals = pseudo_counts.sum(axis=0)
        log_totals = np.log(np.where(totals > 0, totals, 1.0))
        if eta.size == 1 and eta.item() > 0:  # the usual case, without a temporary table of products
            logs = kernels.sum_of_logs(np.ascontiguousarray(pseudo_counts))
            return eta.item() * float(logs - len(pseudo_counts) * log_totals.sum())
        present = pseudo_counts > 0  # all but terms without a positive prior that a topic does not have
        logs = np.log(pseudo_counts, where=present, out=np.zeros_like(pseudo_counts))
        return float(np.sum(eta * np.where(present, logs - log_totals, 0.0)))


class LatentSemantics(PointEstimate):
    """PLSA: maximum likelihood."""

    name = "plsa"
    has_priors = False


class Variational(PointEstimate):
    """Variational Bayes for latent Dirichlet allocation ([3]_). Documents begin anew in each pass: from where they
    ended they would not leave the first mode that they found."""

    name = "vb"
    digamma = True
    monotone = False  # for want of the documents' former state; with it, the bound only rises
    keeps_documents = False

    def topics(self, pseudo_counts: np.ndarray, dtype: np.dtype) -> Topics:
        """exp E[log phi], each term's divided by its largest, so that none is 0 for all topics."""
        log_weights = psi(pseudo_counts) - psi(pseudo_counts.sum(axis=0))
        log_scale = log_weights.max(axis=1)
        return Topics(padded(np.exp(log_weights - log_scale[:, None]), dtype), log_scale)

    def document_prior(self, pseudo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Minus the divergence of q(theta) from the prior ([4]_, equation 4)."""
        return -_divergence(pseudo.astype(np.float64), alpha)

    def topic_prior(self, pseudo_counts: np.ndarray, eta: np.ndarray) -> float:
        """Minus the divergence of q(phi) from the prior ([4]_, equation 4)."""
        return -float(_divergence(pseudo_counts.T, np.broadcast_to(eta, pseudo_counts.shape).T).sum())


class Collapsed(Method):
    """Collapsed variational Bayes, order zero (CVB0): each token sees the counts of all others. What is kept are the
    responsibilities of every entry of the table, (m, width)."""

    name = "cvb0"
    monotone = False

    def topics(self, pseudo_counts: np.ndarray, dtype: np.dtype) -> Topics:
        return Topics(padded(pseudo_counts, dtype), totals=padded(pseudo_counts.sum(axis=0), dtype))

    def visit(
        self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps, kept: np.ndarray | None
    ) -> Visit:
        k = len(alpha)
        resp = aligned_zeros((len(chunk.terms), topics.weights.shape[1]), chunk.dtype) if kept is None else kept.copy()
        sums = aligned_zeros(topics.weights.shape, chunk.dtype)
        log_likelihood = self._sweep(topics, chunk, alpha, resp, sums)
        counts = sums[:, :k].astype(np.float64)
        return Visit(log_likelihood, counts, resp)

    def fold_in(self, topics: Topics, chunk: Documents, alpha: np.ndarray, sweeps: Sweeps) -> np.ndarray:
        """Each document by itself ends its updates."""
        k, sizes = len(alpha), np.diff(chunk.starts)
        resp = aligned_zeros((len(chunk.terms), topics.weights.shape[1]), chunk.dtype)
        pseudo, moves = np.tile(alpha, (len(chunk), 1)), np.ones(len(chunk), dtype=bool)
        for _ in range(sweeps.most):
            renewed = resp.copy()
            self._sweep(topics, chunk, alpha, renewed, None)
            entries = np.repeat(moves, sizes)
            resp[entries] = renewed[entries]
            before, pseudo = pseudo, alpha + _by_document(chunk, resp[:, :k])
            moves &= np.abs(pseudo - before).sum(axis=1) > sweeps.tol * k
            if not moves.any():
                break
        return pseudo

    def _sweep(
        self, topics: Topics, chunk: Documents, alpha: np.ndarray, resp: np.ndarray, sums: np.ndarray | None
    ) -> np.ndarray:
        assert topics.totals is not None
        log_likelihood = np.zeros(len(chunk))
        prior, learns = padded(alpha, chunk.dtype), sums is not None
        kernels.topic_sweep_collapsed(
            *(chunk.starts, chunk.terms, chunk.counts, chunk.weight, topics.weights, topics.totals, prior, learns),
            *(resp, sums, log_likelihood),
        )
        return log_likelihood

    def topic_prior(self, pseudo_counts: np.ndarray, eta: np.ndarray) -> float:
        """There is none: topics are integrated out, and the objective is the tokens' given all others."""
        return 0.0


METHODS: dict[str, Method] = {
    method.name: method for method in (PointEstimate(), LatentSemantics(), Variational(), Collapsed())
}


def _first_guess(chunk: Documents, alpha: np.ndarray, width: int) -> np.ndarray:
    """The tokens of a document spread over the topics by the prior, (n, width); evenly if a topic has none, as it could
    not be taken up later."""
    shares = alpha / alpha.sum() if alpha.all() else np.full(len(alpha), 1 / len(alpha))
    pseudo = aligned_zeros((len(chunk), width), chunk.dtype)
    pseudo[:, : len(alpha)] = alpha + chunk.lengths[:, None] * shares
    return pseudo


def _by_document(chunk: Documents, resp: np.ndarray) -> np.ndarray:
    """Expected tokens of each topic in each document, from responsibilities of the entries."""
    weighted = np.zeros((len(chunk.terms) + 1, resp.shape[1]))
    np.multiply(resp, chunk.counts[:, None], out=weighted[:-1])
    sums = np.add.reduceat(weighted, chunk.starts[:-1], axis=0)
    return np.where(np.diff(chunk.starts)[:, None] > 0, sums, 0.0)


def _divergence(parameters: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of Dirichlet(parameters) from Dirichlet(prior), over the last axis."""
    total = parameters.sum(axis=-1, keepdims=True)
    norm = gammaln(total[..., 0]) - gammaln(parameters).sum(axis=-1)
    prior_norm = gammaln(prior.sum(axis=-1)) - gammaln(prior).sum(axis=-1)
    return norm - prior_norm + ((parameters - prior) * (psi(parameters) - psi(total))).sum(axis=-1)
