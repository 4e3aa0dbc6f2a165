"""Covariance matrices: each component's own (full), or one for all (tied)."""

from __future__ import annotations

from functools import cache

import numpy as np

from ... import kernels
from ..._compat import log_diagonals
from .base import LARGEST_FACTOR, Covariance, Prepared, SingularCovarianceError


class Dense(Covariance):
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

    def estimate(self, scatter, counts, before, scale, floor):
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
        return log_diagonals(factors).sum(axis=1)

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


class Full(Dense):
    """Each component has a covariance matrix of its own."""

    name = "full"

    def shape(self, k, d):
        return (k, d, d)

    def zero_scatter(self, k, d):
        return np.zeros((k, d, d))

    def scatter_about(self, scatter, counts, shift):
        return scatter - counts[:, None, None] * shift[:, :, None] * shift[:, None, :]


class Tied(Dense):
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


class VVV(Full):
    """`full`, by its name in mclust."""

    name = "VVV"


class EEE(Tied):
    """`tied`, by its name in mclust."""

    name = "EEE"


@cache
def _triangle(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the lower triangle, and which of them are on the diagonal."""
    i, j = np.tril_indices(d)
    return i, j, np.flatnonzero(i == j)
