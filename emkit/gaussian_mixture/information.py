"""The observed information of a Gaussian mixture, exactly: minus the second derivatives of its log-likelihood.

Derivatives are taken by *atoms*: of each component its weight, its mean, and the entries of its covariance that may
differ from zero. In these the log-likelihood of a row that is known to come from component k has scores z and minus
second derivatives B in closed form, and Louis' identity ([1]_, section 3.1) gives those of the mixture,

    I = sum_i w_i [ sum_k r_ik (B_ik - z_ik z_ik') + z_i z_i' ],   z_i = sum_k r_ik z_ik.

A covariance type's own parameters are linear in its atoms, so what follows for them is a matrix product.

References
----------
.. [1] Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. JRSS B 44(2), 226-233.
.. [2] Magnus, J. R. and Neudecker, H. (2019). Matrix Differential Calculus with Applications in Statistics and
   Econometrics, 3rd edition. Wiley. Differentials of the Gaussian log-likelihood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..chunks import Rows
from ..families.base import only_known, posterior
from ..families.gaussian import GaussianFamily
from ..mixture.model import MixtureModel, MixtureParams
from ..mixture.noise import without_noise

BLOCK_CELLS = 2_000_000  # of the scores of some rows, which are in memory at a time


class Pairs(NamedTuple):
    """Entries (a, b), a >= b, of the covariances that may differ from zero, (m,) each."""

    a: np.ndarray
    b: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """How a step in an entry moves the covariance: by share (e_a e_b' + e_b e_a')."""
        return np.where(self.a == self.b, 0.5, 1.0)


class Slopes(NamedTuple):
    """Derivatives of the log-likelihood by the D atoms.

    Those of a component are together: weight, mean, entries; then comes the weight of noise, if there is any.
    """

    information: np.ndarray  # (D, D)
    score: np.ndarray  # (D,)


class Seen(NamedTuple):
    """Rows of one pattern of missing values."""

    X: np.ndarray  # (n, d); NaN where not seen
    weight: np.ndarray  # (n,)
    resp: np.ndarray  # (n, k)
    columns: np.ndarray  # (o,): what is seen


def observed_information(model: MixtureModel, params: MixtureParams, chunks: Iterable[Rows], pairs: Pairs) -> Slopes:
    """Of rows in float64. O(n D^2) for D atoms, and O(K m^2) for each pattern of missing values in a chunk."""
    family, gaussians = without_noise(model.family), params.components
    assert isinstance(family, GaussianFamily)
    covariances = family.covariance.dense(gaussians.covariances, *gaussians.means.shape)
    atoms = _Atoms(params.weights, gaussians.means, covariances, pairs)
    size = len(covariances) * atoms.size + len(params.weights) - len(covariances)
    total = Slopes(np.zeros((size, size)), np.zeros(size))
    for chunk in chunks:
        resp = posterior(only_known(model.log_joint(params, chunk), chunk.labels))[1]
        for seen in _by_pattern(chunk, resp):
            atoms.add(seen, total)
    return total


def _by_pattern(chunk: Rows, resp: np.ndarray) -> Iterator[Seen]:
    d = chunk.X.shape[1]
    complete = np.delete(np.arange(len(chunk)), chunk.missing)
    if len(complete):
        yield Seen(chunk.X[complete], chunk.weight[complete], resp[complete], np.arange(d))
    if not chunk.has_missing:
        return
    gaps = chunk.gaps
    for start, stop, observed in zip(gaps.starts[:-1], gaps.starts[1:], gaps.observed, strict=True):
        part = slice(start, stop)
        yield Seen(gaps.X[part], gaps.weight[part], resp[gaps.place[part]], np.flatnonzero(observed))


@dataclass(frozen=True, eq=False)
class _Atoms:
    weights: np.ndarray  # (k,), or (k + 1,) with that of noise
    means: np.ndarray  # (k, d)
    covariances: np.ndarray  # (k, d, d)
    pairs: Pairs

    @property
    def size(self) -> int:
        """Atoms of a component."""
        return 1 + self.means.shape[1] + len(self.pairs.a)

    def add(self, seen: Seen, total: Slopes) -> None:
        """Add what rows of one pattern contribute."""
        precisions = self._precisions(seen.columns)
        step = max(BLOCK_CELLS // (len(self.means) * self.size), 1)
        for start in range(0, len(seen.X), step):
            part = slice(start, start + step)
            self._add_block(seen.X[part], seen.weight[part], seen.resp[part], precisions, total)

    def _precisions(self, seen: np.ndarray) -> np.ndarray:
        """Inverses of the covariances of what is seen, zero elsewhere, (k, d, d)."""
        out = np.zeros(self.covariances.shape)
        if len(seen):
            where = np.ix_(np.arange(len(out)), seen, seen)
            out[where] = np.linalg.inv(self.covariances[where])
        return out

    def _add_block(
        self, X: np.ndarray, weight: np.ndarray, resp: np.ndarray, precisions: np.ndarray, total: Slopes
    ) -> None:
        k_all, n = len(self.means), len(X)
        expected = np.empty((n, k_all, self.size))
        for k, precision in enumerate(precisions):
            pulls = np.where(np.isnan(X), 0.0, X - self.means[k]) @ precision  # rows times the precision
            scores = self._scores(k, pulls, precision)
            expected[:, k] = resp[:, [k]] * scores
            own = slice(k * self.size, (k + 1) * self.size)
            share = weight * resp[:, k]
            within = self._complete(k, pulls, precision, share) - (scores * share[:, None]).T @ scores
            total.information[own, own] += within
        of_noise = resp[:, k_all:] / self.weights[k_all:]  # the information of its own weight cancels
        flat = np.hstack([expected.reshape(n, -1), of_noise])
        total.information[:] += (flat * weight[:, None]).T @ flat
        total.score[:] += weight @ flat

    def _scores(self, k: int, pulls: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Scores of rows that come from component k, (n, size)."""
        a, b = self.pairs
        of_weight = np.full((len(pulls), 1), 1 / self.weights[k])
        return np.hstack([of_weight, pulls, self.pairs.share * (pulls[:, a] * pulls[:, b] - precision[a, b])])

    def _complete(self, k: int, pulls: np.ndarray, precision: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Minus second derivatives of rows that come from component k, summed with weights `share`, (size, size).

        The second differential of log N is, for steps m of the mean and S of the covariance, precision P and pulls y,
        -m'Pm - 2 y'SPm - y'SPSy + tr(PSPS) / 2 ([2]_).
        """
        (a, b), d = self.pairs, pulls.shape[1]
        means, entries = slice(1, 1 + d), slice(1 + d, self.size)
        n, y, P = share.sum(), share @ pulls, precision
        M = (pulls * share[:, None]).T @ pulls - 0.5 * n * P
        out = np.zeros((self.size, self.size))
        out[0, 0] = n / self.weights[k] ** 2
        out[means, means] = n * P
        cross = self.pairs.share[:, None] * (y[a, None] * P[b] + y[b, None] * P[a])
        out[entries, means], out[means, entries] = cross, cross.T
        aa, ab, ba, bb = (np.ix_(i, j) for i, j in ((a, a), (a, b), (b, a), (b, b)))
        twofold = P[ba] * M[ab] + P[bb] * M[aa] + P[aa] * M[bb] + P[ab] * M[ba]
        out[entries, entries] = np.outer(self.pairs.share, self.pairs.share) * twofold
        return out
