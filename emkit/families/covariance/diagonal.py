"""Variances without covariances: each component's own (diag), of one value (spherical), or in common."""

from __future__ import annotations

import numpy as np

from ... import kernels
from .base import LARGEST_FACTOR, Covariance, Prepared, SingularCovarianceError
from .sharing import Sharing
from .variances import Rule, one_shape, one_volume


class Diag(Covariance):
    """Each component has a variance for each feature. The isotropic types below average its variances."""

    name = "diag"

    def shape(self, k, d):
        return (k, d)

    def n_free(self, k, d):
        return k * d

    def _variances(self, covariances, k, d) -> np.ndarray:
        """(k, d)"""
        return covariances

    def _pool(self, variances, counts):
        """The type's covariances from mean squares (k, d): the average over what shares a variance."""
        return variances

    def _lowest(self, scale, floor) -> np.ndarray | float:
        """The variances at which the least eigenvalue of V^-1/2 S V^-1/2 is `floor`."""
        return floor * scale**2

    def rows_of_full_rank(self, d):
        return 2

    def from_variances(self, variances, k):
        return np.tile(variances, (k, 1))

    def from_precisions(self, precisions, k, d):
        if (precisions <= 0).any():
            raise ValueError(f"precisions_init: The parameter '{self.name} precision' should be positive")
        return 1 / precisions

    def estimate(self, scatter, counts, before, scale, floor):
        empty = counts <= 0
        variances = scatter / np.where(empty, 1, counts)[:, None]
        if empty.any():
            variances[empty] = self._variances(before, *scatter.shape)[empty]
        return self._pool(variances, counts)

    def prepare(self, covariances, scale, floor, k):
        covariances = np.maximum(covariances, self._lowest(scale, floor))
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = 1 / np.sqrt(self._variances(covariances, k, len(scale)))
        if not ((factors > 0) & (factors < LARGEST_FACTOR)).all():
            raise SingularCovarianceError
        return Prepared(np.asarray(covariances), factors, np.log(factors).sum(axis=1), np.empty(0))

    def widths(self, covariances, scale, k):
        d = len(scale)
        return self._variances(covariances, k, d) / scale**2, np.broadcast_to(np.eye(d), (k, d, d))

    def log_det_factors(self, factors):
        return np.log(factors).sum(axis=1)

    def published_factors(self, factors):
        return factors

    def kernel_factors(self, published, k, d):
        return self._variances(published, k, d)

    def precisions(self, factors):
        return self.published_factors(factors) ** 2

    def dense(self, covariances, k, d):
        return self._variances(covariances, k, d)[:, :, None] * np.eye(d)

    def zero_scatter(self, k, d):
        return np.zeros((k, d))

    def moments(self, X, resp, means, counts, sums, scatter):
        kernels.moments_diag(X, resp, means, counts, sums, scatter)

    def add_matrices(self, matrices, out):
        out += np.diagonal(matrices, axis1=1, axis2=2)

    def scatter_about(self, scatter, counts, shift):
        return scatter - counts[:, None] * shift**2

    def log_density(self, X, means, factors, constants, out):
        kernels.log_density_diag(X, means, factors, constants, out)

    def e_step(self, rows, means, factors, constants, hard, counts, sums, scatter):
        return kernels.em_step_diag(rows.X, rows.weight, means, factors, constants, hard, counts, sums, scatter)

    def to_vector(self, covariances, roots, scale):
        return np.log(covariances / scale**2).ravel()

    def from_vector(self, vector, k, scale):
        return np.exp(vector).reshape(k, -1) * scale**2


class Spherical(Diag):
    """Each component has one variance, the same for all features."""

    name = "spherical"
    isotropic = True

    def shape(self, k, d):
        return (k,)

    def n_free(self, k, d):
        return k

    def _variances(self, covariances, k, d):
        return np.broadcast_to(covariances[:, None], (k, d))

    def _pool(self, variances, counts):
        return variances.mean(axis=1)

    def _lowest(self, scale, floor):
        return floor * (scale**2).max()

    def from_variances(self, variances, k):
        return np.full(k, variances.mean())

    def published_factors(self, factors):
        return factors[:, 0].copy()

    def to_vector(self, covariances, roots, scale):
        return np.log(covariances / (scale**2).mean()).ravel()

    def from_vector(self, vector, k, scale):
        return np.exp(vector) * (scale**2).mean()


class EII(Spherical):
    """One variance for all components and features, as in k-means (the name is that of R's mclust)."""

    name = "EII"
    shared = True

    def shape(self, k, d):
        return ()

    def n_free(self, k, d):
        return 1

    def _variances(self, covariances, k, d):
        return np.broadcast_to(covariances, (k, d))

    def _pool(self, variances, counts):
        return np.array(counts @ variances.mean(axis=1) / counts.sum())

    def from_variances(self, variances, k):
        return np.array(variances.mean())

    def published_factors(self, factors):
        return factors[0, 0].copy()

    def from_vector(self, vector, k, scale):
        return super().from_vector(vector[0], k, scale)


class EEI(Diag):
    """One variance for each feature, the same for all components."""

    name = "EEI"
    shared = True

    def shape(self, k, d):
        return (d,)

    def n_free(self, k, d):
        return d

    def _variances(self, covariances, k, d):
        return np.broadcast_to(covariances, (k, d))

    def _pool(self, variances, counts):
        return counts @ variances / counts.sum()

    def from_variances(self, variances, k):
        return variances.copy()

    def published_factors(self, factors):
        return factors[0].copy()

    def from_vector(self, vector, k, scale):
        return super().from_vector(vector, 1, scale)[0]


class _SharedDiag(Sharing, Diag):
    """Diagonal covariances that share their shape or their volume: those of `rule`."""

    rule: Rule

    def _fit(self, scatter, counts, before, scale, floor):
        return self.rule(scatter, counts, floor, scale**2, lambda: np.exp(np.log(before).mean(axis=1)))

    def prepare(self, covariances, scale, floor, k):
        return super().prepare(self._raised(covariances, scale, floor), scale, 0.0, k)


class VEI(_SharedDiag):
    """Each component has a volume of its own; the ratios of the features' variances are the same for all."""

    name = "VEI"
    rule = staticmethod(one_shape)

    def n_free(self, k, d):
        return d + k - 1


class EVI(_SharedDiag):
    """Each component has variances of its own, whose product is the same for all."""

    name = "EVI"
    rule = staticmethod(one_volume)

    def n_free(self, k, d):
        return 1 + k * (d - 1)


class VVI(Diag):
    """`diag`, by its name in mclust."""

    name = "VVI"


class VII(Spherical):
    """`spherical`, by its name in mclust."""

    name = "VII"
