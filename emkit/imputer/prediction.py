"""What a model says of missing cells, and the single values that stand for it: means, medians, modes, intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtr, ndtri

from .scales import Linear, Scale

N_NODES = 32  # of Gauss-Hermite quadrature
EVEN_NODES = ndtri((np.arange(200) + 0.5) / 200), np.ones(200)  # the same for functions with steps
N_BISECTIONS = 60
SMALLEST_SD = 1e-12  # of a coordinate, in its units, so that nothing is divided by zero


@dataclass(frozen=True, eq=False)
class Prediction:
    """Distributions of the columns of rows, known or not.

    Attributes
    ----------
    scales : tuple of scales
    resp : ndarray of shape (n, k)
        Probabilities of the components.
    mean, sd : ndarray of shape (n, k, p)
        Of the coordinate of each column given the component; of nominal columns nothing is said here.
    categories : mapping of int to ndarray of shape (n, n_levels)
        Probabilities of the levels of the columns that have no coordinate.
    """

    scales: tuple[Scale, ...]
    resp: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    categories: Mapping[int, np.ndarray]

    # Below, what mypy is told to ignore: a scale without the attribute is that of a column in `categories`.

    def is_numeric(self, column: int) -> bool:
        return column not in self.categories and self.scales[column].n_levels == 0

    def probabilities(self, column: int) -> np.ndarray:
        """Of the levels of a column that has levels, (n, n_levels)."""
        if column in self.categories:
            return self.categories[column]
        cuts = self.scales[column].cuts  # type: ignore[union-attr]
        z = (cuts - self.mean[:, :, column, None]) / self._sd(column)[:, :, None]
        by_component = np.diff(ndtr(z), axis=2)
        shares = np.einsum("nk,nkl->nl", self.resp, by_component)
        return shares / shares.sum(axis=1, keepdims=True)

    def expected(self, column: int) -> np.ndarray:
        """Mean code, (n,)."""
        return self._moments(column)[0]

    def deviation(self, column: int) -> np.ndarray:
        """Standard deviation of the code."""
        return np.sqrt(self._moments(column)[1])

    def doubt(self, column: int) -> np.ndarray:
        """Standard deviation of the indicator of the most probable level."""
        top = np.minimum(self.probabilities(column).max(axis=1), 1.0)  # rounding may add to more
        return np.sqrt(top * (1 - top))

    def mode(self, column: int) -> np.ndarray:
        """Most probable level; of a number that at the middle of the densest component."""
        if not self.is_numeric(column):
            return self.probabilities(column).argmax(axis=1).astype(np.float64)
        densest = (self.resp / self._sd(column)).argmax(axis=1)
        return self.scales[column].from_latent(self.mean[np.arange(len(self.mean)), densest, column])  # type: ignore[union-attr]

    def quantile(self, column: int, share: float) -> np.ndarray:
        """Code below which the given share of the distribution lies, (n,)."""
        if not self.is_numeric(column):
            rising = np.cumsum(self.probabilities(column), axis=1)
            return (rising < share - 1e-12).sum(axis=1).clip(0, rising.shape[1] - 1).astype(np.float64)
        mean, sd = self.mean[:, :, column], self._sd(column)
        low, high = (mean + sd * ndtri(share)).min(axis=1), (mean + sd * ndtri(share)).max(axis=1)
        if mean.shape[1] > 1:
            for _ in range(N_BISECTIONS):
                middle = (low + high) / 2
                below = (self.resp * ndtr((middle[:, None] - mean) / sd)).sum(axis=1) < share
                low, high = np.where(below, middle, low), np.where(below, high, middle)
        return self.scales[column].from_latent((low + high) / 2)  # type: ignore[union-attr]

    def _sd(self, column: int) -> np.ndarray:
        return np.maximum(self.sd[:, :, column], SMALLEST_SD)

    def _moments(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the code."""
        scale = self.scales[column]
        if not self.is_numeric(column):
            shares, levels = self.probabilities(column), np.arange(scale.n_levels)
            mean = shares @ levels
            return mean, (shares * (levels - mean[:, None]) ** 2).sum(axis=1)
        means, sds = self.mean[:, :, column], self.sd[:, :, column]
        if isinstance(scale, Linear):
            mean = (self.resp * means).sum(axis=1)
            variance = (self.resp * (sds**2 + (means - mean[:, None]) ** 2)).sum(axis=1)
            return scale.from_latent(mean), scale.scale**2 * variance
        nodes, weights = hermegauss(N_NODES) if scale.is_exact else EVEN_NODES
        values = scale.from_latent(means[:, :, None] + sds[:, :, None] * nodes)  # type: ignore[union-attr]
        shares = self.resp[:, :, None] * (weights / weights.sum())
        mean = (shares * values).sum(axis=(1, 2))
        return mean, (shares * (values - mean[:, None, None]) ** 2).sum(axis=(1, 2))
