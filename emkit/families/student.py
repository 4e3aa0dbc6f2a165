"""Student's t in d dimensions: a Gaussian whose precision varies from row to row, so that far rows count less.

A row x is N(mean, S / u) with u ~ Gamma(nu / 2, nu / 2) unknown. Given the d_o observed values of x, whose squared
distance under S is delta_o, u is Gamma((nu + d_o) / 2, (nu + delta_o) / 2).

References
----------
.. [1] Liu, C. and Rubin, D. B. (1995). ML estimation of the t distribution using EM and its extensions, ECM and ECME.
   Statistica Sinica 5, 19-39. With missing values: sections 2 and 3.
.. [2] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Chapter 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln

from .._validation import check_array
from ..chunks import Rows
from ..description import Description, describe
from ..fences import fences_of, outer_fences, within
from .base import Family, Options
from .discrete import check_finite
from .gaussian import LOG_2PI, GaussianFamily, GaussianParams, Moments, check_range

LEAST_DEGREES, MOST_DEGREES = 0.1, 1e3
FIRST_DEGREES = 10.0  # of a start
START_DEGREES, START_STEPS = 3.0, 10  # by which a start finds out what is far from a part


class StudentParams(NamedTuple):
    """Its `gaussian` has the means, and the scale matrices as covariances."""

    gaussian: GaussianParams
    degrees_of_freedom: np.ndarray  # (k,)


class StudentMoments(NamedTuple):
    """Sums over rows of w r and its products; they add."""

    counts: np.ndarray  # (k,)
    precisions: np.ndarray  # (k,): of E[u]
    sums: np.ndarray  # (k, d): of E[u (x - mean)]
    scatter: np.ndarray  # of E[u (x - mean)(x - mean)^T]; Covariance.zero_scatter(k, d)
    tails: np.ndarray  # (k,): of E[log u] - E[u]


class _Distances(NamedTuple):
    """Of the observed values of each row, under each component."""

    squared: np.ndarray  # (n, k)
    log_norms: np.ndarray  # (n, k), or (k,) for all: log density of the Gaussian at its mean
    n_observed: np.ndarray  # (n,), or (1,) for all


@dataclass(frozen=True, eq=False)
class StudentFamily(Family):
    """k multivariate t distributions; scale matrices of one covariance type, published as covariances.

    Attributes
    ----------
    gaussian : GaussianFamily
        The k Gaussians with the scale matrices for covariances: distances, floors and most of the M-step are theirs.
    """

    gaussian: GaussianFamily

    names = ("means", "covariances", "degrees_of_freedom")

    @classmethod
    def for_chunks(cls, n_components: int, options: Options, chunks: Iterable[Rows], described: Description) -> Self:
        """The unit of each column is the deviation within its outer fences, so that far rows do not stretch it."""
        check_range(described, np.dtype(np.float64))  # of far rows too
        usual = within(chunks, fences_of(chunks, described))
        described = describe(usual, described.n_features)
        return cls(GaussianFamily.for_chunks(n_components, options, usual, described))

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        return cls(GaussianFamily.for_parts(n_components, options, _without_degrees(parts)))

    @property
    def n_components(self) -> int:  # type: ignore[override]  # that of the Gaussians
        return self.gaussian.n_components

    @property
    def n_features(self) -> int:
        return self.gaussian.n_features

    @property
    def shared(self) -> frozenset[str]:
        return self.gaussian.shared

    @property
    def bears_far_rows(self) -> bool:
        return True

    def check_rows(self, X: np.ndarray) -> None:
        self.gaussian.check_rows(X)

    def _distances(self, params: StudentParams, rows: Rows) -> _Distances:
        log_norms = params.gaussian.log_norms
        n_observed = np.full(len(rows) if rows.has_missing else 1, self.n_features)
        if rows.has_missing:
            log_norms = np.tile(log_norms, (len(rows), 1))
            for place, seen in _patterns(rows):
                observed = self._dense(params)[:, seen][:, :, seen]
                log_norms[place] = -0.5 * (np.linalg.slogdet(observed)[1] + seen.sum() * LOG_2PI)
                n_observed[place] = seen.sum()
        # The Gaussian's log density is its log norm less half of the squared distance.
        squared = 2 * (log_norms - self.gaussian.log_density(params.gaussian, rows))
        return _Distances(np.maximum(squared, 0), log_norms, n_observed)

    def _dense(self, params: StudentParams) -> np.ndarray:
        return self.gaussian.covariance.dense(params.gaussian.covariances, self.n_components, self.n_features)

    def _halves(self, nu: np.ndarray) -> np.ndarray:
        """(nu + d_o) / 2 for each number of observed values, (d + 1, k)."""
        return np.add.outer(np.arange(self.n_features + 1), nu) / 2

    def log_density(self, params: StudentParams, rows: Rows) -> np.ndarray:
        """([2]_, section 7.3); of a row with missing values, t with the same nu over what is observed."""
        squared, log_norms, n_observed = self._distances(params, rows)
        nu = params.degrees_of_freedom
        halves = self._halves(nu)
        peaks = gammaln(halves) - gammaln(nu / 2) - (halves - nu / 2) * np.log(nu / 2)
        return log_norms + peaks[n_observed] - halves[n_observed] * np.log1p(squared / nu)

    def moments(self, params: StudentParams, rows: Rows, resp: np.ndarray) -> StudentMoments:
        """O(n k d^2); rows with missing values by what is missing."""
        squared, _, n_observed = self._distances(params, rows)
        nu = params.degrees_of_freedom
        halves = self._halves(nu)
        precision = halves[n_observed] / ((nu + squared) / 2)  # E[u]
        log_precision = digamma(halves)[n_observed] - np.log((nu + squared) / 2)  # E[log u]
        weighted = resp * precision
        precisions, sums, scatter = self.gaussian.moments(params.gaussian, rows, weighted)
        if rows.has_missing:
            self._add_conditional(params, rows, resp - weighted, scatter)
        tails = (resp * log_precision - weighted).sum(axis=0)
        return StudentMoments(resp.sum(axis=0), precisions, sums, scatter, tails)

    def _add_conditional(self, params: StudentParams, rows: Rows, excess: np.ndarray, scatter: np.ndarray) -> None:
        """Add the conditional scatter matrices C of missing values, with weights (n, k).

        Given u, missing values have covariance C / u, so that E[u (x - mean)(x - mean)^T] holds C itself. The
        Gaussian's moments have counted E[u] C; what is left, (1 - E[u]) C, may be negative.
        """
        dense = self._dense(params)
        for place, seen in _patterns(rows):
            hidden = ~seen
            cross = dense[:, seen][:, :, hidden]
            explained = cross.swapaxes(1, 2) @ np.linalg.solve(dense[:, seen][:, :, seen], cross)
            conditional = np.zeros_like(dense)
            both = np.outer(hidden, hidden)
            conditional[:, both] = dense[:, both] - explained.reshape(len(dense), -1)
            total = excess[place].sum(axis=0)
            self.gaussian.covariance.add_matrices(total[:, None, None] * conditional, scatter)

    def m_step(
        self, moments: Sequence[Any], params: StudentParams, fixed: frozenset[str] = frozenset()
    ) -> StudentParams:
        """Weighted means and scale matrices, and a root for nu ([1]_, section 2; [2]_, section 7.5)."""
        counts, precisions, sums, scatter, tails = moments
        covariance, gaussian = self.gaussian.covariance, params.gaussian
        means, matrices = gaussian.means, gaussian.covariances
        if "means" not in fixed:
            shift = sums / np.where(precisions > 0, precisions, 1)[:, None]
            means = means + shift
            scatter = covariance.scatter_about(scatter, precisions, shift)
        if "covariances" not in fixed:
            matrices = covariance.estimate(scatter, counts, matrices, self.gaussian.scale, self.gaussian.floor)
            gaussian = self.gaussian.params(means, matrices)
        nu = params.degrees_of_freedom
        if "degrees_of_freedom" not in fixed:
            nu = np.array(
                [degrees_of(*sums) if sums[0] > 0 else now for *sums, now in zip(counts, tails, nu, strict=True)]
            )
        return StudentParams(gaussian._replace(means=means), nu)

    def recentre(self, moments: Any, params: StudentParams, new_params: StudentParams) -> StudentMoments:
        """About the new locations, as the Gaussian's with E[u] for a weight."""
        counts, *about, tails = moments
        moved = self.gaussian.recentre(Moments(*about), params.gaussian, new_params.gaussian)
        return StudentMoments(counts, *moved, tails)

    def start(self, rows: Rows, resp: np.ndarray) -> StudentParams:
        """Rows that are far from their part count less, by what t with few degrees of freedom makes of them."""
        degrees = np.full(self.n_components, START_DEGREES)
        (usual,) = within([rows], outer_fences(rows.X, resp.sum(axis=1)))
        params = StudentParams(self.gaussian.start(usual, resp), degrees)
        for _ in range(START_STEPS):
            params = self.m_step(self.moments(params, rows, resp), params, frozenset({"degrees_of_freedom"}))
        squared, _, n_observed = self._distances(params, rows)
        precision = self._halves(degrees)[n_observed] / ((degrees + squared) / 2)
        gaussian = self.gaussian.start(rows, resp * precision)
        matrices = gaussian.covariances * (1 - 2 / FIRST_DEGREES)  # so that variances are those of the rows
        return StudentParams(self.gaussian.params(gaussian.means, matrices), np.full(self.n_components, FIRST_DEGREES))

    def parts(self, params: StudentParams) -> dict[str, Any]:
        return {**self.gaussian.parts(params.gaussian), "degrees_of_freedom": params.degrees_of_freedom}

    def from_parts(self, parts: dict[str, Any]) -> StudentParams:
        degrees = np.asarray(parts["degrees_of_freedom"], np.float64)
        return StudentParams(self.gaussian.from_parts(_without_degrees(parts)), degrees)

    def floored(self, params: StudentParams, fixed: frozenset[str] = frozenset()) -> StudentParams:
        return params._replace(gaussian=self.gaussian.floored(params.gaussian, fixed))

    def signature(self, params: StudentParams) -> np.ndarray:
        return self.gaussian.signature(params.gaussian)

    def check_part(self, name: str, value: Any) -> Any:
        if name not in self.names:
            return super().check_part(name, value)
        if name != "degrees_of_freedom":
            return self.gaussian.check_part(name, value)
        degrees = check_array("degrees_of_freedom_init", value, (self.n_components,), name)
        if (degrees <= 0).any():
            raise ValueError(f"degrees_of_freedom_init must be positive, but got {value!r}")
        return degrees

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return self.gaussian.n_free(fixed) + (0 if "degrees_of_freedom" in fixed else self.n_components)

    def sample(self, params: StudentParams, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        nu, means = params.degrees_of_freedom[components], params.gaussian.means[components]
        far = self.gaussian.sample(params.gaussian, components, rng) - means
        return means + far / np.sqrt(rng.chisquare(nu) / nu)[:, None]

    def mean(self, params: StudentParams) -> np.ndarray:
        """The location, which is the mean where nu > 1; else there is none."""
        return params.gaussian.means

    def variance(self, params: StudentParams) -> np.ndarray:
        """nu / (nu - 2) times the scale matrix's diagonal; infinite where nu <= 2."""
        nu = params.degrees_of_freedom
        factor = np.where(nu > 2, nu / np.where(nu > 2, nu - 2, 1), np.inf)
        return self.gaussian.variance(params.gaussian) * factor[:, None]

    def features(self, X: np.ndarray) -> np.ndarray:
        return self.gaussian.features(X)

    def rounding(self, params: StudentParams) -> float:
        """That of the Gaussian, and of the log-gamma functions, which cancel where nu is large."""
        largest = float(np.abs(gammaln(self._halves(params.degrees_of_freedom))).max())
        return self.gaussian.rounding(params.gaussian) + 10 * float(np.finfo(np.float64).eps) * largest

    def flaw(self, params: StudentParams, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        return self.gaussian.flaw(params.gaussian, counts, weight, fixed)

    def reseed(
        self, params: StudentParams, counts: np.ndarray, weight: float, X: np.ndarray
    ) -> tuple[StudentParams, np.ndarray] | None:
        reseeded = self.gaussian.reseed(params.gaussian, counts, weight, X)
        return None if reseeded is None else (params._replace(gaussian=reseeded[0]), reseeded[1])

    def to_vector(self, params: StudentParams, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        tail = [] if "degrees_of_freedom" in fixed else [np.log(params.degrees_of_freedom)]
        return np.concatenate([self.gaussian.to_vector(params.gaussian, fixed), *tail])

    def from_vector(
        self, vector: np.ndarray, params: StudentParams, fixed: frozenset[str] = frozenset()
    ) -> StudentParams:
        check_finite(vector)
        nu = params.degrees_of_freedom
        if "degrees_of_freedom" not in fixed:
            vector, logs = vector[: -len(nu)], vector[-len(nu) :]
            nu = np.exp(np.clip(logs, np.log(LEAST_DEGREES), np.log(MOST_DEGREES)))
        return StudentParams(self.gaussian.from_vector(vector, params.gaussian, fixed), nu)


def _patterns(rows: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows with the same values missing: where they stand, and which values (d,) they have."""
    gaps = rows.gaps
    for start, stop, observed in zip(gaps.starts[:-1], gaps.starts[1:], gaps.observed, strict=True):
        yield gaps.place[start:stop], observed.astype(bool)


def degrees_of(count: float, tail: float) -> float:
    """The root nu of 1 + log(nu / 2) - digamma(nu / 2) + E[log u - u] = 0 ([1]_, section 2), within bounds."""

    def slope(nu: float) -> float:
        return 1 + np.log(nu / 2) - digamma(nu / 2) + tail / count

    if slope(LEAST_DEGREES) <= 0:
        return LEAST_DEGREES
    if slope(MOST_DEGREES) >= 0:
        return MOST_DEGREES
    return brentq(slope, LEAST_DEGREES, MOST_DEGREES)


def _without_degrees(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: parts[name] for name in GaussianFamily.names}
