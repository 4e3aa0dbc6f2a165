"""Components of a fitted mixture as the displays need them: Gaussians or t distributions of some of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import chi2, f, multivariate_normal, multivariate_t

from ..families.covariance import COVARIANCES
from ._estimators import not_of_display


@dataclass(frozen=True)
class Components:
    """k densities over c columns, and their weights; perhaps noise behind them, of the same density everywhere."""

    weights: np.ndarray  # (k,); with noise their sum is less than 1
    means: np.ndarray  # (k, c)
    covariances: np.ndarray  # (k, c, c); of t distributions the scale matrices
    degrees_of_freedom: np.ndarray | None = None  # (k,) of t distributions
    noise_weight: float = 0.0
    noise_range: np.ndarray | None = None  # (2, c)

    def __len__(self) -> int:
        return len(self.means)

    def marginal(self, places: Sequence[int]) -> Components:
        """Over some of the columns, the others integrated out; a marginal of a t has the same degrees of freedom."""
        places = list(places)
        covariances = self.covariances[:, places][:, :, places]
        noise_range = None if self.noise_range is None else self.noise_range[:, places]
        return replace(self, means=self.means[:, places], covariances=covariances, noise_range=noise_range)

    def joint_density(self, points: np.ndarray) -> np.ndarray:
        """weight_k p(x; k) at points (n, c); (n, k)."""
        return np.column_stack([self.weights[k] * self._law(k).pdf(points) for k in range(len(self))])

    def density(self, points: np.ndarray) -> np.ndarray:
        """p(x), noise included, at points (n, c); (n,)."""
        noise = 0.0 if self.noise_range is None else self.noise_weight / np.ptp(self.noise_range, axis=0).prod()
        return np.asarray(self.joint_density(points).sum(axis=1) + noise)

    def _law(self, k: int) -> Any:
        mean, covariance = self.means[k], self.covariances[k]
        if self.degrees_of_freedom is None:
            return multivariate_normal(mean, covariance, allow_singular=True)
        return multivariate_t(mean, covariance, df=self.degrees_of_freedom[k], allow_singular=True)

    def radii(self, level: float) -> np.ndarray:
        """Mahalanobis distances within which a share `level` of each component lies, (k,)."""
        c = self.means.shape[1]
        if self.degrees_of_freedom is None:
            return np.full(len(self), np.sqrt(chi2.ppf(level, c)))
        return np.sqrt(c * f.ppf(level, c, self.degrees_of_freedom))

    def scales(self) -> np.ndarray:
        """Standard deviation of each component in each column, (k, c); of a t distribution its scale."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    def told_apart(self) -> np.ndarray:
        """Share of each column's variance that lies between the means, (c,)."""
        shares = self.weights / self.weights.sum()
        between = shares @ (self.means - shares @ self.means) ** 2
        within = shares @ self.scales() ** 2
        return between / (between + within)


def components_of(mixture: Any) -> Components:
    """Those of a fitted estimator; ValueError if it has none that are known here."""
    needed = ("weights_", "means_", "covariances_", "covariance_type", "predict_proba")
    missing = [name for name in needed if not hasattr(mixture, name)]
    if missing or np.shape(mixture.means_)[1:] != (mixture.n_features_in_,):
        raise not_of_display(
            "mixture", f"a fitted mixture of Gaussian or t components, with {', '.join(needed)}", mixture
        )
    means = np.asarray(mixture.means_, dtype=np.float64)
    covariances = np.asarray(mixture.covariances_, dtype=np.float64)
    degrees, noise_range = (getattr(mixture, name, None) for name in ("degrees_of_freedom_", "noise_range_"))
    return Components(
        weights=np.asarray(mixture.weights_, dtype=np.float64),
        means=means,
        covariances=np.array(COVARIANCES[mixture.covariance_type].dense(covariances, *means.shape)),
        degrees_of_freedom=None if degrees is None else np.asarray(degrees, dtype=np.float64),
        noise_weight=float(getattr(mixture, "noise_weight_", 0)),
        noise_range=None if noise_range is None else np.asarray(noise_range, dtype=np.float64),
    )
