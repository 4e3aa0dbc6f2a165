"""How mixing weights are estimated: by maximum likelihood, or under a prior that empties what is not needed.

Under a prior the weights pi have a distribution q, which variational EM finds ([1]_, [2]_). The E-step has
exp(E[log pi]) in the place of pi, the M-step makes q of the expected counts, and the objective is a lower bound on the
likelihood with the weights integrated out: it holds -KL(q || prior), and no step lowers it. q is known by the expected
counts (k,), so these stand for it.

References
----------
.. [1] Attias, H. (1999). Inferring parameters and structure of latent variable models by variational Bayes. UAI 15,
   21-30.
.. [2] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer. Section 10.2, equations (10.57),
   (10.58) and (10.66).
.. [3] Blei, D. M. and Jordan, M. I. (2006). Variational inference for Dirichlet process mixtures. Bayesian Anal. 1(1),
   121-143. Section 3.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, digamma, gammaln

from ..families.base import log

LEAST_LOG = -1e3  # of a weight in a vector; exp of it is zero


class Weighting(ABC):
    """A rule for weights (k,). `counts` (k,) is what it keeps beside them; None if that is nothing."""

    @abstractmethod
    def estimate(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Weights from expected counts, and what is kept."""

    @abstractmethod
    def start(self, weights: np.ndarray, n: float) -> tuple[np.ndarray, np.ndarray | None]:
        """What stands for given weights of data of total weight n."""

    @abstractmethod
    def log_weights(self, weights: np.ndarray, counts: Any) -> np.ndarray:
        """What the E-step adds to log densities, (k,)."""

    def log_prior(self, counts: Any) -> float:
        """What the objective has beside the likelihood."""
        return 0.0

    @abstractmethod
    def to_vector(self, weights: np.ndarray, counts: Any) -> np.ndarray:
        """Unconstrained, (k,)."""

    @abstractmethod
    def from_vector(self, vector: np.ndarray, counts: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Back again; `counts` are those before, of the same sum."""


class MostLikely(Weighting):
    """Shares of the counts: maximum likelihood."""

    def estimate(self, counts):
        return counts / counts.sum(), None

    def start(self, weights, n):
        return weights, None

    def log_weights(self, weights, counts):
        return log(weights)

    def to_vector(self, weights, counts):
        return np.maximum(log(weights), LEAST_LOG)

    def from_vector(self, vector, counts):
        return self.estimate(np.exp(vector - vector.max()))


@dataclass(frozen=True)
class UnderPrior(Weighting):
    """Weights with a distribution, of which `weights` is the mean.

    Attributes
    ----------
    concentration : float
        > 0; the smaller it is, the fewer components keep rows.
    """

    concentration: float

    @abstractmethod
    def mean(self, counts: np.ndarray) -> np.ndarray:
        """E[pi] under q, (k,)."""

    @abstractmethod
    def mean_log(self, counts: np.ndarray) -> np.ndarray:
        """E[log pi] under q, (k,)."""

    @abstractmethod
    def divergence(self, counts: np.ndarray) -> float:
        """KL(q || prior)."""

    def estimate(self, counts):
        return self.mean(counts), counts

    def start(self, weights, n):
        return self.estimate(weights * n)

    def log_weights(self, weights, counts):
        return self.mean_log(counts)

    def log_prior(self, counts):
        return -self.divergence(counts)

    def to_vector(self, weights, counts):
        return np.maximum(log(counts), LEAST_LOG)

    def from_vector(self, vector, counts):
        shares = np.exp(vector - vector.max())
        return self.estimate(shares * (counts.sum() / shares.sum()))


class Dirichlet(UnderPrior):
    """A symmetric Dirichlet prior: q is Dirichlet of concentration + counts ([2]_)."""

    def mean(self, counts):
        posterior = self.concentration + counts
        return posterior / posterior.sum()

    def mean_log(self, counts):
        posterior = self.concentration + counts
        return digamma(posterior) - digamma(posterior.sum())

    def divergence(self, counts):
        prior = np.full(len(counts), self.concentration)
        posterior = prior + counts
        return float(_log_norm(prior) - _log_norm(posterior) + counts @ self.mean_log(counts))


class DirichletProcess(UnderPrior):
    """Sticks broken one after the other, cut off at k: q has a beta distribution for each break but the last ([3]_)."""

    def _breaks(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters of the beta distributions, (k - 1,) each."""
        later = counts[::-1].cumsum()[::-1][1:]
        return 1 + counts[:-1], self.concentration + later

    def mean(self, counts):
        broken, left = self._breaks(counts)
        share = broken / (broken + left)
        return np.append(share, 1.0) * np.cumprod(np.insert(1 - share, 0, 1.0))

    def mean_log(self, counts):
        broken, left = self._breaks(counts)
        total = digamma(broken + left)
        before = np.cumsum(np.insert(digamma(left) - total, 0, 0.0))
        return np.append(digamma(broken) - total, 0.0) + before

    def divergence(self, counts):
        broken, left = self._breaks(counts)
        total = digamma(broken + left)
        each = betaln(1, self.concentration) - betaln(broken, left)
        each += (broken - 1) * (digamma(broken) - total) + (left - self.concentration) * (digamma(left) - total)
        return float(each.sum())


WEIGHTINGS = {"dirichlet_distribution": Dirichlet, "dirichlet_process": DirichletProcess}


def _log_norm(concentration: np.ndarray) -> float:
    """log of the integral of prod pi^(concentration - 1) over the simplex."""
    return float(gammaln(concentration).sum() - gammaln(concentration.sum()))
