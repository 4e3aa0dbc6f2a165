"""A family whose components are mixtures of Gaussians themselves.

References
----------
.. [1] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
   Proc. IEEE 77(2), 257-286. The M-step is its equations (52) to (54).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import softmax

from .._validation import check_array, check_integer
from ..chunks import Rows
from .base import Family, Options
from .covariance import COVARIANCES
from .discrete import LEAST_LOG, check_finite, log
from .gaussian import GaussianFamily, GaussianParams

EVEN = 0.1  # share of a start's rows that the Gaussians of a component have in common, so that none is empty


class MixtureParams(NamedTuple):
    weights: np.ndarray  # (k, m); rows sum to one
    gaussians: GaussianParams  # k m of them, those of a component together


@dataclass(frozen=True, eq=False)
class MixtureFamily(Family):
    """k mixtures of m Gaussians each. Statistics are those of the k m Gaussians.

    Attributes
    ----------
    n_components : int
    gaussian : GaussianFamily
        That of all k m Gaussians.
    """

    n_components: int
    gaussian: GaussianFamily

    names = ("weights", "means", "covariances")

    @classmethod
    def for_data(cls, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None) -> Self:
        n_mix = check_integer("n_mix", options.n_mix, 1)
        return cls(n_components, GaussianFamily.for_data(n_components * n_mix, options, X, weight))

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        means = np.asarray(parts["means"])
        flat = means.reshape(-1, means.shape[2])
        covariances = np.reshape(parts["covariances"], COVARIANCES[options.covariance_type].shape(*flat.shape))
        gaussians = {"means": flat, "covariances": covariances}
        return cls(n_components, GaussianFamily.for_parts(len(flat), options, gaussians))

    @property
    def shared(self) -> frozenset[str]:
        return self.gaussian.shared

    @property
    def n_features(self) -> int:
        return self.gaussian.n_features

    @property
    def n_mix(self) -> int:
        return self.gaussian.n_components // self.n_components

    def check_rows(self, X: np.ndarray) -> None:
        self.gaussian.check_rows(X)

    def _by_component(self, array: np.ndarray) -> np.ndarray:
        """Of the k m Gaussians, (n, k m), to (n k, m)."""
        return array.reshape(-1, self.n_mix)

    def _joint(self, params: MixtureParams, rows: Rows) -> np.ndarray:
        """log weight + log N(x), (n k, m)."""
        return self._by_component(self.gaussian.log_density(params.gaussians, rows) + log(params.weights).ravel())

    def log_density(self, params: MixtureParams, rows: Rows) -> np.ndarray:
        return _within(self._joint(params, rows))[0].reshape(len(rows), self.n_components)

    def moments(self, params: MixtureParams, rows: Rows, resp: np.ndarray) -> tuple[Any, ...]:
        """Those of the Gaussians, each under its share of its component's responsibility ([1]_, equation 54)."""
        within = _within(self._joint(params, rows))[1].reshape(*resp.shape, self.n_mix)
        within *= resp[:, :, None]
        return self.gaussian.moments(params.gaussians, rows, within.reshape(len(rows), -1))

    def m_step(
        self, moments: Sequence[Any], params: MixtureParams, fixed: frozenset[str] = frozenset()
    ) -> MixtureParams:
        """Shares of the counts ([1]_, equation 52); the Gaussians do the rest (53, 54)."""
        weights = params.weights
        if "weights" not in fixed:
            counts = self._by_component(moments[0])
            totals = counts.sum(axis=1, keepdims=True)
            weights = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), weights)
        return MixtureParams(weights, self.gaussian.m_step(moments, params.gaussians, fixed))

    def recentre(self, moments: Any, params: MixtureParams, new_params: MixtureParams) -> Any:
        return self.gaussian.recentre(moments, params.gaussians, new_params.gaussians)

    def start(self, rows: Rows, resp: np.ndarray) -> MixtureParams:
        """Each component is cut into slabs of equal weight across its longest axis, a Gaussian for each."""
        X = rows.X / self.gaussian.scale
        within = np.full((*resp.shape, self.n_mix), EVEN / self.n_mix)
        for c, weight in enumerate(resp.T):
            within[np.arange(len(X)), c, _slabs(X, weight, self.n_mix)] += 1 - EVEN
        within *= resp[:, :, None]
        counts = within.sum(axis=0)
        totals = counts.sum(axis=1, keepdims=True)
        weights = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 1 / self.n_mix)
        return MixtureParams(weights, self.gaussian.start(rows, within.reshape(len(X), -1)))

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a part, as it is published."""
        by_gaussian = (self.n_components, self.n_mix)
        flat = {"weights": (1,), "means": (1, self.n_features), "covariances": self._flat_shape}[name]
        return flat if name == "covariances" and self.gaussian.covariance.shared else by_gaussian + flat[1:]

    @property
    def _flat_shape(self) -> tuple[int, ...]:
        """Of the covariances in the Gaussian family."""
        return self.gaussian.covariance.shape(self.gaussian.n_components, self.n_features)

    def parts(self, params: MixtureParams) -> dict[str, Any]:
        parts = {"weights": params.weights, **self.gaussian.parts(params.gaussians)}
        return {name: parts[name].reshape(self._shape(name)) for name in self.names}

    def from_parts(self, parts: dict[str, Any]) -> MixtureParams:
        means = np.reshape(parts["means"], (-1, self.n_features))
        covariances = np.reshape(parts["covariances"], self._flat_shape)
        gaussians = self.gaussian.from_parts({"means": means, "covariances": covariances})
        return MixtureParams(np.asarray(parts["weights"], np.float64), gaussians)

    def check_part(self, name: str, value: Any) -> Any:
        if name not in self.names:
            return super().check_part(name, value)
        part = check_array(f"{name}_init", value, self._shape(name), name)
        if name == "weights":
            if (part < 0).any() or not np.allclose(part.sum(axis=1), 1):
                raise ValueError(f"weights_init must have rows that are not negative and sum to one, but got {value!r}")
            return part / part.sum(axis=1, keepdims=True)
        flat = part.reshape(-1, self.n_features) if name == "means" else part.reshape(self._flat_shape)
        return self.gaussian.check_part(name, flat).reshape(part.shape)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        weights = 0 if "weights" in fixed else self.n_components * (self.n_mix - 1)
        return weights + self.gaussian.n_free(fixed)

    def sample(self, params: MixtureParams, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cumulative = np.cumsum(params.weights, axis=1)
        chance = rng.random((len(components), 1)) * cumulative[components, -1:]
        within = (cumulative[components] <= chance).sum(axis=1)
        return self.gaussian.sample(params.gaussians, components * self.n_mix + within, rng)

    def mean(self, params: MixtureParams) -> np.ndarray:
        return self._expected(params, self.gaussian.mean(params.gaussians))

    def variance(self, params: MixtureParams) -> np.ndarray:
        means, mean = self.gaussian.mean(params.gaussians), self.mean(params)
        squares = (means - np.repeat(mean, self.n_mix, axis=0)) ** 2
        return self._expected(params, self.gaussian.variance(params.gaussians) + squares)

    def _expected(self, params: MixtureParams, values: np.ndarray) -> np.ndarray:
        """Means (k, d) of values of the Gaussians (k m, d) under the weights."""
        return (params.weights[:, None] @ values.reshape(*params.weights.shape, -1))[:, 0]

    def features(self, X: np.ndarray) -> np.ndarray:
        return self.gaussian.features(X)

    def rounding(self, params: MixtureParams) -> float:
        return self.gaussian.rounding(params.gaussians)

    def flaw(self, params: MixtureParams, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        """Of a component, or else of its Gaussians, which are numbered through: c m to c m + m - 1 are those of c."""
        by_gaussian = (counts[:, None] * params.weights).ravel()
        lost = super().flaw(params, counts, weight, fixed)
        return lost or self.gaussian.flaw(params.gaussians, by_gaussian, weight, fixed)

    def to_vector(self, params: MixtureParams, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        head = [] if "weights" in fixed else [np.maximum(log(params.weights), LEAST_LOG).ravel()]
        return np.concatenate([*head, self.gaussian.to_vector(params.gaussians, fixed)])

    def from_vector(
        self, vector: np.ndarray, params: MixtureParams, fixed: frozenset[str] = frozenset()
    ) -> MixtureParams:
        check_finite(vector)
        weights = params.weights
        if "weights" not in fixed:
            logs, vector = vector[: weights.size], vector[weights.size :]
            weights = softmax(self._by_component(logs), axis=1)
        return MixtureParams(weights, self.gaussian.from_vector(vector, params.gaussians, fixed))


def _within(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log sum exp of rows of few columns, (n,), and their shares, (n, m): column by column, since rows are short."""
    top = reduce(np.maximum, joint.T)
    shares = np.exp(joint - top[:, None])
    total = shares @ np.ones(joint.shape[1])
    shares /= total[:, None]
    return top + np.log(total), shares


def _slabs(X: np.ndarray, weight: np.ndarray, m: int) -> np.ndarray:
    """Which of m slabs of equal weight each row lies in, across the axis of greatest variance, (n,)."""
    total = weight.sum()
    if total <= 0:
        return np.zeros(len(X), dtype=np.intp)
    seen = ~np.isnan(X)
    mass = weight @ seen
    centre = weight @ np.where(seen, X, 0) / np.where(mass > 0, mass, 1)
    centred = np.where(seen, X - centre, 0)
    axis = np.linalg.eigh((centred * weight[:, None]).T @ centred)[1][:, -1]
    along = centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))
    # Rounded, so that equal rows stay together wherever they stand.
    values, place = np.unique(np.round(along / max(np.abs(along).max(), 1e-300), 9), return_inverse=True)
    mass = np.bincount(place, weight, len(values))
    middle = (np.cumsum(mass) - mass / 2) / total
    return np.minimum((middle * m).astype(np.intp), m - 1)[place]
