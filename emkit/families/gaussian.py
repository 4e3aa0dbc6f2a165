"""The Gaussian family: densities of k components and the statistics that their M-step needs, with missing values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from .. import kernels
from .._validation import check_array
from ..chunks import Rows
from ..description import Description, describe
from ..engine import UnusableStartError
from .base import Family, Options
from .covariance import COVARIANCES, Covariance
from .degenerate import collapsed, flaws, seed_anew

LOG_2PI = math.log(2 * math.pi)
LARGEST_SQUARE = {np.float64: 1e300, np.float32: 1e37}  # as in the kernels


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
class GaussianFamily(Family):
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

    names = ("means", "covariances")

    @classmethod
    def for_chunks(cls, n_components: int, options: Options, chunks: Iterable[Rows], described: Description) -> Self:
        dtype = np.dtype(np.float64)
        check_range(described, dtype)
        return cls(COVARIANCES[options.covariance_type], n_components, described.scale, options.reg_covar, dtype)

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        """In units of the deviations within components, and without a floor, which would need the data."""
        covariance, d = COVARIANCES[options.covariance_type], np.shape(parts["means"])[-1]
        matrices = covariance.dense(np.asarray(parts["covariances"], dtype=np.float64), n_components, d)
        variances = np.diagonal(matrices, axis1=1, axis2=2).mean(axis=0)
        scale = np.sqrt(np.where(variances > 0, variances, 1.0))  # others are no variances, which is said elsewhere
        return cls(covariance, n_components, scale, 0.0, np.dtype(np.float64))

    @property
    def n_features(self) -> int:
        return len(self.scale)

    @property
    def shared(self) -> frozenset[str]:
        return frozenset({"covariances"} if self.covariance.shared else ())

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

    def e_step(
        self, params: GaussianParams, log_weights: np.ndarray, rows: Rows, hard: bool
    ) -> tuple[float, np.ndarray, tuple[Any, ...]]:
        """As of any family, in one pass of a kernel where no component is known; O(n k d^2), O(n k d) if diagonal."""
        if rows.labels is not None:
            return super().e_step(params, log_weights, rows, hard)
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
        return objective, moments.counts, moments

    def moments(self, params: GaussianParams, rows: Rows, resp: np.ndarray) -> Moments:
        """Moments of a chunk under given responsibilities (n, k), sample weights included."""
        moments = self.no_moments()
        complete = rows.complete_part
        kept = np.delete(resp, rows.missing, axis=0) if rows.has_missing else resp
        if kept.dtype != self.dtype or kept.strides[1] != kept.itemsize:
            kept = np.ascontiguousarray(kept, self.dtype)
        self.covariance.moments(complete.X, kept, np.ascontiguousarray(params.means, self.dtype), *moments)
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

    def m_step(
        self, moments: Sequence[Any], params: GaussianParams, fixed: frozenset[str] = frozenset()
    ) -> GaussianParams:
        """Maximum likelihood under the floor; a component without rows stays as it was."""
        counts, sums, scatter = moments
        means = params.means
        if "means" not in fixed:
            shift = sums / np.where(counts > 0, counts, 1)[:, None]
            means = means + shift
            scatter = self.covariance.scatter_about(scatter, counts, shift)
        if "covariances" in fixed:
            return params._replace(means=self._rounded(means))
        return self.params(means, self.covariance.estimate(scatter, counts, params.covariances, self.scale, self.floor))

    def recentre(self, moments: Any, params: GaussianParams, new_params: GaussianParams) -> Moments:
        """The same moments, taken about the means of `new_params`."""
        shift = new_params.means - params.means
        counts, sums, scatter = moments
        centroid = sums / np.where(counts > 0, counts, 1)[:, None]
        scatter = self.covariance.scatter_about(scatter, counts, centroid)
        scatter = self.covariance.scatter_about(scatter, -counts, centroid - shift)
        return Moments(counts, sums - counts[:, None] * shift, scatter)

    def start_from(self, moments: Moments, params: GaussianParams) -> GaussianParams:
        """Parameters at a start from the moments of parts of the rows.

        Each covariance is that of its part and of d + 1 rows like the average part, so that a small part does not
        start on its way to a singular solution.
        """
        counts, sums, scatter = moments
        shift = sums / np.where(counts > 0, counts, 1)[:, None]
        scatter = self.covariance.scatter_about(scatter, counts, shift)
        prior_rows = 0.0 if self.covariance.shared else self.n_features + 1.0
        scatter = scatter + prior_rows * scatter.sum(axis=0) / counts.sum()
        moved = params._replace(means=params.means + shift)
        softened = replace(self, floor=max(self.floor, 1e-6))
        return softened.m_step(Moments(counts + prior_rows, np.zeros_like(shift), scatter), moved)

    def start(self, rows: Rows, resp: np.ndarray) -> GaussianParams:
        middle = describe([rows], self.n_features).mean
        covariances = self.covariance.from_variances(self.scale**2, self.n_components)
        params = self.params(np.tile(middle, (self.n_components, 1)), covariances)
        for _ in range(2):  # the second time about the right means, so that nothing cancels
            params = self.start_from(self.moments(params, rows, resp), params)
        return params

    def parts(self, params: GaussianParams) -> dict[str, Any]:
        return {"means": params.means, "covariances": params.covariances}

    def from_parts(self, parts: dict[str, Any]) -> GaussianParams:
        means, covariances = (np.asarray(parts[name], dtype=np.float64) for name in self.names)
        return self.params(means, covariances, floor=0.0)

    def from_factors(self, means: np.ndarray, covariances: np.ndarray, published: np.ndarray) -> GaussianParams:
        """Parameters from fitted attributes; what densities need is taken from `precisions_cholesky_` alone."""
        k, d = means.shape
        factors = self.covariance.kernel_factors(published, k, d).astype(np.float64)
        log_norms = np.broadcast_to(self.covariance.log_det_factors(factors) - 0.5 * d * LOG_2PI, k)
        return GaussianParams(means.astype(np.float64), covariances.astype(np.float64), factors, log_norms, np.empty(0))

    def floored(self, params: GaussianParams, fixed: frozenset[str] = frozenset()) -> GaussianParams:
        return params if "covariances" in fixed else self.params(params.means, params.covariances)

    def signature(self, params: GaussianParams) -> np.ndarray:
        """Means in standard deviations of the features, and the log of a width."""
        return np.column_stack([params.means / self.scale, params.log_norms / self.n_features])

    def check_part(self, name: str, value: Any) -> np.ndarray:
        k, d = self.n_components, self.n_features
        if name == "means":
            return check_array("means_init", value, (k, d), name)
        if name != "covariances":
            return super().check_part(name, value)
        covariances = check_array("covariances_init", value, self.covariance.shape(k, d), name)
        dense = self.covariance.dense(covariances, k, d)
        variances = np.diagonal(dense, axis1=1, axis2=2)
        sizes = np.sqrt(np.where(variances > 0, variances, 1.0))
        correlations = dense / sizes[:, :, None] / sizes[:, None, :]  # so that rounding knows no units
        if (
            not np.allclose(correlations, correlations.swapaxes(1, 2))
            or not (np.linalg.eigvalsh(correlations) > 0).all()
        ):
            raise ValueError("covariances_init must be symmetric and positive definite")
        self.covariance.require_type(covariances, "covariances_init")
        return covariances

    def sample(self, params: GaussianParams, components: np.ndarray, rng: Any) -> np.ndarray:
        values, vectors = np.linalg.eigh(self._dense(params))
        roots = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        noise = rng.standard_normal((len(components), self.n_features))
        drawn: np.ndarray = params.means[components] + np.einsum("nij,nj->ni", roots[components], noise)
        return drawn

    def mean(self, params: GaussianParams) -> np.ndarray:
        return params.means

    def variance(self, params: GaussianParams) -> np.ndarray:
        return np.diagonal(self._dense(params), axis1=1, axis2=2)

    def features(self, X: np.ndarray) -> np.ndarray:
        """Columns in units of their standard deviations; isotropic types must not rescale one against another."""
        return X / (np.sqrt((self.scale**2).mean()) if self.covariance.isotropic else self.scale)

    def flaw(self, params: GaussianParams, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        return flaws(self, params, counts, weight, fixed)

    def reseed(
        self, params: GaussianParams, counts: np.ndarray, weight: float, X: np.ndarray
    ) -> tuple[GaussianParams, np.ndarray] | None:
        which = collapsed(self, params, counts, weight)
        if not which.any():
            return None
        rows = np.where(np.isnan(X[which]), params.means.mean(axis=0), X[which])
        return seed_anew(self, params, which, rows), which

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

    def from_vector(
        self, vector: np.ndarray, params: GaussianParams, fixed: frozenset[str] = frozenset()
    ) -> GaussianParams:
        if not np.isfinite(vector).all():
            raise UnusableStartError("parameters have become infinite")
        means = params.means
        if "means" not in fixed:
            means, vector = vector[: means.size].reshape(means.shape) * self.scale, vector[means.size :]
        if "covariances" in fixed:
            return params._replace(means=self._rounded(means))
        moved = self.params(means, self.covariance.from_vector(vector, self.n_components, self.scale))
        if not all(np.isfinite(part).all() for part in moved):
            raise UnusableStartError("parameters have become infinite")
        return moved

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


def check_range(description: Description, dtype: np.dtype) -> None:
    """ValueError for a feature whose variance, or its inverse, would leave the range of the dtype."""
    widest = 1e15 if dtype == np.float32 else 1e150
    with np.errstate(invalid="ignore"):
        inside = (description.scale < widest) & (~description.varies | (description.scale > 1 / widest))
    if not inside.all():
        columns = np.flatnonzero(~inside)
        scale = np.nan_to_num(description.scale[columns], nan=np.inf, posinf=np.inf)
        raise ValueError(
            f"X has column(s) {columns.tolist()} of standard deviation {scale}, but {dtype} takes "
            f"{1 / widest:g} to {widest:g}; multiply these columns by a constant"
        )
