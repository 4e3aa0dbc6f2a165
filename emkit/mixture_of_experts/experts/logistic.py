"""Multinomial logistic experts: classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...engine import UnusableStartError
from ...families.base import Sums
from ...seeding import draw_columns
from .. import softmax
from ..cases import Cases
from .base import Experts, slopes_in_units


@dataclass(frozen=True, eq=False)
class LogisticExperts(Experts):
    """K softmax regressions of C classes. Parameters are coefficients (k, 1 + p, C) whose columns add up to zero."""

    n_components: int
    n_inputs: int
    alpha: float
    n_classes: int

    is_closed = False
    discrete = True

    @property
    def _ridge(self) -> float:
        """Penalty of the coefficients; of two classes `alpha` is that of the log odds, as scikit-learn has it."""
        return (2 if self.n_classes == 2 else 1) * self.alpha

    def look(self, params: np.ndarray, cases: Cases) -> np.ndarray:
        """Log of the probabilities of the classes, (k, n, C)."""
        return np.stack([softmax.log_shares(cases.X, coef) for coef in params])

    def log_density(self, params, cases, seen):
        codes = cases.y[:, 0].astype(np.intp)
        return seen[:, np.arange(len(codes)), codes].T

    def _targets(self, cases: Cases, resp: np.ndarray) -> np.ndarray:
        """Responsibilities of each expert, placed at the class of the row, (k, n, C)."""
        is_class = np.eye(self.n_classes)[cases.y[:, 0].astype(np.intp)]
        return resp.T[:, :, None] * is_class

    def moments(self, params, cases, resp, seen):
        sums = zip(seen, self._targets(cases, resp), strict=True)
        return Sums(Sums(softmax.slopes(cases.X, log_proba, target)) for log_proba, target in sums)

    def m_step(self, moments, params):
        pairs = zip(params, moments, strict=True)
        coef = np.array([softmax.step(old, softmax.Slopes(*sums), self._ridge) for old, sums in pairs])
        if not np.isfinite(coef).all():
            raise UnusableStartError("coefficients of an expert have become infinite")
        return coef

    def recentre(self, moments, params, new_params):
        each = zip(moments, params, new_params, strict=True)
        return Sums(Sums(softmax.recentred(softmax.Slopes(*sums), old, new)) for sums, old, new in each)

    def with_prior_of(self, factor):
        return replace(self, alpha=factor * self.alpha)

    def stride(self, params, target):
        return softmax.stride(params, target)

    def between(self, params, target):
        return 0.5 * (params + target)

    def start(self, cases, resp):
        return np.array([softmax.start(cases.X, target, self._ridge + 1.0) for target in self._targets(cases, resp)])

    def n_free(self):
        return self.n_components * (1 + self.n_inputs) * (self.n_classes - 1)

    def mean(self, params, cases):
        return np.exp(self.look(params, cases)).swapaxes(0, 1)

    def sample(self, params, cases, chosen, rng):
        proba = self.mean(params, cases)[np.arange(len(chosen)), chosen]
        return draw_columns(proba, rng)[:, None].astype(np.float64)

    def parts(self, params, scaling):
        slopes, intercepts = slopes_in_units(params, scaling)
        if self.n_classes == 2:  # log odds of the second class, as scikit-learn has them
            slopes, intercepts = np.diff(slopes), np.diff(intercepts)
        return {"coef_": slopes.swapaxes(1, 2), "intercept_": intercepts}

    def linearised(self, cases):
        return np.eye(self.n_classes)[cases.y[:, 0].astype(np.intp)]

    def log_prior(self, params):
        return sum(softmax.shrinkage(coef, self._ridge) for coef in params)

    def notes(self, params, counts):
        return [
            f"expert {k} tells classes apart perfectly, so that only alpha={self.alpha:g} keeps its coefficients finite"
            for k, coef in enumerate(params)
            if softmax.saturated(coef)
        ]

    def to_vector(self, params):
        return params.ravel()

    def from_vector(self, vector, params):
        if not np.isfinite(vector).all():
            raise UnusableStartError("parameters have become infinite")
        return softmax.centred(vector.reshape(params.shape))
