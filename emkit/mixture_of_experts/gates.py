"""Gates: the share of each expert, given the inputs. One class for each value of `gate`, one table at the end.

References
----------
.. [1] Jacobs, R. A., Jordan, M. I., Nowlan, S. J. and Hinton, G. E. (1991). Adaptive mixtures of local experts. Neural
   Computation 3(1), 79-87. The softmax gate.
.. [2] Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm. Neural Computation
   6(2), 181-214. The gate of two levels: equations (1) to (4); their M-steps: (29) and (30).
.. [3] Xu, L., Jordan, M. I. and Hinton, G. E. (1995). An alternative model for mixtures of experts. NIPS 7, 633-640.
   The Gaussian gate, whose M-step is closed: equations (13) to (15).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ..chunks import Rows
from ..engine import UnusableStartError
from ..families.base import Sums, log, posterior
from ..families.covariance import COVARIANCES
from ..families.degenerate import collapsed
from ..families.gaussian import GaussianFamily, GaussianParams
from . import softmax
from .cases import Cases, Scaling
from .linear import column_sums

LEAST_LOG = -1e3  # of a weight, in a vector


@dataclass(frozen=True, eq=False)
class Gate(ABC):
    """Pure; parameters are a value of its own, statistics a tuple that adds.

    Attributes
    ----------
    n_components : int
        Number of experts, K.
    n_inputs : int
        Columns of the gate's inputs, q.
    alpha : float
        L2 penalty of the coefficients of scaled inputs.
    """

    n_components: int
    n_inputs: int
    alpha: float = 0.0

    uses_inputs: ClassVar[bool] = True
    is_closed: ClassVar[bool] = True  # whether the M-step reaches the maximum

    @abstractmethod
    def log_weights(self, params: Any, cases: Cases) -> np.ndarray:
        """Log share of each expert, (b, k); of the Gaussian gate plus log p(x)."""

    @abstractmethod
    def moments(self, params: Any, cases: Cases, resp: np.ndarray, log_weights: np.ndarray) -> tuple[Any, ...]:
        """Statistics under responsibilities (b, k), sample weights included; `log_weights` are those of `params`."""

    @abstractmethod
    def m_step(self, moments: Any, params: Any) -> Any: ...

    @abstractmethod
    def start(self, cases: Cases, resp: np.ndarray) -> Any:
        """Parameters from responsibilities (b, k), sample weights included."""

    @abstractmethod
    def n_free(self) -> int: ...

    @abstractmethod
    def parts(self, params: Any, scaling: Scaling) -> dict[str, Any]:
        """Fitted attributes, in the user's units."""

    @abstractmethod
    def to_vector(self, params: Any) -> np.ndarray: ...

    @abstractmethod
    def from_vector(self, vector: np.ndarray, params: Any) -> Any: ...

    def stride(self, params: Any, target: Any) -> float:
        """How far a step of several goes: about the largest change of a linear predictor; 0 if there are none."""
        return 0.0

    def between(self, params: Any, target: Any) -> Any:
        """Half of the way, for gates whose M-step is one step of several."""
        return target

    def recentre(self, moments: Any, params: Any, new_params: Any) -> Any:
        """Statistics taken under `params`, as if under `new_params`; the same unless they hang on parameters."""
        return moments

    def with_prior_of(self, factor: float) -> Self:
        """The gate with a penalty that weighs so many times as much, as statistics of one row need."""
        return replace(self, alpha=factor * self.alpha)

    def log_prior(self, params: Any) -> float:
        return 0.0

    def log_density(self, log_weights: np.ndarray) -> np.ndarray:
        """log p(x), (b,); 0 where the inputs are given."""
        return np.zeros(len(log_weights))

    def collapsed(self, params: Any, counts: np.ndarray) -> list[int]:
        """Experts to whom the gate gives a few rows and no others; `counts` (k,) is the weight of each one's rows."""
        return []

    def sure(self, params: Any, counts: np.ndarray) -> list[int]:
        """Experts whose share is 0 or 1 for practically every input, so that only the penalty bounds coefficients."""
        return []

    def rounding(self, params: Any) -> float:
        return 0.0


class ConstantGate(Gate):
    """The same shares for all inputs: a finite mixture of regressions (switching regression)."""

    uses_inputs = False

    def log_weights(self, params, cases):
        return np.broadcast_to(log(params), (len(cases), self.n_components))

    def moments(self, params, cases, resp, log_weights):
        return Sums((column_sums(resp),))

    def m_step(self, moments, params):
        return moments[0] / moments[0].sum()

    def start(self, cases, resp):
        return column_sums(resp) / resp.sum()

    def n_free(self):
        return self.n_components - 1

    def parts(self, params, scaling):
        return {"weights_": params}

    def to_vector(self, params):
        return np.maximum(log(params), LEAST_LOG)

    def from_vector(self, vector, params):
        return _normalised(vector)


class SoftmaxGate(Gate):
    """Softmax of linear functions of the inputs ([1]_). Parameters are coefficients (1 + q, k)."""

    is_closed = False

    def log_weights(self, params, cases):
        return softmax.log_shares(cases.G, params)

    def moments(self, params, cases, resp, log_weights):
        return Sums(softmax.slopes(cases.G, log_weights, resp))

    def m_step(self, moments, params):
        return softmax.step(params, softmax.Slopes(*moments), self.alpha)

    def recentre(self, moments, params, new_params):
        return Sums(softmax.recentred(softmax.Slopes(*moments), params, new_params))

    def start(self, cases, resp):
        return softmax.start(cases.G, resp, self.alpha)

    def n_free(self):
        return (self.n_components - 1) * (1 + self.n_inputs)

    def parts(self, params, scaling):
        coef = params[1:] / scaling.scale[:, None]
        return {"gate_coef_": coef.T, "gate_intercept_": params[0] - scaling.centre @ coef}

    def to_vector(self, params):
        return params.ravel()

    def from_vector(self, vector, params):
        return softmax.centred(vector.reshape(params.shape))

    def stride(self, params, target):
        return softmax.stride(params, target)

    def between(self, params, target):
        return 0.5 * (params + target)

    def log_prior(self, params):
        return softmax.shrinkage(params, self.alpha)

    def sure(self, params, counts):
        return softmax.saturated(params)


class HierarchicalParams(NamedTuple):
    top: np.ndarray  # (1 + q, g)
    bottom: tuple[np.ndarray, ...]  # (1 + q, size of the group) of each group


@dataclass(frozen=True, eq=False)
class HierarchicalGate(Gate):
    """A softmax over groups of experts, and one over the experts of each group ([2]_).

    Attributes
    ----------
    n_groups : int
        Experts 0, 1, ... fill the groups one after the other; sizes differ by one at most, the larger ones first.
    """

    n_groups: int = 2

    is_closed = False

    @property
    def ends(self) -> np.ndarray:
        """Where the groups but the last end, (g - 1,)."""
        return np.cumsum([len(group) for group in np.array_split(np.arange(self.n_components), self.n_groups)])[:-1]

    def _by_group(self, values: np.ndarray) -> list[np.ndarray]:
        """Pieces (..., size) of values (..., k)."""
        return np.split(values, self.ends, axis=-1)

    def log_weights(self, params, cases):
        top = softmax.log_shares(cases.G, params.top)
        within = [softmax.log_shares(cases.G, coef) for coef in params.bottom]
        return np.hstack([top[:, [g]] + shares for g, shares in enumerate(within)])

    def moments(self, params, cases, resp, log_weights):
        top = np.column_stack([posterior(piece)[0] for piece in self._by_group(log_weights)])
        bottom = [piece - top[:, [g]] for g, piece in enumerate(self._by_group(log_weights))]
        by_group = self._by_group(resp)
        groups = Sums(softmax.slopes(cases.G, top, _totals(by_group)))
        return Sums((groups, *(Sums(softmax.slopes(cases.G, *pair)) for pair in zip(bottom, by_group, strict=True))))

    def m_step(self, moments, params):
        top, *bottom = (
            softmax.step(coef, softmax.Slopes(*sums), self.alpha)
            for coef, sums in zip((params.top, *params.bottom), moments, strict=True)
        )
        return HierarchicalParams(top, tuple(bottom))

    def recentre(self, moments, params, new_params):
        each = zip(moments, (params.top, *params.bottom), (new_params.top, *new_params.bottom), strict=True)
        return Sums(Sums(softmax.recentred(softmax.Slopes(*sums), old, new)) for sums, old, new in each)

    def start(self, cases, resp):
        by_group = [np.ascontiguousarray(piece) for piece in self._by_group(resp)]
        top = softmax.start(cases.G, _totals(by_group), self.alpha)
        return HierarchicalParams(top, tuple(softmax.start(cases.G, piece, self.alpha) for piece in by_group))

    def n_free(self):
        return (self.n_components - 1) * (1 + self.n_inputs)

    def parts(self, params, scaling):
        def in_units(coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            slopes = coef[1:] / scaling.scale[:, None]
            return slopes.T, coef[0] - scaling.centre @ slopes

        (top, top_intercept), *bottom = (in_units(coef) for coef in (params.top, *params.bottom))
        return {
            "group_coef_": top,
            "group_intercept_": top_intercept,
            "gate_coef_": np.concatenate([slopes for slopes, _ in bottom]),
            "gate_intercept_": np.concatenate([intercepts for _, intercepts in bottom]),
        }

    def to_vector(self, params):
        return np.concatenate([coef.ravel() for coef in (params.top, *params.bottom)])

    def from_vector(self, vector, params):
        old = (params.top, *params.bottom)
        pieces = np.split(vector, np.cumsum([coef.size for coef in old])[:-1])
        top, *bottom = (softmax.centred(piece.reshape(coef.shape)) for piece, coef in zip(pieces, old, strict=True))
        return HierarchicalParams(top, tuple(bottom))

    def stride(self, params, target):
        pairs = zip((params.top, *params.bottom), (target.top, *target.bottom), strict=True)
        return max(softmax.stride(old, new) for old, new in pairs)

    def between(self, params, target):
        return self.from_vector(0.5 * (self.to_vector(params) + self.to_vector(target)), params)

    def log_prior(self, params):
        return sum(softmax.shrinkage(coef, self.alpha) for coef in (params.top, *params.bottom))

    def sure(self, params, counts):
        experts = self._by_group(np.arange(self.n_components))
        groups = [int(k) for g in softmax.saturated(params.top) for k in experts[g]]
        inside = [int(experts[g][j]) for g, coef in enumerate(params.bottom) for j in softmax.saturated(coef)]
        return sorted({*groups, *inside})


def _totals(by_group: list[np.ndarray]) -> np.ndarray:
    """(b, g)"""
    return np.stack([piece.sum(axis=1) for piece in by_group], axis=1)


class GaussianGateParams(NamedTuple):
    weights: np.ndarray  # (k,)
    gaussians: GaussianParams


@dataclass(frozen=True, eq=False)
class GaussianGate(Gate):
    """Shares are those of a Gaussian mixture of the inputs, which is fitted along ([3]_).

    Attributes
    ----------
    floor : float
        Least eigenvalue of a covariance of scaled inputs.
    log_unit : float
        Log of the volume that scaling turns into 1, so that densities are those of inputs in the user's units.
    """

    floor: float = 1e-6
    log_unit: float = 0.0

    @property
    def family(self) -> GaussianFamily:
        covariance, scale = COVARIANCES["full"], np.ones(self.n_inputs)
        return GaussianFamily(covariance, self.n_components, scale, self.floor, np.dtype(np.float64))

    def log_weights(self, params, cases):
        densities = self.family.log_density(params.gaussians, Rows(cases.G, cases.weight))
        return densities + (log(params.weights) - self.log_unit)

    def log_density(self, log_weights):
        return np.logaddexp.reduce(log_weights, axis=1)

    def moments(self, params, cases, resp, log_weights):
        return Sums(self.family.moments(params.gaussians, Rows(cases.G, cases.weight), resp))

    def m_step(self, moments, params):
        return GaussianGateParams(moments[0] / moments[0].sum(), self.family.m_step(moments, params.gaussians))

    def recentre(self, moments, params, new_params):
        return Sums(self.family.recentre(moments, params.gaussians, new_params.gaussians))

    def start(self, cases, resp):
        gaussians = self.family.start(Rows(cases.G, cases.weight), resp)
        return GaussianGateParams(column_sums(resp) / resp.sum(), gaussians)

    def n_free(self):
        return self.n_components - 1 + self.family.n_free()

    def parts(self, params, scaling):
        means, covariances = params.gaussians.means, params.gaussians.covariances
        return {
            "weights_": params.weights,
            "gate_means_": means * scaling.scale + scaling.centre,
            "gate_covariances_": covariances * np.outer(scaling.scale, scaling.scale),
        }

    def to_vector(self, params):
        return np.concatenate([np.maximum(log(params.weights), LEAST_LOG), self.family.to_vector(params.gaussians)])

    def from_vector(self, vector, params):
        k = self.n_components
        return GaussianGateParams(_normalised(vector[:k]), self.family.from_vector(vector[k:], params.gaussians))

    def collapsed(self, params, counts):
        return np.flatnonzero(collapsed(self.family, params.gaussians, counts, counts.sum())).tolist()

    def rounding(self, params):
        return self.family.rounding(params.gaussians)


def _normalised(log_weights: np.ndarray) -> np.ndarray:
    if not np.isfinite(log_weights).all():
        raise UnusableStartError("parameters have become infinite")
    weights = np.exp(log_weights - log_weights.max())
    normalised: np.ndarray = weights / weights.sum()
    return normalised


GATES: dict[str, type[Gate]] = {
    "softmax": SoftmaxGate,
    "constant": ConstantGate,
    "gaussian": GaussianGate,
    "hierarchical": HierarchicalGate,
}
