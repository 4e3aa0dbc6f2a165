"""One Gaussian behind a table: each row is a point of it, of which some coordinates are known, some only to a cell.

References
----------
.. [1] Little, R. J. A. and Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd edition. Wiley. Section
   11.2: EM for incomplete multivariate normal samples.
.. [2] Zhao, Y. and Udell, M. (2020). Missing value imputation for mixed data via Gaussian copula. KDD, 636-646.
.. [3] Schafer, J. L. (1997). Analysis of Incomplete Multivariate Data. Chapman and Hall. Section 5.2.3: ridge prior.
.. [4] Liu, C., Rubin, D. B. and Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM algorithm.
   Biometrika 85(4), 755-770.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from .._compat import log_diagonals
from ..engine import Stats, UnusableStartError
from ..kernels import _conditional as kernels
from .gaussian_table import Completed
from .rows import Arranged, Factors, IncompleteRows, arrange

FIT_SWEEPS, FIT_TOL = 20, 1e-5  # of expectation propagation, which goes on from step to step of EM
LAST_SWEEPS, LAST_TOL = 200, 1e-9  # of rows that are to be completed
LEAST_PIVOT = 1e-12  # of the correlations: below, a coordinate is a linear function of others up to rounding


class SingularTableError(UnusableStartError):
    """Without a ridge, the covariance has become singular."""

    def __init__(self) -> None:
        super().__init__("the covariance of the columns is singular; ridge must be larger")


class LatentParams(NamedTuple):
    """A Gaussian over d coordinates, and what follows from its covariance."""

    mean: np.ndarray  # (d,)
    covariance: np.ndarray  # (d, d)
    root: np.ndarray  # (d, d): lower Cholesky factor
    precision: np.ndarray  # (d, d)
    log_det: float  # of the covariance


@dataclass(frozen=True)
class LatentStats(Stats):
    """Expected moments about the mean of the E-step."""

    sums: np.ndarray  # (d,)
    scatter: np.ndarray  # (d, d)


def latent_params(mean: np.ndarray, covariance: np.ndarray) -> LatentParams:
    """SingularTableError if the covariance is not positive definite by more than rounding."""
    scale = np.sqrt(np.maximum(covariance.diagonal(), np.finfo(float).tiny))
    correlation = covariance / scale[:, None] / scale
    root, info = dpotrf(correlation, lower=1, clean=1)
    if info != 0 or not np.isfinite(root).all() or (root.diagonal() ** 2 < LEAST_PIVOT).any():
        raise SingularTableError
    inverse = dpotri(root, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    log_det = 2 * float(np.log(root.diagonal() * scale).sum())
    precision = np.ascontiguousarray(inverse / scale[:, None] / scale)
    return LatentParams(mean, covariance, root * scale[:, None], precision, log_det)


class Conditional(NamedTuple):
    """Rows given what is known of them."""

    deviations: np.ndarray  # (n, d): conditional means minus the mean
    log_density: np.ndarray  # (n,): of what is known
    variances: np.ndarray | None  # (n, d): zero where known exactly


def condition(
    params: LatentParams,
    rows: IncompleteRows,
    spread: np.ndarray | None = None,
    with_variances: bool = False,
    n_sweeps: int = FIT_SWEEPS,
    tol: float = FIT_TOL,
) -> Conditional:
    """Conditional means, densities and variances; covariances times weights are added to the lower half of `spread`.

    O(n d^2) and, for each pattern of m missing and o known coordinates, O(min(m, o) d^2); with cells O(m^3) a row.
    """
    deviations = rows.values - params.mean * rows.exact
    pulls = deviations @ params.precision
    squares = np.einsum("ij,ij->i", pulls, deviations)
    log_density = np.empty(len(rows))
    variances = np.zeros_like(deviations) if with_variances else None
    found = Conditional(deviations, log_density, variances)
    try:
        _complete(params, rows, pulls, squares, found, spread, n_sweeps, tol)
    except FloatingPointError:
        raise SingularTableError from None
    return found


def _complete(
    params: LatentParams,
    rows: IncompleteRows,
    pulls: np.ndarray,
    squares: np.ndarray,
    found: Conditional,
    spread: np.ndarray | None,
    n_sweeps: int,
    tol: float,
) -> None:
    """Call the kernel that is for these rows."""
    precision, log_det = params.precision, params.log_det
    if rows.factors is None:
        kernels.complete_rows(
            *(*rows.patterns, rows.weight, pulls, squares, precision, params.covariance, log_det),
            *(found.deviations, found.log_density, found.variances, spread),
        )
        return
    cells = rows.factors
    kernels.complete_cells(
        *(rows.exact, rows.weight, pulls, squares, precision, log_det, params.mean, cells.lower, cells.upper),
        *(n_sweeps, tol, cells.tau, cells.nu, found.deviations, found.log_density, found.variances, spread),
    )


@dataclass(frozen=True, eq=False)
class LatentGaussianModel:
    """Maximum likelihood under a prior worth `prior_weight` rows of covariance `prior` ([3]_).

    With cells the E-step is expectation propagation, and the objective its estimate of the log-likelihood, whose
    stationary points are the fixed points of EM.
    """

    prior: np.ndarray  # (d, d)
    prior_weight: float
    n_unidentified: int = 0  # free parameters that the data cannot tell
    has_cells: bool = False
    free_scale: np.ndarray = field(
        default_factory=partial(np.empty, 0, np.intp)
    )  # coordinates whose unit means nothing, as those of two cells
    pivots: np.ndarray = field(
        default_factory=partial(np.empty, 0)
    )  # points of theirs that stay where they are if the unit changes

    can_accelerate = True

    @property
    def monotone(self) -> bool:
        return not self.has_cells

    def init_params(self, chunks: object, rng: np.random.Generator) -> LatentParams:
        return latent_params(np.zeros(len(self.prior)), self.prior)

    def e_step(self, params: LatentParams, chunk: IncompleteRows) -> LatentStats:
        spread = np.zeros_like(self.prior)
        deviations, log_density, _ = condition(params, chunk, spread)
        spread += np.tril(spread, -1).T
        scatter = deviations.T @ (deviations * chunk.weight[:, None]) + spread
        weight = chunk.weight
        return LatentStats(float(weight @ log_density), float(weight.sum()), weight @ deviations, scatter)

    def m_step(self, stats: LatentStats, params: LatentParams) -> LatentParams:
        shift = stats.sums / stats.weight
        scatter = stats.scatter - stats.weight * np.outer(shift, shift) + self.prior_weight * self.prior
        covariance = scatter / (stats.weight + self.prior_weight)
        if (covariance.diagonal() < LEAST_PIVOT * self.prior.diagonal()).any():  # a constant column, without a ridge
            raise SingularTableError
        params = latent_params(params.mean + shift, covariance)
        return self._in_best_units(params) if len(self.free_scale) else params

    def _in_best_units(self, params: LatentParams) -> LatentParams:
        """Rescale coordinates whose unit the likelihood does not know as the prior likes best ([4]_, section 2)."""
        factor = np.ones(len(params.mean))
        at = self.free_scale
        factor[at] = np.sqrt(params.precision.diagonal()[at] * self.prior.diagonal()[at])
        mean = params.mean.copy()
        mean[at] = self.pivots + factor[at] * (mean[at] - self.pivots)
        both = np.outer(factor, factor)
        log_det = params.log_det + 2 * float(np.log(factor).sum())
        return LatentParams(
            mean, params.covariance * both, params.root * factor[:, None], params.precision / both, log_det
        )

    def log_prior(self, params: LatentParams) -> float:
        if self.prior_weight == 0:
            return 0.0
        trace = float((params.precision * self.prior).sum())
        return -0.5 * self.prior_weight * (params.log_det + trace)

    def n_free(self, params: LatentParams) -> int:
        d = len(params.mean)
        return d + d * (d + 1) // 2 - self.n_unidentified

    def rounding(self, params: LatentParams) -> float:
        scale = np.sqrt(params.covariance.diagonal() * params.precision.diagonal())
        return float(np.finfo(np.float64).eps) * (1e3 + 10 * float((scale**2).max(initial=0.0)))

    def recentre(self, stats: LatentStats, params: LatentParams, new_params: LatentParams) -> LatentStats:
        shift = new_params.mean - params.mean
        cross = np.outer(stats.sums, shift)
        scatter = stats.scatter - cross - cross.T + stats.weight * np.outer(shift, shift)
        return LatentStats(stats.objective, stats.weight, stats.sums - stats.weight * shift, scatter)

    def to_vector(self, params: LatentParams) -> np.ndarray:
        """Means and the Cholesky factor, its diagonal as logs, in units of the prior."""
        scale = np.sqrt(self.prior.diagonal())
        root = params.root / scale[:, None]
        below = np.tril_indices(len(root), -1)
        return np.concatenate([params.mean / scale, log_diagonals(root), root[below]])

    def from_vector(self, vector: np.ndarray, params: LatentParams) -> LatentParams | None:
        """Back again; None where the vector is out of range."""
        d = len(params.mean)
        scale = np.sqrt(self.prior.diagonal())
        root = np.zeros((d, d))
        with np.errstate(over="ignore", invalid="ignore"):
            root.flat[:: d + 1] = np.exp(vector[d : 2 * d])
            root[np.tril_indices(d, -1)] = vector[2 * d :]
            root *= scale[:, None]
            covariance = root @ root.T
            try:
                return latent_params(vector[:d] * scale, covariance) if np.isfinite(covariance).all() else None
            except SingularTableError:
                return None


@dataclass(frozen=True, eq=False)
class FullCore:
    """A fitted Gaussian of full covariance, as `gaussian_table.Core`."""

    params: LatentParams

    @property
    def location(self) -> np.ndarray:
        return self.params.mean

    @property
    def covariance(self) -> np.ndarray:
        return self.params.covariance

    def complete(self, rows: IncompleteRows, with_variance: bool = True) -> Completed:
        arranged = arrange(rows)
        done = [self._condition(chunk, with_variance) for chunk in arranged]
        mean = self.params.mean + arranged.in_order([piece.deviations for piece in done])
        variance = np.zeros_like(mean)
        if with_variance:
            variance = arranged.in_order([piece.variances for piece in done if piece.variances is not None])
        return Completed(mean, variance, arranged.in_order([piece.log_density for piece in done]))

    def log_density(self, rows: IncompleteRows) -> np.ndarray:
        arranged = arrange(rows)
        return arranged.in_order([self._condition(chunk).log_density for chunk in arranged])

    def draw(self, rows: IncompleteRows, rng: np.random.Generator) -> np.ndarray:
        """The conditional mean plus what a drawn row deviates from its own conditional mean (Matheron's rule).

        With cells the Gaussian factors stand in for them.
        """
        noise = rng.standard_normal((2, *rows.values.shape))
        arranged = arrange(rows)
        drawn = []
        for chunk, own in zip(arranged, _pieces(arranged, noise), strict=True):
            mean = self._condition(chunk).deviations
            z = own[0] @ self.params.root.T + self.params.mean
            drawn.append(self.params.mean + mean + (z - self.params.mean) - self._of_drawn(chunk, z, own[1]))
        return arranged.in_order(drawn)

    def _of_drawn(self, rows: IncompleteRows, z: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Conditional mean of drawn rows, minus the mean: known where `rows` are, and with factors as theirs."""
        factors = rows.factors
        if factors is not None:
            nu = factors.tau * z + np.sqrt(factors.tau) * noise
            unbounded = np.full_like(z, np.nan)
            factors = Factors(unbounded, unbounded, factors.tau.copy(), nu)
        alike = IncompleteRows(z * rows.exact, rows.exact, rows.weight, factors)
        return self._condition(alike).deviations

    def _condition(self, rows: IncompleteRows, with_variances: bool = False) -> Conditional:
        return condition(self.params, rows, None, with_variances, LAST_SWEEPS, LAST_TOL)


def _pieces(arranged: Arranged, noise: np.ndarray) -> Iterator[np.ndarray]:
    """Noise (2, n, d) of the rows of each chunk."""
    start = 0
    for chunk in arranged:
        yield noise[:, arranged.order[start : start + len(chunk)]]
        start += len(chunk)
