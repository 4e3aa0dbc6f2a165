"""Where the columns of a table lie among the coordinates of a model, and rows of the one as rows of the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .rows import Factors, IncompleteRows
from .scales import FARTHEST, Cells, Dummies, Linear, NormalScores, Scale

SHARPEST = 1e-6  # standard deviation of a belief, so that its precision is no infinity


class CellPrior(NamedTuple):
    """What is believed of missing cells: means and standard deviations as codes, (n, p); NaN for no belief."""

    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True, eq=False)
class Layout:
    """The scales of the columns, one after the other."""

    scales: tuple[Scale, ...]

    @cached_property
    def first(self) -> np.ndarray:
        """The first coordinate of each column, (p,); that of a column of cells or numbers is its only one."""
        sizes = [scale.n_coordinates for scale in self.scales]
        return np.cumsum([0, *sizes[:-1]]).astype(np.intp)

    @property
    def n_coordinates(self) -> int:
        return sum(scale.n_coordinates for scale in self.scales)

    def coordinates(self, column: int) -> slice:
        start = int(self.first[column])
        return slice(start, start + self.scales[column].n_coordinates)

    @property
    def nominal(self) -> dict[int, Dummies]:
        """Columns of indicators, by their numbers."""
        return {j: scale for j, scale in enumerate(self.scales) if isinstance(scale, Dummies)}

    @property
    def has_cells(self) -> bool:
        return not all(scale.is_exact for scale in self.scales)

    @cached_property
    def start(self) -> np.ndarray:
        """Mean of each coordinate if columns were complete, (d,)."""
        mean = np.zeros(self.n_coordinates)
        for j, scale in self.nominal.items():
            mean[self.coordinates(j)] = scale.location
        return mean

    @cached_property
    def prior(self) -> np.ndarray:
        """Covariance of the coordinates if columns were independent, (d, d)."""
        covariance = np.eye(self.n_coordinates)
        for j, scale in self.nominal.items():
            block = self.coordinates(j)
            covariance[block, block] = scale.covariance
        return covariance

    @property
    def n_unidentified(self) -> int:
        """A column of two cells tells the ratio of mean and standard deviation alone, one of a single cell nothing."""
        few = [max(3 - scale.n_cells, 0) for scale in self.scales if scale.n_cells]
        return int(sum(few))

    def rows(self, codes: np.ndarray, weight: np.ndarray, prior: CellPrior | None = None) -> IncompleteRows:
        """Codes (n, p) as rows of the model."""
        n, d = len(codes), self.n_coordinates
        values, exact = np.zeros((n, d)), np.zeros((n, d), dtype=np.uint8)
        factors = self._no_factors(n, d) if self.has_cells or prior is not None else None
        self._place_linear(codes, values, exact)
        for j, scale in enumerate(self.scales):
            known, block = ~np.isnan(codes[:, j]), self.coordinates(j)
            if isinstance(scale, Dummies):
                values[known, block], exact[known, block] = scale.to_latent(codes[known, j]), 1
            if isinstance(scale, Cells | NormalScores) and not scale.is_exact:
                assert factors is not None  # since the layout has cells
                bounds = scale.bounds(codes[known, j])
                factors.lower[known, block.start], factors.upper[known, block.start] = bounds
            if isinstance(scale, NormalScores):
                points = known if factors is None else known & np.isnan(factors.lower[:, block.start])
                values[points, block.start], exact[points, block.start] = scale.to_latent(codes[points, j]), 1
        if prior is not None:
            self._add_prior(factors, codes, prior)
        return IncompleteRows(values, exact, np.ascontiguousarray(weight, np.float64), factors)

    def _place_linear(self, codes: np.ndarray, values: np.ndarray, exact: np.ndarray) -> None:
        """All columns that enter as they are at once, since there may be many of many rows."""
        linear = {j: scale for j, scale in enumerate(self.scales) if isinstance(scale, Linear)}
        columns, places = list(linear), self.first[list(linear)]
        if not columns:
            return
        mean, unit = (np.array([getattr(scale, name) for scale in linear.values()]) for name in ("mean", "scale"))
        z = np.clip((codes[:, columns] - mean) / unit, -FARTHEST, FARTHEST)
        known = ~np.isnan(z)
        values[:, places] = np.where(known, z, 0.0)
        exact[:, places] = known

    @staticmethod
    def _no_factors(n: int, d: int) -> Factors:
        return Factors(np.full((n, d), np.nan), np.full((n, d), np.nan), np.zeros((n, d)), np.zeros((n, d)))

    def _add_prior(self, factors: Factors | None, codes: np.ndarray, prior: CellPrior) -> None:
        assert factors is not None
        for j, scale in enumerate(self.scales):
            if not isinstance(scale, Linear | NormalScores):
                continue  # the caller has refused beliefs about these
            held = np.isnan(codes[:, j]) & ~np.isnan(prior.mean[:, j])
            mean, sd = scale.belief(prior.mean[held, j], prior.sd[held, j])
            sd = np.maximum(sd, SHARPEST)
            factors.tau[held, self.first[j]] = 1 / sd**2
            factors.nu[held, self.first[j]] = mean / sd**2
