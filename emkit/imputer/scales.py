"""Between the codes of a column and the coordinates of a model: one class for each way to stand a column on an axis.

A numeric or ordinal column is one coordinate z. `to_latent` gives z of known codes; a known code of `Cells` puts z into
an interval, by `bounds`. `from_latent` goes back; it is monotone, so that it takes quantiles to quantiles. `cuts` are
the points between the levels of an ordinal column, the first -inf and the last inf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from .columns import Column

MOST_KNOTS = 2_000
FARTHEST = 1e6  # standard deviations from the mean: what is farther out counts as this, so that its square has digits


@dataclass(frozen=True, eq=False)
class Linear:
    """A number in units of its standard deviation, or the number of a level likewise."""

    mean: float
    scale: float
    n_levels: int = 0  # of an ordinal column

    n_coordinates = 1
    is_exact = True

    def to_latent(self, codes: np.ndarray) -> np.ndarray:
        return np.clip((codes - self.mean) / self.scale, -FARTHEST, FARTHEST)

    def from_latent(self, z: np.ndarray) -> np.ndarray:
        return self.mean + self.scale * z

    @property
    def cuts(self) -> np.ndarray:
        inner = self.to_latent(np.arange(self.n_levels - 1) + 0.5)
        return np.concatenate([[-np.inf], inner, [np.inf]])

    def belief(self, mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of codes as those of z."""
        return self.to_latent(mean), sd / self.scale


@dataclass(frozen=True, eq=False)
class NormalScores:
    """A number by the normal quantile of its rank; between the values of the training table linear, beyond constant."""

    values: np.ndarray  # (k,), rising
    scores: np.ndarray  # (k,), rising

    n_coordinates = 1
    is_exact = True
    n_levels = 0

    def to_latent(self, codes: np.ndarray) -> np.ndarray:
        return np.interp(codes, self.values, self.scores)

    def from_latent(self, z: np.ndarray) -> np.ndarray:
        return np.interp(z, self.scores, self.values)

    def belief(self, mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of codes as those of z, by the slope at the mean; linear beyond all values."""
        inside = np.clip(mean, self.values[0], self.values[-1])
        slope = self._slope(inside)
        return self.to_latent(inside) + slope * (mean - inside), sd * slope

    def _slope(self, codes: np.ndarray) -> np.ndarray:
        """dz / dcode over a tenth of the range that most values lie in; at least what it is from end to end."""
        span, reach = np.ptp(self.values), np.ptp(self.scores)
        if span == 0:
            return np.ones_like(codes)
        step = 0.05 * (self.from_latent(np.array(1.0)) - self.from_latent(np.array(-1.0))) or 0.05 * span
        local = (self.to_latent(codes + step) - self.to_latent(codes - step)) / (2 * step)
        return np.maximum(local, reach / span)


@dataclass(frozen=True, eq=False)
class Cells:
    """The levels of an ordinal column as intervals of a standard Gaussian that hold as much of it as the levels."""

    cuts: np.ndarray  # (n_levels + 1,)

    n_coordinates = 1
    is_exact = False

    @property
    def n_levels(self) -> int:
        return len(self.cuts) - 1

    def bounds(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells of known codes."""
        place = codes.astype(np.intp)
        return self.cuts[place], self.cuts[place + 1]


@dataclass(frozen=True, eq=False)
class Dummies:
    """A nominal column as indicators of all its levels but the first."""

    shares: np.ndarray  # (n_levels,): of the levels in the training table

    is_exact = True

    @property
    def n_levels(self) -> int:
        return len(self.shares)

    @property
    def n_coordinates(self) -> int:
        return len(self.shares) - 1

    @property
    def location(self) -> np.ndarray:
        return self.shares[1:]

    @property
    def covariance(self) -> np.ndarray:
        """Of the indicators."""
        return np.diag(self.shares[1:]) - np.outer(self.shares[1:], self.shares[1:])

    def to_latent(self, codes: np.ndarray) -> np.ndarray:
        """(n, n_coordinates)."""
        return (codes[:, None] == np.arange(1, self.n_levels)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Symbols:
    """A column of levels without a coordinate."""

    n_levels: int

    n_coordinates = 0
    is_exact = True


Scale = Linear | NormalScores | Cells | Dummies | Symbols


def linear(codes: np.ndarray, weight: np.ndarray, n_levels: int = 0) -> Linear:
    """From the known codes of a column and their weights."""
    origin = codes[0]
    centred = codes - origin  # so that nothing cancels
    shift = weight @ centred / weight.sum()
    scale = float(np.sqrt(weight @ (centred - shift) ** 2 / weight.sum()))
    is_constant = scale <= 1e-14 * np.abs(codes).max()
    return Linear(float(origin + shift), 1.0 if is_constant else scale, n_levels)


def normal_scores(codes: np.ndarray, weight: np.ndarray) -> NormalScores:
    """Ranks are those of the middle of equal values."""
    values, place = np.unique(codes, return_inverse=True)
    mass = np.bincount(place.ravel(), weight, len(values))
    scores = ndtri((np.cumsum(mass) - mass / 2) / mass.sum())
    if len(values) > MOST_KNOTS:  # enough of them, evenly over the scores
        wanted = np.linspace(scores[0], scores[-1], MOST_KNOTS)
        kept = np.unique(np.searchsorted(scores, wanted).clip(0, len(scores) - 1))
        values, scores = values[kept], scores[kept]
    return NormalScores(values, scores)


def cells(codes: np.ndarray, weight: np.ndarray, n_levels: int) -> Cells:
    shares = _shares(codes, weight, n_levels)
    cuts = ndtri(np.concatenate([[0.0], np.cumsum(shares)[:-1], [1.0]]))
    return Cells(cuts)


def dummies(codes: np.ndarray, weight: np.ndarray, n_levels: int) -> Dummies:
    return Dummies(_shares(codes, weight, n_levels))


def _shares(codes: np.ndarray, weight: np.ndarray, n_levels: int) -> np.ndarray:
    """Of the levels; one that does not occur counts as half a row."""
    counts = np.bincount(codes.astype(np.intp), weight, n_levels)
    counts = np.where(counts > 0, counts, min(0.5, 0.01 * weight.sum()))
    shares: np.ndarray = counts / counts.sum()
    return shares


def exact_scale(column: Column, codes: np.ndarray, weight: np.ndarray) -> Scale:
    """Each column as it is: numbers, numbers of levels, indicators."""
    if column.kind == "nominal":
        return dummies(codes, weight, len(column.levels))
    return linear(codes, weight, len(column.levels))


def copula_scale(column: Column, codes: np.ndarray, weight: np.ndarray) -> Scale:
    """Numbers by their ranks, levels as cells, but more than two unordered ones as indicators."""
    if column.is_numeric:
        return normal_scores(codes, weight)
    has_order = column.kind == "ordinal" or len(column.levels) <= 2
    return (cells if has_order else dummies)(codes, weight, len(column.levels))


def mixture_scale(column: Column, codes: np.ndarray, weight: np.ndarray) -> Scale:
    """Numbers as they are, levels as symbols: a Gaussian would collapse onto them."""
    return linear(codes, weight) if column.is_numeric else Symbols(len(column.levels))
