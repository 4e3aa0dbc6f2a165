"""The Gaussian family: densities of k components and the statistics that their M-step needs, with missing values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import kernels
from ..chunks import Rows
from .covariance import Covariance

LOG_2PI = math.log(2 * math.pi)
LARGEST_SQUARE = {np.float64: 1e300, np.float32: 1e37}  # as in the kernels
MOMENT_ROWS = 500  # at a time, where (k, n, d) arrays are made


class GaussianParams(NamedTuple):
    """Parameters of k Gaussians over d features, and what the kernels need of them."""

    means: np.ndarray  # (k, d)
    covariances: np.ndarray  # Covariance.shape(k, d)
    factors: np.ndarray  # precision factors: (k, d, d), (1, d, d) or (k, d)
    log_norms: np.ndarray  # (k,): log density at the mean
    roots: np.ndarray  # Cholesky factors of the covariances, see Prepared


class Moments(NamedTuple):
    """Sums over rows of responsibilities and of moments about the present means; they add."""

    counts: np.ndarray  # (k,)
    sums: np.ndarray  # (k, d)
    scatter: np.ndarray  # Covariance.zero_scatter(k, d); of a matrix, the lower triangle counts


@dataclass(frozen=True, eq=False)
class GaussianFamily:
    """k Gaussians of one covariance type.

    Attributes
    ----------
    covariance : Covariance
    n_components : int
    scale : ndarray of shape (d,)
        Standard deviations of the features: the units of the floor and of the unconstrained vector.
    floor : float
        Least eigenvalue of a covariance in those units (`reg_covar`); 0 is none.
    dtype : dtype
        That of the data; parameters are float64, rounded to it.
    """

    covariance: Covariance
    n_components: int
    scale: np.ndarray
    floor: float
    dtype: np.dtype

    @property
    def n_features(self) -> int:
        return len(self.scale)

    def params(self, means: np.ndarray, covariances: np.ndarray, floor: float | None = None) -> GaussianParams:
        """Covariances are raised to the floor (or to another one); of matrices the lower triangle counts."""
        ready = self.covariance.prepare(covariances, self.scale, self.floor if floor is None else floor, len(means))
        log_norms = ready.log_dets - 0.5 * self.n_features * LOG_2PI
        if len(log_norms) == 1:
            log_norms = np.repeat(log_norms, len(means))
        return GaussianParams(self._rounded(means), ready.covariances, ready.factors, log_norms, ready.roots)

    def _rounded(self, means: np.ndarray) -> np.ndarray:
        """To the dtype of the data, so that moments are taken about what the kernels used."""
        return means if self.dtype == np.float64 else means.astype(self.dtype).astype(np.float64)

    def log_density(self, params: GaussianParams, rows: Rows) -> np.ndarray:
        """log N(x; mu_k, S_k) of what is observed of each row, (n, k) in the dtype of the data; 0 for nothing."""
        out = np.empty((len(rows), self.n_components), dtype=self.dtype)
        self.covariance.log_density(rows.X, *self._kernel_params(params, params.log_norms), out)
        if rows.has_missing:
            gaps = rows.gaps
            partial = np.empty((len(gaps.X), self.n_components))
            X, starts, observed, means, covariances = self._with_gaps(params, rows)
            none_added = np.zeros(self.n_components)
            kernels.log_density_missing(X, starts, observed, means, covariances, none_added, partial)
            out[gaps.place] = np.maximum(partial, -LARGEST_SQUARE[self.dtype.type])
        return out

    def e_step(self, params: GaussianParams, log_weights: np.ndarray, rows: Rows, hard: bool) -> tuple[float, Moments]:
        """Objective and moments of one chunk, for mixing weights exp(log_weights); O(n k d^2), O(n k d) if diagonal.

        `hard` gives each row to its most probable component; the objective is then the classification likelihood.
        """
        moments = self.no_moments()
        objective = self.covariance.e_step(
            rows.complete_part, *self._kernel_params(params, log_weights + params.log_norms), hard, *moments
        )
        if rows.has_missing:
            X, starts, observed, means, covariances = self._with_gaps(params, rows)
            scatters = np.zeros_like(covariances)
            objective += kernels.em_step_missing(
                X, starts, observed, rows.gaps.weight, means, covariances, log_weights, hard, *moments[:2], scatters
            )
            self.covariance.add_matrices(scatters, moments.scatter)
        return objective, moments

    def moments(self, params: GaussianParams, rows: Rows, resp: np.ndarray) -> Moments:
        """Moments of a chunk under given responsibilities (n, k), sample weights included."""
        moments = self.no_moments()
        complete = rows.complete_part
        kept = np.delete(resp, rows.missing, axis=0) if rows.has_missing else resp
        for start in range(0, len(complete), MOMENT_ROWS):
            part = slice(start, start + MOMENT_ROWS)
            difference = complete.X[part] - params.means[:, None]  # (k, n, d)
            moments.counts[:] += kept[part].sum(axis=0)
            moments.sums[:] += (kept[part].T[:, None] @ difference)[:, 0]
            self.covariance.add_scatter(difference, kept[part].T, moments.scatter)
        if rows.has_missing:
            X, starts, observed, means, covariances = self._with_gaps(params, rows)
            scatters = np.zeros_like(covariances)
            given = np.ascontiguousarray(resp[rows.gaps.place], np.float64)
            kernels.moments_missing(X, starts, observed, given, means, covariances, *moments[:2], scatters)
            self.covariance.add_matrices(scatters, moments.scatter)
        return moments

    def no_moments(self) -> Moments:
        k, d = self.n_components, self.n_features
        return Moments(np.zeros(k), np.zeros((k, d)), self.covariance.zero_scatter(k, d))

    def m_step(self, moments: Moments, params: GaussianParams, fixed: frozenset[str] = frozenset()) -> GaussianParams:
        """Maximum likelihood under the floor; a component without rows stays as it was."""
        counts, sums, scatter = moments
        means = params.means
        if "means" not in fixed:
            shift = sums / np.where(counts > 0, counts, 1)[:, None]
            means = means + shift
            scatter = self.covariance.scatter_about(scatter, counts, shift)
        if "covariances" in fixed:
            return params._replace(means=self._rounded(means))
        return self.params(means, self.covariance.estimate(scatter, counts, params.covariances))

    def recentre(self, moments: Moments, params: GaussianParams, new: GaussianParams) -> Moments:
        """The same moments, taken about the means of `new`."""
        shift = new.means - params.means
        counts, sums, scatter = moments
        centroid = sums / np.where(counts > 0, counts, 1)[:, None]
        scatter = self.covariance.scatter_about(scatter, counts, centroid)
        scatter = self.covariance.scatter_about(scatter, -counts, centroid - shift)
        return Moments(counts, sums - counts[:, None] * shift, scatter)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        k, d = self.n_components, self.n_features
        return k * d * ("means" not in fixed) + self.covariance.n_free(k, d) * ("covariances" not in fixed)

    def rounding(self, params: GaussianParams) -> float:
        """Relative error of a sum of log densities: distances lose as many digits as the covariances' condition has."""
        values = np.linalg.eigvalsh(self._dense(params) / np.outer(self.scale, self.scale))
        condition = float((values[:, -1] / np.maximum(values[:, 0], np.finfo(float).tiny)).max())
        return float(np.finfo(self.dtype).eps) * (1e3 + condition)

    def to_vector(self, params: GaussianParams, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        parts = [] if "means" in fixed else [(params.means / self.scale).ravel()]
        if "covariances" not in fixed:
            parts.append(self.covariance.to_vector(params.covariances, params.roots, self.scale))
        return np.concatenate([np.empty(0), *parts])

    def from_vector(self, vector: np.ndarray, params: GaussianParams, fixed: frozenset[str]) -> GaussianParams:
        means = params.means
        if "means" not in fixed:
            means, vector = vector[: means.size].reshape(means.shape) * self.scale, vector[means.size :]
        if "covariances" in fixed:
            return params._replace(means=self._rounded(means))
        return self.params(means, self.covariance.from_vector(vector, self.n_components, self.scale))

    def _kernel_params(
        self, params: GaussianParams, constants: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        means, factors, constants = (
            np.ascontiguousarray(a, self.dtype) for a in (params.means, params.factors, constants)
        )
        return means, factors, constants

    def _with_gaps(
        self, params: GaussianParams, rows: Rows
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the kernels for rows with missing values take first."""
        gaps = rows.gaps
        return gaps.X, gaps.starts, gaps.observed, params.means, np.ascontiguousarray(self._dense(params))

    def _dense(self, params: GaussianParams) -> np.ndarray:
        return self.covariance.dense(params.covariances, self.n_components, self.n_features)


def posterior(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log sum_k exp(log_joint), (n,), and the responsibilities, (n, k), in the dtype of the argument."""
    top = log_joint.max(axis=1, keepdims=True)
    resp = np.exp(log_joint - top)
    total = resp.sum(axis=1, keepdims=True)
    resp /= total
    return (top + np.log(total))[:, 0], resp
