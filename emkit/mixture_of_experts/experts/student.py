"""Linear experts with noise of Student's t, so that far responses count less.

The noise of a row is N(0, S / u) with u ~ Gamma(nu / 2, nu / 2) unknown; given a residual at squared distance delta
under S, u is Gamma((nu + m) / 2, (nu + delta) / 2).

References
----------
.. [1] Lange, K. L., Little, R. J. A. and Taylor, J. M. G. (1989). Robust statistical modeling using the t distribution.
   JASA 84(408), 881-896. Regression with t noise by EM: section 3.
.. [2] Liu, C. and Rubin, D. B. (1995). ML estimation of the t distribution using EM and its extensions, ECM and ECME.
   Statistica Sinica 5, 19-39. The degrees of freedom: section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, stdtr, stdtrit

from ...families.base import Sums
from ...families.student import FIRST_DEGREES, LEAST_DEGREES, MOST_DEGREES, degrees_of
from ..cases import Cases
from ..linear import column_sums
from .base import Experts
from .gaussian import GaussianExpertParams, GaussianExperts

FAR = 1e-6  # probability beyond the spread


class StudentExpertParams(NamedTuple):
    gaussian: GaussianExpertParams  # its covariances are the scale matrices
    degrees_of_freedom: np.ndarray  # (k,)


@dataclass(frozen=True, eq=False)
class StudentExperts(Experts):
    """Its `gaussian` does what does not depend on the tails."""

    gaussian: GaussianExperts

    takes = ("offset",)

    @property
    def n_components(self) -> int:  # type: ignore[override]  # that of the Gaussians
        return self.gaussian.n_components

    def look(self, params: StudentExpertParams, cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (k, n, m), and their squared distances under the scale matrices (n, k)."""
        residuals = self.gaussian.look(params.gaussian, cases)
        return residuals, self.gaussian.distances(params.gaussian, residuals)

    def log_density(self, params, cases, seen):
        _, squared = seen
        m, nu = self.gaussian.n_outputs, params.degrees_of_freedom
        half = (nu + m) / 2
        peaks = gammaln(half) - gammaln(nu / 2) - 0.5 * m * np.log(nu / 2) + params.gaussian.log_norms
        return peaks - self.gaussian.log_unit - half * np.log1p(squared / nu)

    def moments(self, params, cases, resp, seen):
        residuals, squared = seen
        nu = params.degrees_of_freedom
        half = (nu + self.gaussian.n_outputs) / 2
        precision = half / ((nu + squared) / 2)  # E[u]
        log_precision = digamma(half) - np.log((nu + squared) / 2)  # E[log u]
        weighted = resp * precision
        moments = self.gaussian.moments_of(cases, column_sums(resp), weighted, residuals)
        return Sums((*moments, column_sums(resp * log_precision - weighted)))

    def m_step(self, moments, params):
        """Weighted least squares ([1]_), and a root for the degrees of freedom ([2]_)."""
        *weighted, tails = moments
        nu = [
            degrees_of(count, tail) if count > 0 else now
            for count, tail, now in zip(weighted[0], tails, params.degrees_of_freedom, strict=True)
        ]
        return StudentExpertParams(self.gaussian.m_step(weighted, params.gaussian), np.array(nu))

    def recentre(self, moments, params, new_params):
        *weighted, tails = moments
        return Sums((*self.gaussian.recentre(weighted, params.gaussian, new_params.gaussian), tails))

    def with_prior_of(self, factor):
        return StudentExperts(self.gaussian.with_prior_of(factor))

    def start(self, cases, resp):
        gaussian = self.gaussian.start(cases, resp)
        narrower = gaussian.covariances * (1 - 2 / FIRST_DEGREES)  # so that variances are those of the rows
        nu = np.full(self.n_components, FIRST_DEGREES)
        return StudentExpertParams(self.gaussian.params(gaussian.coef, narrower), nu)

    def n_free(self):
        return self.gaussian.n_free() + self.n_components

    def mean(self, params, cases):
        """The location, which is the mean where nu > 1; else there is none."""
        return self.gaussian.mean(params.gaussian, cases)

    def cdf(self, params, cases, mean, values):
        far = (values[:, None, :] - mean) / self.gaussian.deviations(params.gaussian)
        return stdtr(params.degrees_of_freedom[:, None], far)

    def spread(self, params, cases):
        widest = -stdtrit(params.degrees_of_freedom, FAR)[:, None] * self.gaussian.deviations(params.gaussian)
        return np.broadcast_to(widest, (cases.n_rows, *widest.shape))

    def sample(self, params, cases, chosen, rng):
        nu = params.degrees_of_freedom[chosen]
        noise = self.gaussian.noise(params.gaussian, chosen, rng) / np.sqrt(rng.chisquare(nu) / nu)[:, None]
        return self.mean(params, cases)[np.arange(len(chosen)), chosen] + noise

    def parts(self, params, scaling):
        return {**self.gaussian.parts(params.gaussian, scaling), "degrees_of_freedom_": params.degrees_of_freedom}

    def linearised(self, cases):
        return self.gaussian.linearised(cases)

    def log_prior(self, params):
        return self.gaussian.log_prior(params.gaussian)

    def flaw(self, params, counts):
        return self.gaussian.flaw(params.gaussian, counts)

    def notes(self, params, counts):
        return self.gaussian.notes(params.gaussian, counts)

    def rounding(self, params):
        return self.gaussian.rounding(params.gaussian)

    def to_vector(self, params):
        return np.concatenate([self.gaussian.to_vector(params.gaussian), np.log(params.degrees_of_freedom)])

    def from_vector(self, vector, params):
        k = self.n_components
        nu = np.exp(np.clip(vector[-k:], np.log(LEAST_DEGREES), np.log(MOST_DEGREES)))
        return StudentExpertParams(self.gaussian.from_vector(vector[:-k], params.gaussian), nu)
