"""What all types have in common whose components share a part of their covariances, but not all of it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .base import Covariance
from .variances import WIDEST

ALMOST_NOTHING = 1e-14  # weight of a component without rows, as a share of all
ROUNDING = 4 * np.finfo(np.float64).eps  # of a variance, as a share of the component's largest
SAME_TYPE = 1e-3  # relative differences up to this are rounding of what was published in single precision


class Sharing(Covariance):
    """To be mixed into `Diag` or `Dense`, from which shapes, kernels and the unconstrained vector are taken.

    An extrapolated vector, or a covariance below the floor, is moved to the nearest of the type.
    """

    @abstractmethod
    def _fit(
        self, scatter: np.ndarray, counts: np.ndarray, before: np.ndarray, scale: np.ndarray, floor: float
    ) -> np.ndarray:
        """See `estimate`; all counts are positive."""

    def estimate(self, scatter, counts, before, scale, floor):
        empty = counts <= 0
        if empty.any():
            little = ALMOST_NOTHING * counts.sum() or 1.0
            counts, scatter = np.where(empty, little, counts), scatter.copy()
            scatter[empty] = little * before[empty]
        return self._fit(scatter, counts, before, scale, floor)

    def nearest(self, covariances, weights, scale, floor):
        scatter = covariances * np.reshape(weights, (-1, *[1] * (covariances.ndim - 1)))
        return self._fit(scatter, weights, covariances, scale, floor)

    def require_type(self, covariances, label):
        k, d = covariances.shape[:2]
        dense = self.dense(covariances, k, d)
        deviations = np.sqrt(np.diagonal(dense, axis1=1, axis2=2))
        nearest = self.dense(self.nearest(covariances, np.ones(k), deviations.mean(axis=0), 0.0), k, d)
        distance = np.abs(nearest - dense) / (deviations[:, :, None] * deviations[:, None, :])
        if not distance.max() < SAME_TYPE:
            raise ValueError(
                f"{label}: the covariances do not have in common what covariance_type={self.name!r} asks for; the "
                f"nearest ones that do differ from them by up to {distance.max():.2g} of the variances"
            )

    def from_precisions(self, precisions, k, d):
        covariances = super().from_precisions(precisions, k, d)  # that of Diag or Dense
        self.require_type(covariances, "precisions_init")
        return covariances

    def from_vector(self, vector, k, scale):
        free = super().from_vector(vector, k, scale)  # that of Diag or Dense
        return self.nearest(free, np.ones(k), scale, 0.0)

    def _raised(self, covariances: np.ndarray, scale: np.ndarray, floor: float) -> np.ndarray:
        """The nearest above the floor."""
        k = len(covariances)
        widths = self.widths(covariances, scale, k)[0]
        least, most = widths.min(axis=1), widths.max(axis=1)
        if (least >= floor - ROUNDING * most).all() and most.max() <= WIDEST:
            return covariances
        return self.nearest(covariances, np.ones(k), scale, floor)
