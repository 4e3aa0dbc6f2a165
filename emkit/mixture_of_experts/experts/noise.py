"""Experts among whose responses some are noise: uniform over the range of the data, whatever the inputs.

References
----------
.. [1] Banfield, J. D. and Raftery, A. E. (1993). Model-based Gaussian and non-Gaussian clustering. Biometrics 49(3),
   803-821. A uniform component for noise: section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit
from scipy.special import logit as log_odds

from ...families.base import Sums
from ..cases import Cases
from .base import Experts

FIRST_SHARE = 0.05
LEAST_SHARE, MOST_SHARE = 1e-12, 0.5  # at more than a half it would no longer be noise


class NoisyParams(NamedTuple):
    share: float  # of noise
    experts: Any


@dataclass(frozen=True, eq=False)
class NoisyExperts(Experts):
    """Each response is noise with one chance, whatever its expert: p(y | x; k) is share U(y) + (1 - share) p_k(y | x).

    So the gate knows nothing of noise. What is said of the mean, of quantiles and of samples leaves noise out.

    Attributes
    ----------
    experts : Experts
    log_uniform : float
        Log density of noise.
    """

    experts: Experts
    log_uniform: float

    @property
    def n_components(self) -> int:  # type: ignore[override]  # that of the experts
        return self.experts.n_components

    @property
    def monotone(self) -> bool:  # type: ignore[override]  # that of the experts
        return self.experts.monotone

    @property
    def is_closed(self) -> bool:  # type: ignore[override]  # that of the experts
        return self.experts.is_closed

    @property
    def can_accelerate(self) -> bool:  # type: ignore[override]  # that of the experts
        return self.experts.can_accelerate

    @property
    def lowest(self) -> float:  # type: ignore[override]  # that of the experts
        return self.experts.lowest

    @property
    def discrete(self) -> bool:  # type: ignore[override]  # that of the experts
        return self.experts.discrete

    def check(self, cases):
        self.experts.check(cases)

    def look(self, params: NoisyParams, cases: Cases) -> tuple[Any, np.ndarray]:
        """What the experts look at, and their log densities (n, k)."""
        seen = self.experts.look(params.experts, cases)
        return seen, self.experts.log_density(params.experts, cases, seen)

    def log_density(self, params, cases, seen):
        clean = np.log1p(-params.share) + seen[1]
        return np.logaddexp(clean, np.log(params.share) + self.log_uniform)

    def moments(self, params, cases, resp, seen):
        """Of a response that may be noise, the chance that it is not counts for its expert ([1]_)."""
        odds = seen[1] - self.log_uniform + log_odds(1 - params.share)
        clean = resp * expit(odds)
        noise = float((resp * expit(-odds)).sum())
        return Sums((noise, float(resp.sum()), Sums(self.experts.moments(params.experts, cases, clean, seen[0]))))

    def m_step(self, moments, params):
        noise, total, clean = moments
        share = float(np.clip(noise / total, LEAST_SHARE, MOST_SHARE))
        return NoisyParams(share, self.experts.m_step(clean, params.experts))

    def recentre(self, moments, params, new_params):
        noise, total, clean = moments
        return Sums((noise, total, self.experts.recentre(clean, params.experts, new_params.experts)))

    def with_prior_of(self, factor):
        return replace(self, experts=self.experts.with_prior_of(factor))

    def stride(self, params, target):
        return self.experts.stride(params.experts, target.experts)

    def between(self, params, target):
        return target._replace(experts=self.experts.between(params.experts, target.experts))

    def start(self, cases, resp):
        return NoisyParams(FIRST_SHARE, self.experts.start(cases, resp))

    def n_free(self):
        return 1 + self.experts.n_free()

    def mean(self, params, cases):
        return self.experts.mean(params.experts, cases)

    def cdf(self, params, cases, mean, values):
        return self.experts.cdf(params.experts, cases, mean, values)

    def spread(self, params, cases):
        return self.experts.spread(params.experts, cases)

    def sample(self, params, cases, chosen, rng):
        return self.experts.sample(params.experts, cases, chosen, rng)

    def parts(self, params, scaling):
        return {**self.experts.parts(params.experts, scaling), "noise_weight_": params.share}

    def estimators(self, params):
        return self.experts.estimators(params.experts)

    def linearised(self, cases):
        return self.experts.linearised(cases)

    def log_prior(self, params):
        return self.experts.log_prior(params.experts)

    def flaw(self, params, counts):
        return self.experts.flaw(params.experts, (1 - params.share) * counts)

    def notes(self, params, counts):
        return self.experts.notes(params.experts, (1 - params.share) * counts)

    def rounding(self, params):
        return self.experts.rounding(params.experts)

    def to_vector(self, params):
        return np.append(self.experts.to_vector(params.experts), log_odds(params.share))

    def from_vector(self, vector, params):
        share = float(np.clip(expit(vector[-1]), LEAST_SHARE, MOST_SHARE))
        return NoisyParams(share, self.experts.from_vector(vector[:-1], params.experts))
