"""Linear experts with Gaussian noise: weighted least squares, ridge if penalised, for one response or several.

References
----------
.. [1] DeSarbo, W. S. and Cron, W. L. (1988). A maximum likelihood methodology for clusterwise linear regression.
   J. Classif. 5(2), 249-282. The M-step is its equations (11) and (12).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from ..._compat import log_diagonals
from ...engine import UnusableStartError
from ...families.base import Sums
from ...families.covariance import Covariance
from ...families.gaussian import LOG_2PI
from ..cases import Cases, Scaling
from ..linear import column_sums, penalty, predictor, products, solve, squares
from .base import AT_FLOOR, SIX, Experts, slopes_in_units

FARTHEST = 1e300  # squared distance: its density is not zero
LOST = 1e-12  # share of the weight of an expert without rows: all sums are rounding


class GaussianExpertParams(NamedTuple):
    coef: np.ndarray  # (k, 1 + p, m), of scaled inputs and responses
    covariances: np.ndarray  # Covariance.shape(k, m), of scaled responses
    whiteners: np.ndarray  # (k, m, m): residuals times these have variance 1
    log_norms: np.ndarray  # (k,): log density at the mean
    roots: np.ndarray  # see `emkit.families.covariance.Prepared`


class GaussianExpertMoments(NamedTuple):
    """Sums over rows of w r and its products with residuals e of the present parameters; they add."""

    counts: np.ndarray  # (k,): of 1
    curvature: np.ndarray  # (k, 1 + p, 1 + p): of u (1, x)(1, x)^T; u = 1 here
    gradient: np.ndarray  # (k, 1 + p, m): of u (1, x) e^T
    scatter: np.ndarray  # (k, m, m): of u e e^T


@dataclass(frozen=True, eq=False)
class GaussianExperts(Experts):
    """y is N(B_k (1, x), S_k) for expert k.

    The prior of the slopes, if any, is as wide as the noise (as in ridge regression), so that `alpha` has no unit.

    Attributes
    ----------
    covariance : Covariance
        What the K covariances of the noise have in common.
    units : Scaling
        Mean and standard deviation of each response.
    floor : float
        Least eigenvalue of a covariance of scaled responses.
    """

    n_components: int
    n_inputs: int
    alpha: float
    covariance: Covariance
    units: Scaling
    floor: float

    takes = ("offset",)

    @property
    def n_outputs(self) -> int:
        return len(self.units.scale)

    def look(self, params: GaussianExpertParams, cases: Cases) -> np.ndarray:
        """Residuals, scaled, (k, n, m)."""
        response = cases.y if cases.offset is None else cases.y - cases.offset[:, None]
        return self.units(response) - self._fitted(params, cases)

    def _fitted(self, params: GaussianExpertParams, cases: Cases) -> np.ndarray:
        """(k, n, m); one product for all experts."""
        k, P, m = params.coef.shape
        together = predictor(cases.X, params.coef.transpose(1, 0, 2).reshape(P, k * m))
        return together.reshape(-1, k, m).swapaxes(0, 1)

    def distances(self, params: GaussianExpertParams, residuals: np.ndarray) -> np.ndarray:
        """Squared, under the covariances, (n, k); of responses that are far beyond those of the fit FARTHEST."""
        out = np.empty((residuals.shape[1], self.n_components))
        with np.errstate(over="ignore", invalid="ignore"):
            for k, whitener in enumerate(params.whiteners):
                white = residuals[k] @ whitener
                out[:, k] = np.einsum("ij,ij->i", white, white)
        return np.minimum(out, FARTHEST, out=out)

    @property
    def log_unit(self) -> float:
        """Log of the volume that scaling of responses turns into 1."""
        return float(np.log(self.units.scale).sum())

    def log_density(self, params, cases, seen):
        out = self.distances(params, seen)
        out *= -0.5
        out += params.log_norms - self.log_unit
        return out

    def moments(self, params, cases, resp, seen):
        return Sums(self.moments_of(cases, column_sums(resp), resp, seen))

    def moments_of(
        self, cases: Cases, counts: np.ndarray, weights: np.ndarray, residuals: np.ndarray
    ) -> GaussianExpertMoments:
        """Of weights (n, k)."""
        k, n, m = residuals.shape
        weighted = residuals * weights.T[:, :, None]
        gradient = products(cases.X, weighted.swapaxes(0, 1).reshape(n, k * m))
        return GaussianExpertMoments(
            counts,
            squares(cases.X, weights),
            gradient.reshape(-1, k, m).swapaxes(0, 1),
            weighted.swapaxes(1, 2) @ residuals,
        )

    def m_step(self, moments, params):
        """Weighted ridge regression, as a step from the present coefficients so that nothing cancels."""
        counts, curvature, gradient, scatter = moments
        counts = np.where(counts > LOST * counts.sum(), counts, 0.0)
        ridge = penalty(curvature.shape[1], self.alpha)
        coef, about = params.coef.copy(), np.zeros_like(scatter)
        for k in np.flatnonzero(counts):
            old = params.coef[k]
            slope = gradient[k] - ridge[:, None] * old
            step = solve(curvature[k] + np.diag(ridge), slope)
            coef[k] = old + step
            # of residuals and slopes together, about the new coefficients
            about[k] = scatter[k] + old.T @ (ridge[:, None] * old) - slope.T @ step
        return self.params(coef, self._covariances(about, counts, params.covariances))

    def recentre(self, moments, params, new_params):
        counts, curvature, gradient, scatter = moments
        move = new_params.coef - params.coef
        moved = gradient - curvature @ move
        scatter = scatter - gradient.swapaxes(1, 2) @ move - move.swapaxes(1, 2) @ moved
        return Sums(GaussianExpertMoments(counts, curvature, moved, scatter))

    def with_prior_of(self, factor):
        return replace(self, alpha=factor * self.alpha)

    def _covariances(self, scatter: np.ndarray, counts: np.ndarray, before: np.ndarray) -> np.ndarray:
        typed = self.covariance.zero_scatter(self.n_components, self.n_outputs)
        self.covariance.add_matrices(0.5 * (scatter + scatter.swapaxes(1, 2)), typed)
        return self.covariance.estimate(typed, counts, before, np.ones(self.n_outputs), self.floor)

    def params(self, coef: np.ndarray, covariances: np.ndarray) -> GaussianExpertParams:
        """Of covariances that are raised to the floor."""
        k, m = self.n_components, self.n_outputs
        if not np.isfinite(coef).all():
            raise UnusableStartError("coefficients of an expert have become infinite")
        ready = self.covariance.prepare(covariances, np.ones(m), self.floor, k)
        dense = self.covariance.dense(ready.covariances, k, m)
        lower = np.linalg.cholesky(dense)
        whiteners = np.linalg.inv(lower).swapaxes(1, 2)
        log_norms = -log_diagonals(lower).sum(axis=1) - 0.5 * m * LOG_2PI
        return GaussianExpertParams(coef, ready.covariances, whiteners, log_norms, ready.roots)

    def start(self, cases, resp):
        """The noise of an expert is that of its rows and of some like the average, so that none starts to collapse."""
        k, m, P = self.n_components, self.n_outputs, 1 + self.n_inputs
        wide = self.params(np.zeros((k, P, m)), self.covariance.from_variances(np.ones(m), k))
        counts, curvature, gradient, scatter = self.moments(wide, cases, resp, self.look(wide, cases))
        shared = P / counts.sum()
        fitted = self.m_step((counts, curvature, gradient, scatter), wide)
        scatter = self.moments(fitted, cases, resp, self.look(fitted, cases))[3]
        typed = self._covariances(scatter + shared * scatter.sum(axis=0), counts + P, fitted.covariances)
        return self.params(fitted.coef, typed)

    def n_free(self):
        k, m = self.n_components, self.n_outputs
        return k * m * (1 + self.n_inputs) + self.covariance.n_free(k, m)

    def mean(self, params, cases):
        fitted = self._fitted(params, cases).swapaxes(0, 1) * self.units.scale + self.units.centre
        return fitted if cases.offset is None else fitted + cases.offset[:, None, None]

    def deviations(self, params: GaussianExpertParams) -> np.ndarray:
        """Standard deviation of each response in the user's units, (k, m)."""
        dense = self.covariance.dense(params.covariances, self.n_components, self.n_outputs)
        return np.sqrt(np.diagonal(dense, axis1=1, axis2=2)) * self.units.scale

    def cdf(self, params, cases, mean, values):
        return ndtr((values[:, None, :] - mean) / self.deviations(params))

    def spread(self, params, cases):
        return np.broadcast_to(SIX * self.deviations(params), (cases.n_rows, self.n_components, self.n_outputs))

    def sample(self, params, cases, chosen, rng):
        rows = np.arange(len(chosen))
        return self.mean(params, cases)[rows, chosen] + self.noise(params, chosen, rng)

    def noise(self, params: GaussianExpertParams, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, m) of the experts `chosen`, in the user's units."""
        lower = np.linalg.cholesky(self.covariance.dense(params.covariances, self.n_components, self.n_outputs))
        standard = rng.standard_normal((len(chosen), self.n_outputs))
        return np.einsum("nij,nj->ni", lower[chosen], standard) * self.units.scale

    def parts(self, params, scaling):
        slopes, intercepts = slopes_in_units(params.coef, scaling)
        unit = self.units.scale
        covariances = self.covariance.dense(params.covariances, self.n_components, self.n_outputs)
        return {
            "coef_": (slopes * unit).swapaxes(1, 2),
            "intercept_": intercepts * unit + self.units.centre,
            "covariances_": covariances * np.outer(unit, unit),
        }

    def linearised(self, cases):
        return self.units(cases.y if cases.offset is None else cases.y - cases.offset[:, None])

    def log_prior(self, params):
        if not self.alpha:
            return 0.0
        white = params.coef[:, 1:] @ params.whiteners
        return -0.5 * self.alpha * float((white**2).sum())

    def flaw(self, params, counts):
        collapsed = self._at_floor(params) & (counts <= 3 * (1 + self.n_inputs))
        return "; ".join(
            f"expert {k} has collapsed onto rows of total weight {counts[k]:.3g}" for k in np.flatnonzero(collapsed)
        )

    def notes(self, params, counts):
        resting = self._at_floor(params) & (counts > 3 * (1 + self.n_inputs))
        return [
            f"reg_covar={self.floor:g} keeps the noise of expert {k} above that of its rows, which it fits exactly"
            for k in np.flatnonzero(resting)
        ]

    def _at_floor(self, params: GaussianExpertParams) -> np.ndarray:
        dense = self.covariance.dense(params.covariances, self.n_components, self.n_outputs)
        at_floor: np.ndarray = np.linalg.eigvalsh(dense)[:, 0] <= AT_FLOOR * self.floor
        return at_floor

    def rounding(self, params):
        dense = self.covariance.dense(params.covariances, self.n_components, self.n_outputs)
        return float(np.finfo(np.float64).eps) * (1e4 + 1 / max(float(np.linalg.eigvalsh(dense).min()), 1e-12))

    def to_vector(self, params):
        noise = self.covariance.to_vector(params.covariances, params.roots, np.ones(self.n_outputs))
        return np.concatenate([params.coef.ravel(), noise.ravel()])

    def from_vector(self, vector, params):
        size = params.coef.size
        noise = self.covariance.from_vector(vector[size:], self.n_components, np.ones(self.n_outputs))
        return self.params(vector[:size].reshape(params.coef.shape), noise)
