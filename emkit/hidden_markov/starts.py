"""Where EM starts: rows divided among the states by their values, or by stretches of time.

References
----------
.. [1] Maruotti, A. and Punzo, A. (2021). Initialization of hidden Markov and semi-Markov models: a critical evaluation
   of several strategies. Int. Stat. Rev. 89(3), 447-480. Partitions by k-means and random ones, several of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..seeding import names_of_parts, partition, squared_distances
from .chain import shares_of
from .sequences import Sequences

if TYPE_CHECKING:
    from .model import HiddenMarkovModel, HiddenMarkovParams

METHODS = ("kmeans", "rows", "segments", "k-means++")
SURE = 0.9  # share of a row that goes to its own part at a start
STAYS = (0.0, 0.5, 0.9)  # how much states tend to stay in drawn transition matrices


class Starts:
    """Draws starting parameters for a model from some sequences; `given` are parts that the user gave."""

    def __init__(self, model: HiddenMarkovModel, data: Sequences, given: dict[str, Any] | None = None) -> None:
        self._model = model
        self._data = data
        self._given = given or {}
        self._z = model.family.features(data.rows.X)

    def draw(self, method: str, rng: np.random.Generator) -> HiddenMarkovParams:
        """A start by one of `METHODS`."""
        labels = self._data.labels
        k = self._model.family.n_components
        if labels is not None and len(np.unique(labels[labels >= 0])) == k:
            return self.from_responsibilities((labels[:, None] == np.arange(k)).astype(np.float64))
        told = self._told()
        if told is not None:
            return self.from_responsibilities(self._soft(told))
        resp = self._soft(self._partition(method, rng))
        if method in ("segments", "k-means++"):
            return self.from_responsibilities(resp)
        return self.from_responsibilities(
            resp, self._drawn_moves(rng, STAYS[-1] if method == "kmeans" else rng.choice(STAYS))
        )

    def from_responsibilities(self, resp: np.ndarray, transmat: np.ndarray | None = None) -> HiddenMarkovParams:
        """Parameters of parts of the rows, (n, k); without a transition matrix, from their succession in time."""
        from .model import HiddenMarkovParams

        data, family, chain, given = self._data, self._model.family, self._model.chain, self._given
        resp = resp * data.rows.weight[:, None]
        emission = family.start(data.rows, resp)
        if set(given) & set(family.names):
            emission = family.from_parts({**family.parts(emission), **given})
        startprob, transmat = given.get("startprob"), given.get("transmat", transmat)
        k = family.n_components
        if transmat is None:
            inside = np.setdiff1d(np.arange(1, len(resp)), data.starts)
            pairs = resp[inside - 1].T @ (resp[inside] / data.rows.weight[inside, None])
            transmat = _evened(pairs, chain.moves_allowed)
        if startprob is None:
            startprob = _evened(resp[data.starts[:-1]].sum(axis=0), chain.start_allowed)
        return HiddenMarkovParams(chain.start_of(startprob, transmat), transmat.reshape(k, k), emission)

    def random_rows(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, d) drawn at random."""
        X: np.ndarray = self._data.rows.X[rng.integers(len(self._data.rows), size=n)]
        return X

    def _told(self) -> np.ndarray | None:
        """The state of each row by the parameters that the user gave, (n,); None where these do not tell."""
        family, given = self._model.family, self._given
        if set(family.names) <= set(given):
            emission = family.from_parts({name: given[name] for name in family.names})
            states: np.ndarray = family.log_density(emission, self._data.rows).argmax(axis=1)
            return states
        means = given.get("means")
        if means is None or means.shape[1:] != (family.n_features,):
            return None
        return squared_distances(self._z, family.features(means)).argmin(axis=1)

    def _partition(self, method: str, rng: np.random.Generator) -> np.ndarray:
        """The state of each row, (n,)."""
        labels = (
            self._segments(rng)
            if method == "segments"
            else partition(self._z, self._data.rows.weight, self._model.family.n_components, method, rng)
        )
        known = self._data.labels
        if known is None:
            return labels
        return np.where(known >= 0, known, names_of_parts(labels, known, self._model.family.n_components)[labels])

    def _segments(self, rng: np.random.Generator) -> np.ndarray:
        """Stretches of random length, so that each state has several, in a random order of states."""
        n, k = len(self._z), self._model.family.n_components
        changes = rng.random(n) < min(0.5, 4 * k / n)
        changes[self._data.starts[:-1]] = True
        states = rng.integers(k, size=int(changes.sum()))
        states[: min(k, len(states))] = rng.permutation(k)[: len(states)]
        return states[np.cumsum(changes) - 1]

    def _drawn_moves(self, rng: np.random.Generator, stay: float) -> np.ndarray:
        """A random transition matrix whose states tend to stay, as allowed."""
        k = self._model.family.n_components
        drawn = stay * np.eye(k) + (1 - stay) * rng.dirichlet(np.ones(k), size=k)
        return _evened(drawn, self._model.chain.moves_allowed)

    def _soft(self, labels: np.ndarray) -> np.ndarray:
        """Responsibilities of parts that are not quite sure, so that EM can leave them; known labels are sure."""
        k = self._model.family.n_components
        resp = SURE * np.eye(k)[labels] + (1 - SURE) / k
        known = self._data.labels
        return resp if known is None else np.where((known >= 0)[:, None], known[:, None] == np.arange(k), resp)


def _evened(counts: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Probabilities near the shares of the counts that leave nothing out that is allowed."""
    even = allowed / allowed.sum(axis=-1, keepdims=True)
    return SURE * shares_of(np.where(allowed, counts, 0.0), even) + (1 - SURE) * even
