"""All that depends on `covariance_type`: one class a type, one table of them at the end.

A class has no state. Two kernels serve all types: `full` and `tied` are *dense* (factors F with precision
P = F F^T, upper triangular), the others *diagonal* (scales 1 / sd for each component and feature). k components, d
features; `scale` (d,) holds the standard deviations of the features, the units in which the floor is measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import NamedTuple

import numpy as np

from .. import kernels
from ..chunks import Rows
from ..engine import UnusableStartError

LARGEST_FACTOR = 1e153  # its square, a precision, is finite


class SingularCovarianceError(UnusableStartError):
    """A covariance without a floor (`reg_covar=0`) is not positive definite any more."""

    def __init__(self) -> None:
        super().__init__(
            "Fitting the mixture model failed because some components have ill-defined empirical covariance (for "
            "instance caused by singleton or collapsed samples). Try to decrease the number of components, increase "
            "reg_covar, or scale the input data."
        )


class Prepared(NamedTuple):
    """Covariances and what follows from them."""

    covariances: np.ndarray
    factors: np.ndarray  # for the kernels
    log_dets: np.ndarray  # (k,) or (1,): log determinants of the factors
    roots: np.ndarray  # dense types: lower Cholesky factors in units of scale; else empty


class Covariance(ABC):
    """One value of `covariance_type`; `shape(k, d)` is that of `covariances_`, as in scikit-learn."""

    name: str
    shared = False  # one covariance serves all components
    isotropic = False  # one variance serves all features, so that a start must not rescale them

    @abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]: ...

    @abstractmethod
    def n_free(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""

    @abstractmethod
    def rows_of_full_rank(self, d: int) -> int:
        """How many rows a covariance needs to be positive definite."""

    @abstractmethod
    def from_variances(self, variances: np.ndarray, k: int) -> np.ndarray:
        """The same diagonal covariance (d,) for each component; isotropic types take its mean."""

    @abstractmethod
    def from_precisions(self, precisions: np.ndarray, k: int, d: int) -> np.ndarray:
        """Covariances of the precisions that a user gave; ValueError if they are not positive definite."""

    @abstractmethod
    def estimate(self, scatter: np.ndarray, counts: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Maximum likelihood without a floor; a component without rows keeps its covariance of `before`."""

    @abstractmethod
    def prepare(self, covariances: np.ndarray, scale: np.ndarray, floor: float, k: int) -> Prepared:
        """Factors of the covariances, whose eigenvalues in units of V = diag(scale^2) are first raised to `floor`.

        SingularCovarianceError if a covariance is not positive definite by more than rounding.
        """

    @abstractmethod
    def log_det_factors(self, factors: np.ndarray) -> np.ndarray:
        """(k,) or (1,): log determinant of the precisions' square roots."""

    @abstractmethod
    def published_factors(self, factors: np.ndarray) -> np.ndarray:
        """`precisions_cholesky_`, shaped as in scikit-learn."""

    @abstractmethod
    def kernel_factors(self, published: np.ndarray, k: int, d: int) -> np.ndarray:
        """`precisions_cholesky_` back in the shape that the kernels need."""

    @abstractmethod
    def precisions(self, factors: np.ndarray) -> np.ndarray:
        """`precisions_`, shaped as in scikit-learn."""

    @abstractmethod
    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Covariance matrices (k, d, d)."""

    @abstractmethod
    def zero_scatter(self, k: int, d: int) -> np.ndarray: ...

    @abstractmethod
    def moments(
        self,
        X: np.ndarray,
        resp: np.ndarray,
        means: np.ndarray,
        counts: np.ndarray,
        sums: np.ndarray,
        scatter: np.ndarray,
    ) -> None:
        """See `kernels.reference`."""

    @abstractmethod
    def add_matrices(self, matrices: np.ndarray, out: np.ndarray) -> None:
        """Add scatter matrices of the components (k, d, d), of which the lower triangle counts."""

    @abstractmethod
    def scatter_about(self, scatter: np.ndarray, counts: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Scatter about means moved by `shift` (k, d), the centroids' distance from the old ones."""

    @abstractmethod
    def log_density(
        self, X: np.ndarray, means: np.ndarray, factors: np.ndarray, constants: np.ndarray, out: np.ndarray
    ) -> None:
        """See `kernels.reference`."""

    @abstractmethod
    def e_step(
        self,
        rows: Rows,
        means: np.ndarray,
        factors: np.ndarray,
        constants: np.ndarray,
        hard: bool,
        counts: np.ndarray,
        sums: np.ndarray,
        scatter: np.ndarray,
    ) -> float:
        """See `kernels.reference`."""

    @abstractmethod
    def to_vector(self, covariances: np.ndarray, roots: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Unconstrained and free of units: logarithms of variances, or of the Cholesky factor's diagonal."""

    @abstractmethod
    def from_vector(self, vector: np.ndarray, k: int, scale: np.ndarray) -> np.ndarray: ...


class _Dense(Covariance):
    """Covariance matrices; `full` and `tied` differ in the first axis only: k or 1 matrices."""

    def _matrices(self, covariances: np.ndarray) -> np.ndarray:
        return covariances

    def _published(self, matrices: np.ndarray) -> np.ndarray:
        return matrices

    def n_free(self, k, d):
        return len(self.zero_scatter(k, d)) * d * (d + 1) // 2

    def rows_of_full_rank(self, d):
        return d + 1

    def from_variances(self, variances, k):
        d = len(variances)
        return np.broadcast_to(np.diag(variances), self.shape(k, d)).copy()

    def from_precisions(self, precisions, k, d):
        matrices = self._matrices(precisions)
        if not np.allclose(matrices, matrices.swapaxes(1, 2)) or (np.linalg.eigvalsh(matrices) <= 0).any():
            raise ValueError(
                f"precisions_init: The parameter '{self.name} precision' should be symmetric, positive-definite"
            )
        return self._published(np.linalg.inv(matrices))

    def estimate(self, scatter, counts, before):
        counts = counts.sum(keepdims=True) if self.shared else counts
        if (counts > 0).all():
            return self._published(scatter / counts[:, None, None])  # the lower triangle; `prepare` mirrors it
        empty = counts <= 0
        matrices = scatter / np.where(empty, 1, counts)[:, None, None]
        matrices[empty] = self._matrices(before)[empty]
        return self._published(matrices)

    def prepare(self, covariances, scale, floor, k):
        """Reads the lower triangles alone."""
        prepared, traces = self._factorise(covariances, scale)
        if floor > 0 and (prepared is None or floor * traces.max() > 1):  # 1 / trace bounds the eigenvalues from below
            prepared, _ = self._factorise(self._raised(covariances, scale, floor), scale)
        if prepared is None or not np.abs(prepared.factors).max() < LARGEST_FACTOR:
            raise SingularCovarianceError
        return prepared

    def _factorise(self, covariances, scale):
        matrices = np.array(self._matrices(covariances), order="C")
        lowers, factors = np.empty((2, *matrices.shape))
        log_dets, traces = np.empty((2, len(matrices)))
        if kernels.factorise(matrices, scale, lowers, factors, log_dets, traces) >= 0:
            return None, traces
        return Prepared(self._published(matrices), factors, log_dets, lowers), traces

    def _raised(self, covariances, scale, floor):
        units = np.outer(scale, scale)
        values, vectors = np.linalg.eigh(self._matrices(covariances) / units)  # of the lower triangles
        raised = (vectors * np.maximum(values, floor)[:, None, :]) @ vectors.swapaxes(1, 2)
        return self._published(raised * units)

    def log_det_factors(self, factors):
        return np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)

    def published_factors(self, factors):
        return self._published(factors)

    def kernel_factors(self, published, k, d):
        return self._matrices(published)

    def precisions(self, factors):
        return self._published(factors @ factors.swapaxes(1, 2))

    def dense(self, covariances, k, d):
        return np.broadcast_to(self._matrices(covariances), (k, d, d))

    def moments(self, X, resp, means, counts, sums, scatter):
        kernels.moments_full(X, resp, means, counts, sums, scatter)

    def add_matrices(self, matrices, out):
        out += matrices.sum(axis=0) if self.shared else matrices

    def log_density(self, X, means, factors, constants, out):
        kernels.log_density_full(X, means, factors, constants, out)

    def e_step(self, rows, means, factors, constants, hard, counts, sums, scatter):
        return kernels.em_step_full(rows.X, rows.weight, means, factors, constants, hard, counts, sums, scatter)

    def to_vector(self, covariances, roots, scale):
        i, j, on_diagonal = _triangle(len(scale))
        entries = roots[:, i, j]
        entries[:, on_diagonal] = np.log(entries[:, on_diagonal])
        return entries.ravel()

    def from_vector(self, vector, k, scale):
        d = len(scale)
        i, j, on_diagonal = _triangle(d)
        entries = vector.reshape(-1, len(i)).copy()
        entries[:, on_diagonal] = np.exp(entries[:, on_diagonal])
        lower = np.zeros((len(entries), d, d))
        lower[:, i, j] = entries
        lower *= scale[:, None]
        return self._published(lower @ lower.swapaxes(1, 2))


class Full(_Dense):
    """Each component has a covariance matrix of its own."""

    name = "full"

    def shape(self, k, d):
        return (k, d, d)

    def zero_scatter(self, k, d):
        return np.zeros((k, d, d))

    def scatter_about(self, scatter, counts, shift):
        return scatter - counts[:, None, None] * shift[:, :, None] * shift[:, None, :]


class Tied(_Dense):
    """One covariance matrix for all components."""

    name = "tied"
    shared = True

    def _matrices(self, covariances):
        return covariances[None]

    def _published(self, matrices):
        return matrices[0]

    def shape(self, k, d):
        return (d, d)

    def zero_scatter(self, k, d):
        return np.zeros((1, d, d))

    def scatter_about(self, scatter, counts, shift):
        return scatter - (counts * shift.T) @ shift


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

    def estimate(self, scatter, counts, before):
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


COVARIANCES: dict[str, Covariance] = {c.name: c for c in (Full(), Tied(), Diag(), Spherical(), EII())}


@cache
def _triangle(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the lower triangle, and which of them are on the diagonal."""
    i, j = np.tril_indices(d)
    return i, j, np.flatnonzero(i == j)
