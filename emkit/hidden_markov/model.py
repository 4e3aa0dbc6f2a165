"""The hidden Markov model as an EM model: parameters, statistics and the two steps of Baum and Welch.

References
----------
.. [1] Baum, L. E., Petrie, T., Soules, G. and Weiss, N. (1970). A maximization technique occurring in the statistical
   analysis of probabilistic functions of Markov chains. Ann. Math. Statist. 41(1), 164-171.
.. [2] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
   Proc. IEEE 77(2), 257-286. Equations (19) to (27), (37), (40a) and (40b).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from ..engine import Stats, UnusableStartError
from ..families.base import Family, Sums
from .chain import Chain
from .sequences import Sequences, joined
from .smoothing import Smoothed, smoothed_pieces

PARAMETERS = ("startprob", "transmat")


class HiddenMarkovParams(NamedTuple):
    """Parameters of the chain and of the rows given the state."""

    startprob: np.ndarray  # (k,), sum to one
    transmat: np.ndarray  # (k, k), rows sum to one
    emission: Any  # as the family has them


@dataclass(frozen=True)
class HiddenMarkovStats(Stats):
    """Expected sufficient statistics.

    Attributes
    ----------
    first : ndarray of shape (k,)
        Expected weight of the sequences that start in each state.
    pairs : ndarray of shape (k, k)
        Expected weight of the transitions from state to state.
    counts : ndarray of shape (k,)
        Expected weight of the rows in each state.
    moments : Sums
        Of the family.
    """

    first: np.ndarray
    pairs: np.ndarray
    counts: np.ndarray
    moments: Sums


@dataclass(frozen=True, eq=False)
class HiddenMarkovModel:
    """Hyper-parameters and the two steps; pure. See :class:`emkit.engine.EMModel`. Chunks are `Sequences`.

    Attributes
    ----------
    family : Family
        The densities of rows given the state.
    chain : Chain
        Rules of the start probabilities and of the transition matrix.
    fixed : frozenset of str
        Names of the family's parameters that the M-step leaves as they are.
    can_accelerate : bool
        Whether the family has an unconstrained vector.
    """

    family: Family
    chain: Chain
    fixed: frozenset[str] = frozenset()
    can_accelerate: bool = True

    monotone = True

    def init_params(self, chunks: Iterable[Sequences], rng: np.random.Generator) -> HiddenMarkovParams:
        """A start from k-means on all rows."""
        from .starts import Starts  # starts use the model

        return Starts(self, joined(list(chunks))).draw("kmeans", rng)

    def e_step(self, params: HiddenMarkovParams, chunk: Sequences) -> HiddenMarkovStats:
        """Forward and backward ([2]_, equations 19 to 27 and 37), and the moments under the responsibilities."""
        pieces = smoothed_pieces(self, params, chunk)
        return reduce(add, (self._stats(params, piece, result) for _, piece, result in pieces))

    def _stats(self, params: HiddenMarkovParams, chunk: Sequences, result: Smoothed) -> HiddenMarkovStats:
        return HiddenMarkovStats(
            objective=float(chunk.weight @ result.log_likelihood),
            weight=float(chunk.rows.weight.sum()),
            first=result.first,
            pairs=result.pairs,
            counts=np.ones(len(chunk.rows)) @ result.resp,
            moments=Sums(self.family.moments(params.emission, chunk.rows, result.resp)),
        )

    def m_step(self, stats: HiddenMarkovStats, params: HiddenMarkovParams) -> HiddenMarkovParams:
        """Shares of starts and transitions ([2]_, equations 40a and 40b); the family does the rest."""
        startprob, transmat = self.chain.m_step(stats.first, stats.pairs, params.startprob, params.transmat)
        emission = self.family.m_step(stats.moments, params.emission, self.fixed)
        return HiddenMarkovParams(startprob, transmat, emission)

    def log_prior(self, params: HiddenMarkovParams) -> float:
        return self.chain.log_prior(params.startprob, params.transmat) + self.family.log_prior(params.emission)

    def recentre(
        self, stats: HiddenMarkovStats, params: HiddenMarkovParams, new_params: HiddenMarkovParams
    ) -> HiddenMarkovStats:
        """The same statistics, as if taken under `new_params`."""
        return replace(stats, moments=Sums(self.family.recentre(stats.moments, params.emission, new_params.emission)))

    def per_row(self, weight: float) -> HiddenMarkovModel:
        """The model for statistics of one row on average, in place of those of the given weight."""
        return replace(self, family=self.family.with_prior_of(1 / weight), chain=self.chain.with_prior_of(1 / weight))

    def n_free(self, params: HiddenMarkovParams) -> int:
        return self.chain.n_free() + self.family.n_free(self.fixed)

    def rounding(self, params: HiddenMarkovParams) -> float:
        return self.family.rounding(params.emission)

    def to_vector(self, params: HiddenMarkovParams) -> np.ndarray:
        """Log probabilities of the chain, then the family's vector."""
        emission = self.family.to_vector(params.emission, self.fixed)
        return np.concatenate([self.chain.to_vector(params.startprob, params.transmat), emission])

    def from_vector(self, vector: np.ndarray, params: HiddenMarkovParams) -> HiddenMarkovParams | None:
        """Back again; None where the vector is out of range."""
        size = self.chain.size()
        if not np.isfinite(vector).all():
            return None
        startprob, transmat = self.chain.from_vector(vector[:size], params.startprob, params.transmat)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                emission = self.family.from_vector(vector[size:], params.emission, self.fixed)
        except (UnusableStartError, np.linalg.LinAlgError):
            return None
        return HiddenMarkovParams(startprob, transmat, emission)
