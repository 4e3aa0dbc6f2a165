"""Components and, behind them all, noise that is uniform over the range of the data: for rows of no component.

References
----------
.. [1] Banfield, J. D. and Raftery, A. E. (1993). Model-based Gaussian and non-Gaussian clustering. Biometrics 49(3),
   803-821. Section 4: noise as a Poisson process of constant rate over the region of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..chunks import Rows
from ..executors import each
from ..families.base import Family, Options
from ..families.conjugate import ConjugateGaussians
from ..families.gaussian import GaussianFamily
from ..fences import outer_fences, within
from .model import MixtureParams

FIRST_SHARE = 0.05  # of each row, at a start


@dataclass(frozen=True, eq=False)
class WithNoise(Family):
    """The components of a family of numbers, and noise as the last; its density is the same everywhere.

    Parameters are those of the family: noise has none but its weight. Of a row with missing values the density is
    that over the columns that it has.

    Attributes
    ----------
    family : Family
    lower, upper : ndarray of shape (d,)
        The range of the data, whose volume is one over the density.
    """

    family: Family
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def over(cls, family: Family, noise_range: np.ndarray) -> Self:
        """Noise over a range (2, d); ValueError if a column has one value, as the density would be infinite."""
        lower, upper = noise_range.astype(np.float64)
        flat = np.flatnonzero(upper <= lower)
        if len(flat):
            raise ValueError(
                f"noise=True needs columns that vary, but column(s) {flat.tolist()} of X have one value; drop them"
            )
        return cls(family, lower, upper)

    @classmethod
    def for_data(cls, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None) -> Self:
        raise NotImplementedError("it is made of a family: WithNoise(family, lower, upper)")

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        raise NotImplementedError("it is made of a family: WithNoise(family, lower, upper)")

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]  # those of the components
        return self.family.names

    @property
    def n_components(self) -> int:  # type: ignore[override]  # noise counts
        return self.family.n_components + 1

    @property
    def n_parts(self) -> int:
        return self.family.n_parts

    @property
    def n_features(self) -> int:
        return self.family.n_features

    def spread(self, resp: np.ndarray) -> np.ndarray:
        return np.column_stack([(1 - FIRST_SHARE) * self.family.spread(resp), FIRST_SHARE * resp.sum(axis=1)])

    def log_density(self, params: Any, rows: Rows) -> np.ndarray:
        density = self.family.log_density(params, rows)
        width = np.log(self.upper - self.lower)
        noise = -(~np.isnan(rows.X) @ width) if rows.has_missing else np.full(len(rows), -width.sum())
        return np.column_stack([density, noise.astype(density.dtype)])

    def moments(self, params: Any, rows: Rows, resp: np.ndarray) -> tuple[Any, ...]:
        return self.family.moments(params, rows, np.ascontiguousarray(resp[:, :-1]))

    def m_step(self, moments: Sequence[Any], params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        return self.family.m_step(moments, params, fixed)

    def recentre(self, moments: Any, params: Any, new_params: Any) -> Any:
        return self.family.recentre(moments, params, new_params)

    @property
    def shared(self) -> frozenset[str]:
        return self.family.shared

    @property
    def bears_far_rows(self) -> bool:
        return True

    def with_prior_of(self, factor: float) -> Family:
        return replace(self, family=self.family.with_prior_of(factor))

    def start(self, rows: Rows, resp: np.ndarray) -> Any:
        """From rows whose far values are moved to the fences: they are what noise is for."""
        resp = np.ascontiguousarray(resp[:, :-1])
        (usual,) = within([rows], outer_fences(rows.X, resp.sum(axis=1)))
        return self.family.start(usual, resp)

    def parts(self, params: Any) -> dict[str, Any]:
        return self.family.parts(params)

    def from_parts(self, parts: dict[str, Any]) -> Any:
        return self.family.from_parts(parts)

    def floored(self, params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        return self.family.floored(params, fixed)

    def signature(self, params: Any) -> np.ndarray:
        """Far from all components, noise is its own counterpart."""
        own = self.family.signature(params)
        return np.vstack([own, np.full((1, own.shape[1]), 1e6)])

    def check_part(self, name: str, value: Any) -> Any:
        return self.family.check_part(name, value)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return self.family.n_free(fixed)

    def sample(self, params: Any, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.uniform(self.lower, self.upper, size=(len(components), self.n_features))
        clean = np.flatnonzero(components < self.family.n_components)
        if len(clean):
            drawn[clean] = self.family.sample(params, components[clean], rng)
        return drawn

    def mean(self, params: Any) -> np.ndarray:
        return np.vstack([self.family.mean(params), (self.lower + self.upper) / 2])

    def variance(self, params: Any) -> np.ndarray:
        return np.vstack([self.family.variance(params), (self.upper - self.lower) ** 2 / 12])

    def features(self, X: np.ndarray) -> np.ndarray:
        return self.family.features(X)

    def log_prior(self, params: Any) -> float:
        return self.family.log_prior(params)

    def rounding(self, params: Any) -> float:
        return self.family.rounding(params)

    def flaw(self, params: Any, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        """Data without noise are no flaw."""
        return self.family.flaw(params, counts[:-1], weight, fixed)

    def reseed(self, params: Any, counts: np.ndarray, weight: float, X: np.ndarray) -> tuple[Any, np.ndarray] | None:
        reseeded = self.family.reseed(params, counts[:-1], weight, X[:-1])
        return None if reseeded is None else (reseeded[0], np.append(reseeded[1], False))

    @property
    def has_vector(self) -> bool:
        return self.family.has_vector

    def to_vector(self, params: Any, fixed: frozenset[str] = frozenset()) -> np.ndarray | None:
        return self.family.to_vector(params, fixed)

    def from_vector(self, vector: np.ndarray, params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        return self.family.from_vector(vector, params, fixed)


def range_of(chunks: Iterable[Rows]) -> np.ndarray:
    """Least and largest observed value of each column, (2, d)."""
    lower, upper = zip(*each(_range_of_chunk, chunks), strict=True)
    return np.stack([np.fmin.reduce(lower, axis=0), np.fmax.reduce(upper, axis=0)]).astype(np.float64)


def _range_of_chunk(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    return np.fmin.reduce(rows.X, axis=0), np.fmax.reduce(rows.X, axis=0)


def without_noise(family: Family) -> Family:
    return family.family if isinstance(family, WithNoise) else family


def gaussians_of(family: Family) -> GaussianFamily:
    """Those among the components, without noise and without a prior."""
    found = without_noise(family)
    found = found.gaussians if isinstance(found, ConjugateGaussians) else found
    assert isinstance(found, GaussianFamily)
    return found


def with_gaussians(family: Family, **changes: Any) -> Family:
    """The same with other attributes of its Gaussians (which have no prior), as their number."""
    gaussians = replace(gaussians_of(family), **changes)
    return replace(family, family=gaussians) if isinstance(family, WithNoise) else gaussians


def noise_attributes(family: Family, params: MixtureParams) -> dict[str, Any]:
    """Fitted attributes of noise; none where there is none."""
    if not isinstance(family, WithNoise):
        return {}
    return {"noise_weight_": params.weights[-1], "noise_range_": np.stack([family.lower, family.upper])}


def with_noise_of(estimator: Any, family: Family) -> Family:
    """The family with the noise that a fitted estimator has."""
    if not hasattr(estimator, "noise_weight_"):
        return family
    return WithNoise(family, *estimator.noise_range_.astype(np.float64))


def fitted_weights(estimator: Any) -> np.ndarray:
    """Weights of the components of a fitted estimator, that of noise last, (k,)."""
    noise = [estimator.noise_weight_] if hasattr(estimator, "noise_weight_") else []
    return np.append(estimator.weights_, noise).astype(np.float64)
