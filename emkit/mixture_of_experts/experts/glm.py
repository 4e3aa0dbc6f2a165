"""Generalised linear experts: counts, shares and positive responses. An M-step is one step of Fisher scoring.

The law of a response has a mean h(eta) of the linear predictor eta = b_k (1, x) + offset, and a dispersion phi; the
prior of the slopes, if any, is as wide as the square root of phi, so that the dispersion does not move the slopes.

References
----------
.. [1] McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models. Second edition. Chapman & Hall. Fisher
   scoring: section 2.5. The gamma law: chapter 8; its dispersion by maximum likelihood: section 8.3.6.
.. [2] Wedel, M. and DeSarbo, W. S. (1995). A mixture likelihood approach for generalized linear models. J. Classif.
   12(1), 21-55. Mixtures of them by EM.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, digamma, expit, gammainc, gammaln, log_expit, pdtr, xlogy

from ...engine import UnusableStartError
from ...families.base import Sums
from .. import softmax
from ..cases import Cases
from ..linear import DAMPING, column_sums, penalty, predictor, products, solve, squares
from .base import SIX, Experts, slopes_in_units

LARGEST = 500.0  # of a linear predictor: its exponential is finite
START_STEPS = 8
LEAST_SHAPE, MOST_SHAPE = 1e-3, 1e6
MOST_COUNTS = 9e18  # that can be drawn
LOST = 1e-12  # share of the weight of an expert without rows


def log_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Of sums that are not negative; 0 where one of them is 0."""
    there = (above > 0) & (below > 0)
    return np.log(np.where(there, above, 1.0)) - np.log(np.where(there, below, 1.0))


class Law(ABC):
    """One response law; `eta` and what comes from it are (n, k), `y` is (n, 1), `exposure` (n, 1) or 1."""

    name: ClassVar[str]
    discrete: ClassVar[bool] = True
    has_shape: ClassVar[bool] = False  # whether there is a dispersion, 1 / shape
    allowed: ClassVar[str]  # responses

    @abstractmethod
    def allows(self, y: np.ndarray, exposure: np.ndarray) -> np.ndarray:
        """Whether a response can be, (n, 1)."""

    @abstractmethod
    def log_density(self, y: np.ndarray, eta: np.ndarray, exposure: np.ndarray, shape: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def mean(self, eta: np.ndarray, exposure: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def slopes(self, y: np.ndarray, eta: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First derivative of the log density in eta and its expected curvature, without the shape: (n, k) each."""

    @abstractmethod
    def start(self, y: np.ndarray, exposure: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Responses on the scale of the linear predictor, (n, 1), finite, less the offset."""

    def shift(self, y: np.ndarray, mean: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """What brings intercepts found on the scale of the linear predictor to the mean of the responses, (k,)."""
        return np.zeros(resp.shape[1])

    @abstractmethod
    def cdf(self, values: np.ndarray, mean: np.ndarray, exposure: np.ndarray, shape: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def sample(
        self, mean: np.ndarray, exposure: np.ndarray, shape: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray: ...

    def deviation(self, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """Standard deviation of a continuous response."""
        raise NotImplementedError


class Poisson(Law):
    """Counts; the mean is exposure times exp(eta)."""

    name = "poisson"
    allowed = "counts, not negative"

    def allows(self, y, exposure):
        return y >= 0

    def log_density(self, y, eta, exposure, shape):
        eta = eta + np.log(exposure)
        return y * eta - np.exp(eta) - gammaln(y + 1)

    def mean(self, eta, exposure):
        return exposure * np.exp(eta)

    def slopes(self, y, eta, exposure):
        mean = self.mean(eta, exposure)
        return y - mean, mean

    def start(self, y, exposure, offset):
        return np.log((y + 0.5) / exposure) - offset

    def shift(self, y, mean, resp):
        return log_ratio(column_sums(resp * y), column_sums(resp * mean))

    def cdf(self, values, mean, exposure, shape):
        return np.where(values < 0, 0.0, pdtr(np.maximum(values, 0), mean))

    def sample(self, mean, exposure, shape, rng):
        return rng.poisson(np.minimum(mean, MOST_COUNTS))


class Binomial(Law):
    """Successes in `exposure` trials; the chance of one is expit(eta)."""

    name = "binomial"
    allowed = "numbers of successes, from 0 to the number of trials (exposure, whole numbers, 1 by default)"

    def allows(self, y, exposure):
        return (y >= 0) & (y <= exposure) & (exposure == np.floor(exposure))

    def log_density(self, y, eta, exposure, shape):
        ways = gammaln(exposure + 1) - gammaln(y + 1) - gammaln(exposure - y + 1)
        return y * log_expit(eta) + (exposure - y) * log_expit(-eta) + ways

    def mean(self, eta, exposure):
        return exposure * expit(eta)

    def slopes(self, y, eta, exposure):
        chance = expit(eta)
        return y - exposure * chance, exposure * chance * (1 - chance)

    def start(self, y, exposure, offset):
        return np.log((y + 0.5) / (exposure - y + 0.5)) - offset

    def cdf(self, values, mean, exposure, shape):
        trials = np.broadcast_to(exposure, mean.shape)
        inside = np.clip(values, 0, trials)
        below = bdtr(inside, trials.astype(np.intp), mean / trials)
        return np.where(values < 0, 0.0, np.where(values >= trials, 1.0, below))

    def sample(self, mean, exposure, shape, rng):
        return rng.binomial(np.broadcast_to(exposure, mean.shape).astype(np.intp), mean / exposure)


class Gamma(Law):
    """Positive responses with mean exposure times exp(eta) and variance mean^2 / shape."""

    name = "gamma"
    discrete = False
    has_shape = True
    allowed = "positive numbers"

    def allows(self, y, exposure):
        return y > 0

    def log_density(self, y, eta, exposure, shape):
        eta = eta + np.log(exposure)
        with np.errstate(over="ignore"):
            ratio = y * np.exp(-eta)
        return shape * (np.log(shape) - eta - ratio) + xlogy(shape - 1, y) - gammaln(shape)

    def mean(self, eta, exposure):
        return exposure * np.exp(eta)

    def slopes(self, y, eta, exposure):
        return y * np.exp(-eta) / exposure - 1, np.ones_like(eta)

    def start(self, y, exposure, offset):
        return np.log(y / exposure) - offset

    def shift(self, y, mean, resp):
        return log_ratio(column_sums(resp * (y / mean)), column_sums(resp))

    def cdf(self, values, mean, exposure, shape):
        with np.errstate(over="ignore"):
            return gammainc(shape, shape * np.maximum(values, 0) / mean)

    def sample(self, mean, exposure, shape, rng):
        return rng.gamma(shape, mean / shape)

    def deviation(self, mean, shape):
        return mean / np.sqrt(shape)


LAWS: dict[str, Law] = {law.name: law for law in (Poisson(), Binomial(), Gamma())}


class GlmParams(NamedTuple):
    coef: np.ndarray  # (k, 1 + p), of scaled inputs
    shape: np.ndarray  # (k,), 1 where the law has none


@dataclass(frozen=True, eq=False)
class GlmExperts(Experts):
    """K generalised linear models of one law."""

    n_components: int
    n_inputs: int
    alpha: float
    law: Law

    is_closed = False
    takes = ("offset", "exposure")

    lowest = 0.0

    @property
    def discrete(self) -> bool:  # type: ignore[override]  # that of the law
        return self.law.discrete

    def check(self, cases):
        super().check(cases)
        if cases.y.shape[1] != 1:
            raise ValueError(f"expert={self.law.name!r} takes one response, but y has {cases.y.shape[1]} columns")
        bad = ~(self.law.allows(cases.y, exposure_of(cases)) | np.isnan(cases.y))[:, 0]
        if bad.any():
            raise ValueError(f"expert={self.law.name!r} takes {self.law.allowed}, but y holds {cases.y[bad][0, 0]}")

    def look(self, params: GlmParams, cases: Cases) -> np.ndarray:
        """The linear predictor, (n, k)."""
        eta = predictor(cases.X, np.ascontiguousarray(params.coef.T))
        if cases.offset is not None:
            eta += cases.offset[:, None]
        return np.clip(eta, -LARGEST, LARGEST, out=eta)

    def log_density(self, params, cases, seen):
        with np.errstate(over="ignore"):
            return self.law.log_density(cases.y, seen, exposure_of(cases), params.shape)

    def moments(self, params, cases, resp, seen):
        eta, exposure = seen, exposure_of(cases)
        with np.errstate(over="ignore", invalid="ignore"):
            slope, curvature = self.law.slopes(cases.y, eta, exposure)
            sums = column_sums(resp), products(cases.X, resp * slope).T, squares(cases.X, resp * curvature)
            return Sums((*sums, self._deviance(cases.y, eta, exposure, resp)))

    def _deviance(self, y: np.ndarray, eta: np.ndarray, exposure: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Half of the gamma's: sums of y / mean - 1 - log(y / mean), (k,); 0 for laws without a shape."""
        if not self.law.has_shape:
            return np.zeros(self.n_components)
        mean = self.law.mean(eta, exposure)
        return column_sums(resp * (y / mean - 1 - np.log(y) + np.log(mean)))

    def m_step(self, moments, params):
        """One step of scoring ([1]_, section 2.5); the shape that is best at the coefficients before it."""
        counts, gradient, curvature, deviance = moments
        ridge = penalty(1 + self.n_inputs, self.alpha)
        coef, shape = params.coef.copy(), params.shape.copy()
        for k in np.flatnonzero(counts > LOST * counts.sum()):
            slope = gradient[k] - ridge * coef[k]
            shrinkage = 0.5 * self.alpha * float((coef[k, 1:] ** 2).sum())
            if self.law.has_shape:
                shape[k] = shape_of((deviance[k] + shrinkage) / counts[k])
            coef[k] += solve(curvature[k] + np.diag(ridge + DAMPING * counts[k]), slope[:, None])[:, 0]
        if not np.isfinite(coef).all():
            raise UnusableStartError("coefficients of an expert have become infinite")
        return GlmParams(coef, shape)

    def recentre(self, moments, params, new_params):
        """Of laws with a shape the deviance goes along, whose gradient is minus that of the moments."""
        counts, gradient, curvature, deviance = moments
        move = new_params.coef - params.coef
        moved = gradient - np.einsum("kij,kj->ki", curvature, move)
        if self.law.has_shape:
            deviance = deviance - 0.5 * ((gradient + moved) * move).sum(axis=1)
        return Sums((counts, moved, curvature, deviance))

    def with_prior_of(self, factor):
        return replace(self, alpha=factor * self.alpha)

    def stride(self, params, target):
        return softmax.stride(params.coef.T, target.coef.T)

    def between(self, params, target):
        """The shape has been found at the old coefficients, so it stays."""
        return GlmParams(0.5 * (params.coef + target.coef), target.shape)

    def start(self, cases, resp):
        """Weighted least squares on the scale of the linear predictor, then scoring as long as it climbs."""
        response = self.linearised(cases)
        coef = np.empty((self.n_components, 1 + self.n_inputs))
        curvature, gradient = squares(cases.X, resp), products(cases.X, resp * response).T
        weak = penalty(1 + self.n_inputs, self.alpha + 1.0)
        for k in range(self.n_components):
            coef[k] = solve(curvature[k] + np.diag(weak), gradient[k, :, None])[:, 0]
        params = GlmParams(coef, np.ones(self.n_components))
        shift = self.law.shift(cases.y, self.mean(params, cases)[:, :, 0], resp)
        params = params._replace(coef=np.column_stack([coef[:, 0] + shift, coef[:, 1:]]))
        value = self._expected(params, cases, resp)
        for _ in range(START_STEPS):
            following = self.m_step(self.moments(params, cases, resp, self.look(params, cases)), params)
            new_value = self._expected(following, cases, resp)
            if not new_value >= value:
                following = self.between(params, following)
                new_value = self._expected(following, cases, resp)
                if not new_value >= value:
                    break
            params, value = following, new_value
        return params

    def _expected(self, params: GlmParams, cases: Cases, resp: np.ndarray) -> float:
        return float((resp * self.density(params, cases)).sum()) + self.log_prior(params)

    def n_free(self):
        return self.n_components * (1 + self.n_inputs + self.law.has_shape)

    def mean(self, params, cases):
        return self.law.mean(self.look(params, cases), exposure_of(cases))[:, :, None]

    def cdf(self, params, cases, mean, values):
        return self.law.cdf(values, mean[:, :, 0], exposure_of(cases), params.shape)[:, :, None]

    def spread(self, params, cases):
        mean = self.mean(params, cases)
        return SIX * self.law.deviation(mean, params.shape[:, None]) + mean

    def sample(self, params, cases, chosen, rng):
        mean = self.mean(params, cases)[np.arange(len(chosen)), chosen]
        return self.law.sample(mean, exposure_of(cases), params.shape[chosen, None], rng).astype(np.float64)

    def parts(self, params, scaling):
        slopes, intercepts = slopes_in_units(params.coef[:, :, None], scaling)
        parts = {"coef_": slopes.swapaxes(1, 2), "intercept_": intercepts}
        return {**parts, "shape_": params.shape} if self.law.has_shape else parts

    def linearised(self, cases):
        offset = 0.0 if cases.offset is None else cases.offset[:, None]
        return self.law.start(cases.y, exposure_of(cases), offset)

    def log_prior(self, params):
        return -0.5 * self.alpha * float(params.shape @ (params.coef[:, 1:] ** 2).sum(axis=1))

    def flaw(self, params, counts):
        exact = (params.shape >= MOST_SHAPE) & (counts <= 3 * (1 + self.n_inputs))
        return "; ".join(
            f"expert {k} has collapsed onto rows of total weight {counts[k]:.3g}" for k in np.flatnonzero(exact)
        )

    def notes(self, params, counts):
        spread = np.linalg.norm(params.coef[:, 1:], axis=1)
        return [
            f"the responses of expert {k} change beyond all bounds with its inputs, so that only alpha={self.alpha:g} "
            "keeps its coefficients finite"
            for k in np.flatnonzero(spread > softmax.SATURATED)
        ]

    def to_vector(self, params):
        shape = [np.log(params.shape)] if self.law.has_shape else []
        return np.concatenate([params.coef.ravel(), *shape])

    def from_vector(self, vector, params):
        size, shape = params.coef.size, params.shape
        if not np.isfinite(vector).all():
            raise UnusableStartError("parameters have become infinite")
        if self.law.has_shape:
            shape = np.exp(np.clip(vector[size:], np.log(LEAST_SHAPE), np.log(MOST_SHAPE)))
        return GlmParams(vector[:size].reshape(params.coef.shape), shape)


def exposure_of(cases: Cases) -> np.ndarray:
    """(n, 1), or 1 for all."""
    return np.ones((1, 1)) if cases.exposure is None else cases.exposure[:, None]


def shape_of(deviance: float) -> float:
    """The root of log(shape) - digamma(shape) = half of the mean deviance ([1]_, equation 8.1), within bounds."""

    def slope(shape: float) -> float:
        return float(np.log(shape) - digamma(shape) - deviance)

    if slope(LEAST_SHAPE) <= 0:
        return LEAST_SHAPE
    if slope(MOST_SHAPE) >= 0:
        return MOST_SHAPE
    return float(brentq(slope, LEAST_SHAPE, MOST_SHAPE, xtol=1e-12, rtol=1e-14))
