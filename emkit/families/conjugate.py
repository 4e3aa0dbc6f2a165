"""Gaussian components whose means and covariances have a prior: a distribution q of them instead of single values.

The prior is conjugate (normal-Wishart, or normal-gamma for variances), and so is q. A component with n expected rows
has r = d + n degrees of freedom, and a mean that is known as from b = `ROWS_AT_CENTRE` + n rows. The E-step has the
expectation of log N(x) under q ([1]_, equations 10.64 and 10.65): log N(x) with the mean of q and the inverse of its
mean precision as covariance, plus a constant of the component. So kernels and missing values are those of
`GaussianFamily`. The objective holds -KL(q || prior). A component without rows has the prior, which is as wide as the
data, and is no spike.

The prior of a mean is a fraction of a row at the mean of the data. That of a covariance is d rows, scattered so that
their sum of squares is one variance of the data, along the axes.

References
----------
.. [1] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer. Section 10.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import digamma, gammaln

from ..chunks import Rows
from .base import Family, Options, log
from .covariance import Covariance
from .gaussian import GaussianFamily, GaussianParams, Moments

ROWS_AT_CENTRE = 0.1
LEAST_LOG = -1e3  # of expected rows in a vector; exp of it is zero


class ConjugateParams(NamedTuple):
    """q of k components."""

    gaussians: GaussianParams  # means, and inverses of the mean precisions
    counts: np.ndarray  # (k,): expected rows


def plain(params: GaussianParams | ConjugateParams) -> GaussianParams:
    """Single values: the means of q where there is a prior."""
    return params.gaussians if isinstance(params, ConjugateParams) else params


def is_conjugate(covariance: Covariance, d: int) -> bool:
    """Whether covariances of this type have a conjugate prior: all is shared, or nothing is."""
    one, two = covariance.n_free(1, d), covariance.n_free(2, d)
    return two in (one, 2 * one)


@dataclass(frozen=True, eq=False)
class ConjugateGaussians(Family):
    """Gaussians under a prior.

    Attributes
    ----------
    gaussians : GaussianFamily
        Of a type for which `is_conjugate` holds.
    centre : ndarray of shape (d,)
        Mean of the data.
    """

    gaussians: GaussianFamily
    centre: np.ndarray

    @classmethod
    def for_data(cls, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None) -> Self:
        family = GaussianFamily.for_data(n_components, options, X, weight)
        return cls(family, np.average(X, axis=0, weights=weight))

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        family = GaussianFamily.for_parts(n_components, options, parts)
        return cls(family, np.zeros(family.n_features))

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]  # those of the Gaussians
        return self.gaussians.names

    @property
    def n_components(self) -> int:  # type: ignore[override]  # that of the Gaussians
        return self.gaussians.n_components

    @property
    def shared(self) -> frozenset[str]:
        return self.gaussians.shared

    @property
    def n_features(self) -> int:
        return self.gaussians.n_features

    @property
    def _variances(self) -> np.ndarray:
        """Of the prior, (d,): the inverse of its mean precision."""
        variances = self.gaussians.scale**2
        if self.gaussians.covariance.isotropic:
            variances = np.full_like(variances, variances.mean())
        return variances / self.n_features

    @property
    def _prior_share(self) -> float:
        """Of the prior's rows in each component: a shared covariance has them once."""
        return 1 / self.n_components if self.gaussians.covariance.shared else 1.0

    def _degrees(self, counts: np.ndarray) -> np.ndarray:
        """Rows by which each covariance is known, (k,)."""
        known = np.full_like(counts, counts.sum()) if self.gaussians.covariance.shared else counts
        return known + self.n_features

    def _log_norms(self, degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the Wishart distributions of a covariance: log norm, its derivative, degrees of freedom of each of them.

        A matrix has one of dimension d; variances have one each, of dimension 1; a variance for all features has one,
        with as many degrees of freedom as the rows have values. Constants are left out.
        """
        d, covariance = self.n_features, self.gaussians.covariance
        is_diagonal = covariance.zero_scatter(1, d).ndim == 2
        n_values = d if covariance.isotropic else 1
        n_wisharts = d if is_diagonal and not covariance.isotropic else 1
        own = n_values * degrees
        places = own[..., None] / 2 - np.arange(1 if is_diagonal else d) / 2
        norm = n_wisharts * gammaln(places).sum(axis=-1)
        slope = n_wisharts * n_values / 2 * digamma(places).sum(axis=-1)
        return norm, slope, own

    def _uncertainty(self, counts: np.ndarray) -> np.ndarray:
        """What the expectation of a log density is below its value at the means of q, (k,)."""
        d = self.n_features
        _, slope, own = self._log_norms(self._degrees(counts))
        uncertainty: np.ndarray = 0.5 * d * np.log(own / 2) - slope + 0.5 * d / (ROWS_AT_CENTRE + counts)
        return uncertainty

    def log_density(self, params: ConjugateParams, rows: Rows) -> np.ndarray:
        """Its expectation under q."""
        density = self.gaussians.log_density(params.gaussians, rows)
        expected: np.ndarray = density - self._uncertainty(params.counts).astype(density.dtype)
        return expected

    def e_step(
        self, params: ConjugateParams, log_weights: np.ndarray, rows: Rows, hard: bool
    ) -> tuple[float, np.ndarray, tuple[Any, ...]]:
        """As of any family, in one pass of a kernel where no component is known."""
        return self.gaussians.e_step(params.gaussians, log_weights - self._uncertainty(params.counts), rows, hard)

    def moments(self, params: ConjugateParams, rows: Rows, resp: np.ndarray) -> tuple[Any, ...]:
        return self.gaussians.moments(params.gaussians, rows, resp)

    def m_step(
        self, moments: Sequence[Any], params: ConjugateParams, fixed: frozenset[str] = frozenset()
    ) -> ConjugateParams:
        """q of highest bound ([1]_, equations 10.60 to 10.63): the rows and those of the prior, put together."""
        counts, sums, scatter = moments
        covariance, before = self.gaussians.covariance, params.gaussians
        away = self.centre - before.means
        scatter = scatter.copy()
        covariance.add_matrices(ROWS_AT_CENTRE * away[:, :, None] * away[:, None, :], scatter)
        rows = ROWS_AT_CENTRE + counts
        shift = (sums + ROWS_AT_CENTRE * away) / rows[:, None]
        scatter = covariance.scatter_about(scatter, rows, shift)
        n_prior = self._prior_share * self.n_features
        covariance.add_matrices(np.tile(np.diag(n_prior * self._variances), (len(counts), 1, 1)), scatter)
        together = Moments(counts + n_prior, np.zeros_like(shift), scatter)
        moved = before._replace(means=before.means + shift)
        return ConjugateParams(self.gaussians.m_step(together, moved, fixed), counts)

    def log_prior(self, params: ConjugateParams) -> float:
        """-KL(q || prior)."""
        (means, covariances, *_), counts = params
        d, k = self.n_features, self.n_components
        matrices = self.gaussians.covariance.dense(covariances, k, d)
        precisions = np.linalg.inv(matrices)
        rows, away = ROWS_AT_CENTRE + counts, means - self.centre
        square = np.einsum("ki,kij,kj->k", away, precisions, away)
        of_means = d * ROWS_AT_CENTRE / rows - d + d * np.log(rows / ROWS_AT_CENTRE) + ROWS_AT_CENTRE * square
        degrees = self._degrees(counts)
        norm, slope, _ = self._log_norms(degrees)
        prior_norm = self._log_norms(np.array(float(d)))[0]
        relative = np.einsum("i,kii->k", self._variances, precisions)
        wider = np.linalg.slogdet(matrices)[1] - np.log(self._variances).sum() + d * np.log(degrees / d)
        of_covariances = 0.5 * d * (wider + relative) - 0.5 * degrees * d + prior_norm - norm + (degrees - d) * slope
        return -float(0.5 * of_means.sum() + self._prior_share * of_covariances.sum())

    def recentre(self, moments: Any, params: ConjugateParams, new_params: ConjugateParams) -> Moments:
        return self.gaussians.recentre(moments, params.gaussians, new_params.gaussians)

    def start(self, rows: Rows, resp: np.ndarray) -> ConjugateParams:
        return ConjugateParams(self.gaussians.start(rows, resp), resp.sum(axis=0, dtype=np.float64))

    def parts(self, params: ConjugateParams) -> dict[str, Any]:
        return self.gaussians.parts(params.gaussians)

    def from_parts(self, parts: dict[str, Any]) -> ConjugateParams:
        """As if from as many rows as the prior has, in each component."""
        return ConjugateParams(self.gaussians.from_parts(parts), np.full(self.n_components, float(self.n_features)))

    def floored(self, params: ConjugateParams, fixed: frozenset[str] = frozenset()) -> ConjugateParams:
        return params._replace(gaussians=self.gaussians.floored(params.gaussians, fixed))

    def signature(self, params: ConjugateParams) -> np.ndarray:
        return self.gaussians.signature(params.gaussians)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return self.gaussians.n_free(fixed)

    def sample(self, params: ConjugateParams, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.gaussians.sample(params.gaussians, components, rng)

    def mean(self, params: ConjugateParams) -> np.ndarray:
        return self.gaussians.mean(params.gaussians)

    def variance(self, params: ConjugateParams) -> np.ndarray:
        return self.gaussians.variance(params.gaussians)

    def features(self, X: np.ndarray) -> np.ndarray:
        return self.gaussians.features(X)

    def rounding(self, params: ConjugateParams) -> float:
        return self.gaussians.rounding(params.gaussians)

    def flaw(self, params: ConjugateParams, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        """Components without rows are none."""
        return self.gaussians.flaw(params.gaussians, counts + self.n_features, weight, fixed)

    def to_vector(self, params: ConjugateParams, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        counts = np.maximum(log(params.counts), LEAST_LOG)
        return np.concatenate([counts, self.gaussians.to_vector(params.gaussians, fixed)])

    def from_vector(
        self, vector: np.ndarray, params: ConjugateParams, fixed: frozenset[str] = frozenset()
    ) -> ConjugateParams:
        """Back again, for as many rows in all as `params` has."""
        k = self.n_components
        shares = np.exp(vector[:k] - vector[:k].max())
        counts = shares * (params.counts.sum() / shares.sum())
        return ConjugateParams(self.gaussians.from_vector(vector[k:], params.gaussians, fixed), counts)
