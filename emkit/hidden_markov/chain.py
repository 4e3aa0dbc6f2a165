"""The hidden chain: where it starts, how it moves, and the M-step of both.

References
----------
.. [1] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
   Proc. IEEE 77(2), 257-286. The M-step is its equations (40a) and (40b), with Dirichlet priors.
.. [2] Zucchini, W., MacDonald, I. L. and Langrock, R. (2016). Hidden Markov Models for Time Series, 2nd ed. CRC Press.
   Section 4.2.5: with a stationary start the M-step of the transition matrix has no closed form.
.. [3] Schweitzer, P. J. (1968). Perturbation theory and finite Markov chains. J. Appl. Probab. 5(2), 401-413.
   Derivative of the stationary distribution by the fundamental matrix.
.. [4] Grassmann, W. K., Taksar, M. I. and Heyman, D. P. (1985). Regenerative analysis and steady state distributions
   for Markov chains. Oper. Res. 33(5), 1107-1116.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components
from scipy.special import softmax, xlogy

STARTS = ("free", "stationary", "uniform")
NEVER = 1e-60  # a transition as rare as this has no effect that rounding would show, so it is none
LEAST_LOG = -1e3  # of a probability in an unconstrained vector; exp of it is zero


@dataclass(frozen=True, eq=False)
class Chain:
    """Rules of the start probabilities (k,) and the transition matrix (k, k).

    Attributes
    ----------
    start : {"free", "stationary", "uniform"}
        Start probabilities of their own, the stationary distribution of the transition matrix, or 1 / k.
    startprob_prior, transmat_prior : ndarray of shape (k,) and (k, k)
        Dirichlet concentrations, at least 1; 1 is maximum likelihood.
    start_allowed, moves_allowed : ndarray of bool, shape (k,) and (k, k)
        What is not allowed stays at zero.
    fixed : frozenset of {"startprob", "transmat"}
        What the M-step leaves as it is.
    """

    start: str
    startprob_prior: np.ndarray
    transmat_prior: np.ndarray
    start_allowed: np.ndarray
    moves_allowed: np.ndarray
    fixed: frozenset[str] = frozenset()

    @property
    def allows_all(self) -> bool:
        """Whether there are no structural zeros."""
        return bool(self.start_allowed.all() and self.moves_allowed.all())

    @property
    def _has_start(self) -> bool:
        """Whether the start probabilities are parameters to be estimated."""
        return self.start == "free" and "startprob" not in self.fixed

    def m_step(
        self, first: np.ndarray, pairs: np.ndarray, startprob: np.ndarray, transmat: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """From the expected numbers of sequences that start in each state and of transitions."""
        if "transmat" not in self.fixed:
            closed = shares_of(np.where(self.moves_allowed, pairs + (self.transmat_prior - 1), 0.0), transmat)
            if self.start == "stationary":
                closed = self._stationary_m_step(first, pairs, transmat, closed)
            transmat = closed
        if self._has_start:
            startprob = shares_of(np.where(self.start_allowed, first + (self.startprob_prior - 1), 0.0), startprob)
        return self.start_of(startprob, transmat), transmat

    def start_of(self, startprob: np.ndarray, transmat: np.ndarray) -> np.ndarray:
        """The start probabilities that belong to a transition matrix."""
        if self.start == "stationary":
            return stationary_distribution(transmat)
        return np.full(len(startprob), 1 / len(startprob)) if self.start == "uniform" else startprob

    def _stationary_m_step(
        self, first: np.ndarray, pairs: np.ndarray, before: np.ndarray, closed: np.ndarray
    ) -> np.ndarray:
        """A transition matrix with at least the expected log-likelihood of `before` ([2]_), by L-BFGS on its logits."""
        counts = np.where(self.moves_allowed, pairs + (self.transmat_prior - 1), 0.0)

        def value(transmat: np.ndarray) -> float:
            return float(xlogy(first, stationary_distribution(transmat)).sum() + xlogy(counts, transmat).sum())

        def negative(logits: np.ndarray) -> tuple[float, np.ndarray]:
            transmat = self._from_logits(logits)
            slope = transmat * _stationary_slope(first, transmat) + counts
            slope -= transmat * slope.sum(axis=1, keepdims=True)
            return -value(transmat), -slope[self.moves_allowed]

        best = max((before, closed), key=value)
        exact = {"maxiter": 20, "ftol": 0.0, "gtol": 1e-9 * pairs.sum()}  # it is EM that decides when to stop
        found = minimize(negative, _logs(best)[self.moves_allowed], jac=True, method="L-BFGS-B", options=exact)
        better = without_nevers(self._from_logits(found.x))
        return better if value(better) > value(best) else best

    def _from_logits(self, logits: np.ndarray) -> np.ndarray:
        full = np.full(self.moves_allowed.shape, -np.inf)
        full[self.moves_allowed] = logits
        transmat: np.ndarray = softmax(full, axis=1)
        return transmat

    def log_prior(self, startprob: np.ndarray, transmat: np.ndarray) -> float:
        """Log density of the priors, up to their constants."""
        moves = xlogy((self.transmat_prior - 1)[self.moves_allowed], transmat[self.moves_allowed]).sum()
        if self.start != "free":
            return float(moves)
        return float(moves + xlogy((self.startprob_prior - 1)[self.start_allowed], startprob[self.start_allowed]).sum())

    def with_prior_of(self, factor: float) -> Chain:
        """The same rules with priors that weigh so many times as much."""
        return replace(
            self,
            startprob_prior=1 + (self.startprob_prior - 1) * factor,
            transmat_prior=1 + (self.transmat_prior - 1) * factor,
        )

    def n_free(self) -> int:
        moves = self.moves_allowed.sum() - len(self.moves_allowed) if "transmat" not in self.fixed else 0
        return int(moves + (self.start_allowed.sum() - 1 if self._has_start else 0))

    def to_vector(self, startprob: np.ndarray, transmat: np.ndarray) -> np.ndarray:
        """Logs of what may vary."""
        moves = [] if "transmat" in self.fixed else [_logs(transmat)[self.moves_allowed]]
        start = [_logs(startprob)[self.start_allowed]] if self._has_start else []
        return np.concatenate([np.empty(0), *start, *moves])

    def from_vector(
        self, vector: np.ndarray, startprob: np.ndarray, transmat: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._has_start:
            n = int(self.start_allowed.sum())
            startprob = np.zeros(len(startprob))
            startprob[self.start_allowed] = softmax(vector[:n])
            vector = vector[n:]
        if "transmat" not in self.fixed:
            transmat = without_nevers(self._from_logits(vector))
        return self.start_of(startprob, transmat), transmat

    def size(self) -> int:
        """Length of the vector."""
        moves = 0 if "transmat" in self.fixed else int(self.moves_allowed.sum())
        return moves + (int(self.start_allowed.sum()) if self._has_start else 0)


def stationary_distribution(transmat: np.ndarray) -> np.ndarray:
    """Probabilities (k,) that a transition matrix (k, k) leaves as they are; exactly 0 for states left for ever.

    Where it is not unique (several sets of states that are never left) it is one that visits them all.
    """
    k = len(transmat)
    if transmat.min() > NEVER:
        return _stationary_of_one_class(transmat)
    distribution = np.zeros(k)
    _, label = connected_components(transmat > 0, directed=True, connection="strong")
    for index in range(label.max() + 1):
        inside = label == index
        if not (transmat[np.ix_(inside, ~inside)] > 0).any():  # once in these states, always in them
            distribution[inside] = inside.sum() * _stationary_of_one_class(transmat[np.ix_(inside, inside)])
    shares: np.ndarray = distribution / distribution.sum()
    return shares


def _stationary_of_one_class(transmat: np.ndarray) -> np.ndarray:
    """The solution of start = start A, sum 1, where each state can be reached from each.

    States are taken away one after the other, and put back ([4]_). Nothing is subtracted, so that sets of states that
    are hardly ever left, of probabilities below the rounding of 1, have their right shares too.
    """
    k = len(transmat)
    reduced, away = transmat.copy(), np.zeros(k)
    for state in range(k - 1, 0, -1):
        others = slice(state)
        away[state] = max(reduced[state, others].sum(), np.finfo(float).tiny)
        reduced[others, others] += np.outer(reduced[others, state], reduced[state, others] / away[state])
    shares = np.ones(1)
    for state in range(1, k):
        shares = np.append(shares * away[state], shares @ reduced[:state, state])
        shares = np.maximum(shares / shares.max(), np.finfo(float).tiny)
    positive: np.ndarray = shares / shares.sum()
    return positive


def expected_durations(transmat: np.ndarray) -> np.ndarray:
    """Expected number of rows of a stay in each state, 1 / (1 - a_kk); infinite if it is never left."""
    leave = 1 - np.diag(transmat)
    return np.where(leave > 0, 1 / np.where(leave > 0, leave, 1), np.inf)


def _stationary_slope(first: np.ndarray, transmat: np.ndarray) -> np.ndarray:
    """Derivative of sum_k first_k log start_k by the transition matrix, for its stationary start ([3]_)."""
    k = len(transmat)
    start = stationary_distribution(transmat)
    try:
        fundamental = np.linalg.inv(np.eye(k) - transmat + start)
    except np.linalg.LinAlgError:  # several sets of states that are never left
        fundamental = np.linalg.pinv(np.eye(k) - transmat + start)
    return np.outer(start, fundamental @ np.divide(first, start, out=np.zeros(k), where=start > 0))


def shares_of(counts: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Counts over their row's total; a row without any stays as it was."""
    total = counts.sum(axis=-1, keepdims=True)
    return without_nevers(np.where(total > 0, counts / np.where(total > 0, total, 1.0), before))


def without_nevers(probabilities: np.ndarray) -> np.ndarray:
    return np.where(probabilities < NEVER, 0.0, probabilities)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(probabilities), LEAST_LOG)
