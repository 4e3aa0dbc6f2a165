"""Tables behind which there is one Gaussian: of full covariance, or of low rank and noise.

The model of the coordinates is a *core*: `latent.FullCore` or `factor.FactorCore`. What is here is the same for both.
Of a nominal column that is missing, the probability of a level is its share in the data times the density of what is
known of the row if that level were known too, relative to the density of the indicators alone: linear discriminant
analysis ([1]_, equation 4.9), where there is one such column and all else is continuous.

References
----------
.. [1] Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning, 2nd edition. Springer.
.. [2] Olkin, I. and Tate, R. F. (1961). Multivariate correlation models with mixed discrete and continuous variables.
   Ann. Math. Statist. 32(2), 448-465. The location model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import softmax

from .layout import CellPrior, Layout
from .prediction import Prediction
from .rows import IncompleteRows
from .scales import Dummies


class Completed(NamedTuple):
    """Coordinates of rows given what is known of them."""

    mean: np.ndarray  # (n, d)
    variance: np.ndarray  # (n, d); zero if it was not asked for
    log_density: np.ndarray  # (n,)


class Core(Protocol):
    """A fitted model of the coordinates."""

    @property
    def location(self) -> np.ndarray: ...
    @property
    def covariance(self) -> np.ndarray: ...
    def complete(self, rows: IncompleteRows, with_variance: bool = True) -> Completed: ...
    def log_density(self, rows: IncompleteRows) -> np.ndarray: ...
    def draw(self, rows: IncompleteRows, rng: np.random.Generator) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class GaussianTable:
    """A layout of columns and a core; codes (n, p) in, NaN where missing."""

    layout: Layout
    core: Core

    n_components = 1

    @property
    def scales(self):
        return self.layout.scales

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (d,) and covariance (d, d) of the coordinates."""
        return self.core.location, self.core.covariance

    def log_likelihood(self, codes: np.ndarray) -> np.ndarray:
        """Log density of what is known, (n,): of coordinates, and of cells their probability."""
        return self.core.log_density(self._rows(codes))

    def responsibilities(self, codes: np.ndarray) -> np.ndarray:
        return np.ones((len(codes), 1))

    def predict(self, codes: np.ndarray, prior: CellPrior | None = None, with_spread: bool = True) -> Prediction:
        """Without `with_spread` standard deviations are zero, which is enough for means of linear scales."""
        done = self.core.complete(self._rows(codes, prior), with_spread)
        at = self.layout.first
        places = np.where(at < self.layout.n_coordinates, at, 0)  # a column of one level has no coordinate
        mean, sd = done.mean[:, None, places], np.sqrt(np.maximum(done.variance, 0))[:, None, places]
        categories = {j: self._probabilities(codes, j) for j in self.layout.nominal}
        return Prediction(self.scales, np.ones((len(codes), 1)), mean, sd, categories)

    def draw(self, codes: np.ndarray, rng: np.random.Generator, prior: CellPrior | None = None) -> np.ndarray:
        """Codes with the missing ones drawn jointly: nominal columns one after the other, then all others."""
        codes = codes.copy()
        for j in self.layout.nominal:
            missing = np.isnan(codes[:, j])
            if missing.any():
                rising = np.cumsum(self._probabilities(codes[missing], j), axis=1)
                codes[missing, j] = (rng.random((missing.sum(), 1)) > rising[:, :-1]).sum(axis=1)
        z = self.core.draw(self._rows(codes, prior), rng)
        for j, scale in enumerate(self.scales):
            missing = np.isnan(codes[:, j])
            if isinstance(scale, Dummies) or not missing.any():
                continue
            drawn = z[missing, self.layout.first[j]]
            if scale.n_levels:
                codes[missing, j] = np.searchsorted(scale.cuts[1:-1], drawn)
            else:
                codes[missing, j] = scale.from_latent(drawn)
        return codes

    def _rows(self, codes: np.ndarray, prior: CellPrior | None = None) -> IncompleteRows:
        return self.layout.rows(codes, np.ones(len(codes)), prior)

    def _probabilities(self, codes: np.ndarray, column: int) -> np.ndarray:
        """Of the levels of a nominal column, (n, n_levels); of a known one 1."""
        n_levels = self.scales[column].n_levels
        known = ~np.isnan(codes[:, column])
        shares = np.zeros((len(codes), n_levels))
        shares[known, codes[known, column].astype(np.intp)] = 1.0
        if not known.all():
            shares[~known] = softmax(self._log_shares(codes[~known], column), axis=1)
        return shares

    def _log_shares(self, codes: np.ndarray, column: int) -> np.ndarray:
        """The same up to a constant of each row, for rows in which the column is missing."""
        scale, levels = self.scales[column], range(self.scales[column].n_levels)
        columns = [self.log_likelihood(_with(codes, column, level)) for level in levels]
        alone = np.full((len(levels), codes.shape[1]), np.nan)
        alone[:, column] = levels
        log_shares: np.ndarray = np.array(columns).T - self.log_likelihood(alone) + np.log(scale.shares)
        return log_shares


def _with(codes: np.ndarray, column: int, level: int) -> np.ndarray:
    codes = codes.copy()
    codes[:, column] = level
    return codes


def joined(pieces: Iterable[Completed]) -> Completed:
    return Completed(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))
