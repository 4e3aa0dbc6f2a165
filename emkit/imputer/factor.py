"""A Gaussian of low rank and noise behind a table: for more columns than rows could tell a covariance of.

x = mean + loadings f + noise, f standard normal of q coordinates, noise of a variance for each coordinate of x. Given f
the coordinates are independent, so a missing one is left out, and EM takes f alone as hidden.

References
----------
.. [1] Rubin, D. B. and Thayer, D. T. (1982). EM algorithms for ML factor analysis. Psychometrika 47(1), 69-76.
   Equations (5) to (8), here with each coordinate's regression over the rows in which it is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from ..engine import Stats
from ..executors import Serial
from .gaussian_table import Completed, joined
from .rows import IncompleteRows

LOG_2PI = float(np.log(2 * np.pi))
LEAST_NOISE = 1e-6  # variance, relative to the prior's


class FactorParams(NamedTuple):
    """Parameters of d coordinates and q factors."""

    mean: np.ndarray  # (d,)
    loadings: np.ndarray  # (d, q)
    noise: np.ndarray  # (d,): variances


@dataclass(frozen=True)
class FactorStats(Stats):
    """Of each coordinate, over the rows in which it is known: moments of g = (1, f) and of the coordinate."""

    grams: np.ndarray  # (d, (q + 1)^2): of g
    products: np.ndarray  # (d, q + 1): of g and the coordinate's deviation from the mean of the E-step
    squares: np.ndarray  # (d,)
    counts: np.ndarray  # (d,): weight of the rows


@dataclass(frozen=True)
class FilledStats(Stats):
    """Moments of rows with zeros in the gaps, before there is a likelihood."""

    sums: np.ndarray  # (d,)
    scatter: np.ndarray  # (d, d)


class Scores(NamedTuple):
    """The factors of rows given what is known of them."""

    mean: np.ndarray  # (n, q)
    covariance: np.ndarray  # (n, q, q)
    log_density: np.ndarray  # (n,)


def scores(params: FactorParams, rows: IncompleteRows) -> Scores:
    """O(n d q^2), and O(q^3) for each row."""
    mean, loadings, noise = params
    n, q = len(rows), loadings.shape[1]
    exact = rows.exact.astype(np.float64)
    deviations = rows.values - mean * exact
    scaled = loadings / noise[:, None]
    precision = exact @ np.einsum("ja,jb->jab", scaled, loadings).reshape(len(mean), q * q)
    precision = precision.reshape(n, q, q) + np.eye(q)
    covariance = np.linalg.inv(precision)
    pulls = deviations @ scaled
    centres = np.einsum("nab,nb->na", covariance, pulls)
    log_det = exact @ np.log(noise) + np.linalg.slogdet(precision)[1]
    left = deviations - (centres @ loadings.T) * exact  # not a difference of squares, which would cancel
    square = left**2 @ (1 / noise) + (centres**2).sum(axis=1)
    return Scores(centres, covariance, -0.5 * (exact.sum(axis=1) * LOG_2PI + log_det + square))


def _moments(scale: np.ndarray, rows: IncompleteRows) -> FilledStats:
    z = rows.values / scale
    weighted = z * rows.weight[:, None]
    return FilledStats(0.0, float(rows.weight.sum()), weighted.sum(axis=0), z.T @ weighted)


@dataclass(frozen=True, eq=False)
class FactorModel:
    """Maximum likelihood under a prior worth `prior_weight` rows: noise about `prior`, loadings about zero.

    The log-prior of a coordinate is -prior_weight / 2 times log noise + (prior + squared loadings) / noise: as if so
    many rows had shown the variance `prior` and no trace of the factors.
    """

    prior: np.ndarray  # (d,)
    prior_weight: float
    n_factors: int

    can_accelerate = True
    monotone = True

    def init_params(self, chunks: Iterable[IncompleteRows], rng: np.random.Generator) -> FactorParams:
        """The leading eigenvectors of the covariance of rows with zeros in the gaps, in units of the prior."""
        scale = np.sqrt(self.prior)
        found = Serial().sum(partial(_moments, scale), chunks)
        mean = found.sums / found.weight
        values, vectors = np.linalg.eigh(found.scatter / found.weight - np.outer(mean, mean))
        top = slice(len(values) - self.n_factors, None)
        loadings = vectors[:, top] * np.sqrt(np.maximum(values[top], 1e-3))
        noise = np.maximum(1 - (loadings**2).sum(axis=1), 0.1)
        return FactorParams(mean * scale, loadings * scale[:, None], noise * self.prior)

    def e_step(self, params: FactorParams, chunk: IncompleteRows) -> FactorStats:
        found = scores(params, chunk)
        n, q = found.mean.shape
        g = np.concatenate([np.ones((n, 1)), found.mean], axis=1)
        grams = g[:, :, None] * g[:, None, :]
        grams[:, 1:, 1:] += found.covariance
        known = chunk.exact * chunk.weight[:, None]
        deviations = chunk.values - params.mean * chunk.exact
        weighted = deviations * chunk.weight[:, None]
        return FactorStats(
            float(chunk.weight @ found.log_density),
            float(chunk.weight.sum()),
            known.T @ grams.reshape(n, (q + 1) ** 2),
            weighted.T @ g,
            (weighted * deviations).sum(axis=0),
            known.sum(axis=0),
        )

    def m_step(self, stats: FactorStats, params: FactorParams) -> FactorParams:
        """A ridge regression of each coordinate on g; noise is what it leaves."""
        q = self.n_factors
        grams = stats.grams.reshape(-1, q + 1, q + 1).copy()
        ridge = self.prior_weight * np.eye(q + 1)
        ridge[0, 0] = 0.0
        grams += ridge
        grams[stats.counts == 0] += np.eye(q + 1)  # a coordinate that is known in no row keeps its mean
        slopes = np.linalg.solve(grams, stats.products[:, :, None])[:, :, 0]
        left = stats.squares - (slopes * stats.products).sum(axis=1) + self.prior_weight * self.prior
        noise = left / np.maximum(stats.counts + self.prior_weight, 1e-300)
        noise = np.maximum(noise, LEAST_NOISE * self.prior)
        return FactorParams(params.mean + slopes[:, 0], slopes[:, 1:], noise)

    def log_prior(self, params: FactorParams) -> float:
        if self.prior_weight == 0:
            return 0.0
        by_coordinate = np.log(params.noise) + (self.prior + (params.loadings**2).sum(axis=1)) / params.noise
        return -0.5 * self.prior_weight * float(by_coordinate.sum())

    def n_free(self, params: FactorParams) -> int:
        """Loadings count up to a rotation of the factors."""
        d, q = params.loadings.shape
        return 2 * d + d * q - q * (q - 1) // 2

    def rounding(self, params: FactorParams) -> float:
        ratio = 1 + (params.loadings**2).sum(axis=1) / params.noise
        return float(np.finfo(np.float64).eps) * (1e3 + 10 * float(ratio.max(initial=0.0)))

    def to_vector(self, params: FactorParams) -> np.ndarray:
        scale = np.sqrt(self.prior)
        return np.concatenate([params.mean / scale, np.log(params.noise), (params.loadings / scale[:, None]).ravel()])

    def from_vector(self, vector: np.ndarray, params: FactorParams) -> FactorParams | None:
        """Back again; None where the vector is out of range."""
        d, scale = len(self.prior), np.sqrt(self.prior)
        with np.errstate(over="ignore"):
            noise = np.exp(vector[d : 2 * d])
        loadings = vector[2 * d :].reshape(d, -1) * scale[:, None]
        in_range = (
            np.isfinite(noise).all() and np.isfinite(loadings).all() and (noise >= LEAST_NOISE * self.prior).all()
        )
        return FactorParams(vector[:d] * scale, loadings, noise) if in_range else None

    def recentre(self, stats: FactorStats, params: FactorParams, new_params: FactorParams) -> FactorStats:
        shift = new_params.mean - params.mean
        squares = stats.squares - 2 * shift * stats.products[:, 0] + shift**2 * stats.counts
        first = stats.grams[:, : self.n_factors + 1]  # of g and 1
        products = stats.products - shift[:, None] * first
        return FactorStats(stats.objective, stats.weight, stats.grams, products, squares, stats.counts)


@dataclass(frozen=True, eq=False)
class FactorCore:
    """Fitted parameters as `gaussian_table.Core`. Rows with factors other than exact coordinates are not for it."""

    params: FactorParams

    @property
    def location(self) -> np.ndarray:
        return self.params.mean

    @property
    def covariance(self) -> np.ndarray:
        return self.params.loadings @ self.params.loadings.T + np.diag(self.params.noise)

    def complete(self, rows: IncompleteRows, with_variance: bool = True) -> Completed:
        return joined(self._complete(piece) for piece in pieces(rows, self.params.loadings.shape[1]))

    def _complete(self, rows: IncompleteRows) -> Completed:
        mean, loadings, noise = self.params
        found = scores(self.params, rows)
        centres = mean + found.mean @ loadings.T
        spread = np.einsum("ja,nab,jb->nj", loadings, found.covariance, loadings, optimize=True) + noise
        known = rows.exact == 1
        return Completed(np.where(known, rows.values, centres), np.where(known, 0.0, spread), found.log_density)

    def log_density(self, rows: IncompleteRows) -> np.ndarray:
        q = self.params.loadings.shape[1]
        return np.concatenate([scores(self.params, piece).log_density for piece in pieces(rows, q)])

    def draw(self, rows: IncompleteRows, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([self._draw(piece, rng) for piece in pieces(rows, self.params.loadings.shape[1])])

    def _draw(self, rows: IncompleteRows, rng: np.random.Generator) -> np.ndarray:
        mean, loadings, noise = self.params
        found = scores(self.params, rows)
        roots = np.linalg.cholesky(found.covariance)
        f = found.mean + np.einsum("nab,nb->na", roots, rng.standard_normal(found.mean.shape))
        drawn = mean + f @ loadings.T + np.sqrt(noise) * rng.standard_normal(rows.values.shape)
        return np.where(rows.exact == 1, rows.values, drawn)


def pieces(rows: IncompleteRows, q: int) -> Iterable[IncompleteRows]:
    """So few rows at a time that their grams stay within some megabytes."""
    step = max(2**20 // (q + 1) ** 2, 1)
    return (rows.take(np.arange(start, min(start + step, len(rows)))) for start in range(0, max(len(rows), 1), step))
