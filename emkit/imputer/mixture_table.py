"""A mixture behind a table: in each component numbers are Gaussian and levels independent of all else.

With columns of levels alone this is latent class analysis.

References
----------
.. [1] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach. NIPS 6,
   120-127. Section 3.
.. [2] Linzer, D. A. and Lewis, J. B. (2011). poLCA: an R package for polytomous variable latent class analysis.
   J. Stat. Softw. 42(10). Equations (3) to (7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..families.base import log, posterior
from .latent import FullCore, latent_params
from .layout import CellPrior
from .prediction import Prediction
from .rows import IncompleteRows
from .scales import Scale


@dataclass(frozen=True, eq=False)
class MixtureTable:
    """Fitted components of the columns of a table; codes (n, p) in, NaN where missing.

    Attributes
    ----------
    scales : tuple of scales
        `Linear` for the columns that are Gaussian, `Symbols` for the others.
    weights : ndarray of shape (k,)
    means, covariances : ndarray of shape (k, g), (k, g, g)
        Of the Gaussian columns, in the units of their scales.
    tables : tuple of ndarray of shape (k, n_levels)
        Probabilities of the levels of the other columns.
    """

    scales: tuple[Scale, ...]
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    tables: tuple[np.ndarray, ...]

    @property
    def n_components(self) -> int:
        return len(self.weights)

    @property
    def _gaussian(self) -> list[int]:
        return [j for j, scale in enumerate(self.scales) if scale.n_coordinates]

    @property
    def _symbols(self) -> list[int]:
        return [j for j, scale in enumerate(self.scales) if not scale.n_coordinates]

    @property
    def _cores(self) -> list[FullCore]:
        return [FullCore(latent_params(*part)) for part in zip(self.means, self.covariances, strict=True)]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (g,) and covariance (g, g) of the Gaussian columns, over all components."""
        mean = self.weights @ self.means
        centred = self.means - mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return mean, within + (centred * self.weights[:, None]).T @ centred

    def log_likelihood(self, codes: np.ndarray) -> np.ndarray:
        return posterior(self._log_joint(codes))[0]

    def responsibilities(self, codes: np.ndarray) -> np.ndarray:
        return posterior(self._log_joint(codes))[1]

    def predict(self, codes: np.ndarray, prior: CellPrior | None = None, with_spread: bool = True) -> Prediction:
        resp, rows = self.responsibilities(codes), self._rows(codes)
        mean = np.zeros((len(codes), self.n_components, len(self.scales)))
        sd = np.zeros_like(mean)
        for c, core in enumerate(self._cores if self._gaussian else []):
            done = core.complete(rows)
            mean[:, c, self._gaussian], sd[:, c, self._gaussian] = done.mean, np.sqrt(np.maximum(done.variance, 0))
        categories = {}
        for j, table in zip(self._symbols, self.tables, strict=True):
            known = ~np.isnan(codes[:, j])
            categories[j] = resp @ table
            categories[j][known] = np.eye(table.shape[1])[codes[known, j].astype(np.intp)]
        return Prediction(self.scales, resp, mean, sd, categories)

    def draw(self, codes: np.ndarray, rng: np.random.Generator, prior: CellPrior | None = None) -> np.ndarray:
        """Codes with the missing ones drawn: a component for each row, then its columns."""
        codes = codes.copy()
        rising = np.cumsum(self.responsibilities(codes), axis=1)
        component = (rng.random((len(codes), 1)) > rising[:, :-1]).sum(axis=1)
        rows = self._rows(codes)
        drawn = np.zeros_like(rows.values)
        for c, core in enumerate(self._cores if self._gaussian else []):
            own = np.flatnonzero(component == c)
            if len(own):
                drawn[own] = core.draw(rows.take(own), rng)
        for place, j in enumerate(self._gaussian):
            missing, scale = np.isnan(codes[:, j]), self.scales[j]
            codes[missing, j] = scale.from_latent(drawn[missing, place])  # type: ignore[union-attr]  # Linear
        for j, table in zip(self._symbols, self.tables, strict=True):
            missing = np.isnan(codes[:, j])
            steps = np.cumsum(table, axis=1)[component[missing], :-1]
            codes[missing, j] = (rng.random((missing.sum(), 1)) > steps).sum(axis=1)
        return codes

    def _rows(self, codes: np.ndarray) -> IncompleteRows:
        """The Gaussian columns."""
        z = self.points(codes)[:, self._gaussian]
        known = ~np.isnan(z)
        return IncompleteRows(np.where(known, z, 0.0), known.astype(np.uint8), np.ones(len(codes)))

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, p) as the family takes them."""
        return points(self.scales, codes)

    def _log_joint(self, codes: np.ndarray) -> np.ndarray:
        joint = np.repeat(log(self.weights)[None], len(codes), axis=0)
        if self._gaussian:
            rows = self._rows(codes)
            joint += np.column_stack([core.log_density(rows) for core in self._cores])
        for j, table in zip(self._symbols, self.tables, strict=True):
            known = ~np.isnan(codes[:, j])
            joint[known] += log(table).T[codes[known, j].astype(np.intp)]
        return joint


def points(scales: tuple[Scale, ...], codes: np.ndarray) -> np.ndarray:
    """Codes (n, p) as a family takes them: numbers in units of their scales, levels as they are."""
    columns = [
        scale.to_latent(codes[:, j]) if scale.n_coordinates else codes[:, j]  # type: ignore[union-attr]  # Linear
        for j, scale in enumerate(scales)
    ]
    return np.column_stack(columns)
