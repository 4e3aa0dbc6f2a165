"""Between the codes of a column and the coordinates of a model: one class for each way to stand a column on an axis.

A numeric or ordinal column is one coordinate z. `to_latent` gives z of known codes. A known code of `Cells`, or a value
of `NormalScores` that many rows share, puts z into an interval, by `bounds`. `from_latent` goes back; it is monotone,
so that it takes quantiles to quantiles. `cuts` are the points between the levels of an ordinal column, the first -inf
and the last inf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from .columns import Column
from .tallies import Moments, Ranks, Tally, level_weights, moments, ranks

MOST_KNOTS = 2_000
ATOM_SHARE = 0.05  # of the weight: a value of more is an atom
FARTHEST = 1e6  # standard deviations from the mean: what is farther out counts as this, so that its square has digits


@dataclass(frozen=True, eq=False)
class Linear:
    """A number in units of its standard deviation, or the number of a level likewise."""

    mean: float
    scale: float
    n_levels: int = 0  # of an ordinal column

    n_coordinates = 1
    n_cells = 0
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
    """A number by the normal quantile of its rank; between the values of the training table linear, beyond constant.

    A value that many rows share, an *atom*, is no point of the axis but a cell as wide as its share.
    """

    values: np.ndarray  # (k,), rising
    scores: np.ndarray  # (k,), rising
    atoms: np.ndarray = field(default_factory=partial(np.empty, 0, np.intp))  # (a,): their places among the values
    lower: np.ndarray = field(default_factory=partial(np.empty, 0))  # (a,): ends of their cells
    upper: np.ndarray = field(default_factory=partial(np.empty, 0))

    n_coordinates = 1
    n_levels = 0

    @property
    def is_exact(self) -> bool:
        return len(self.atoms) == 0

    @property
    def n_cells(self) -> int:
        """Number of values if all are atoms, else 0."""
        return len(self.values) if len(self.atoms) == len(self.values) else 0

    @property
    def pivot(self) -> float:
        """Where two cells meet."""
        return float(self.upper[0])

    def to_latent(self, codes: np.ndarray) -> np.ndarray:
        return np.interp(codes, self.values, self.scores)

    def bounds(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells of known codes; NaN for those that are points."""
        lower, upper = np.full((2, len(codes)), np.nan)
        for atom, low, high in zip(self.values[self.atoms], self.lower, self.upper, strict=True):
            here = codes == atom
            lower[here], upper[here] = low, high
        return lower, upper

    def from_latent(self, z: np.ndarray) -> np.ndarray:
        return np.interp(z, *self._curve)

    @cached_property
    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (z, value) between which values are linear; two of each atom, the ends of its cell."""
        if self.is_exact:
            return self.scores, self.values
        points = np.delete(np.arange(len(self.values)), self.atoms)
        z = np.concatenate([self.scores[points], self.lower, self.upper])
        x = np.concatenate([self.values[points], self.values[self.atoms], self.values[self.atoms]])
        if not np.isfinite(z).any():
            return np.zeros(1), x[:1]
        z, x = z[np.isfinite(z)], x[np.isfinite(z)]
        order = np.lexsort((z, x))
        return z[order] + 1e-12 * np.arange(len(z)), x[order]  # cells meet, but np.interp wants points to rise

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
    def n_cells(self) -> int:
        return self.n_levels

    @property
    def pivot(self) -> float:
        """Where two cells meet."""
        return float(self.cuts[1])

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

    n_cells = 0
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
    n_cells = 0
    is_exact = True


Scale = Linear | NormalScores | Cells | Dummies | Symbols


def linear(moments: Moments, n_levels: int = 0) -> Linear:
    scale = float(np.sqrt(moments.scatter / moments.weight))
    is_constant = scale <= 1e-14 * max(abs(moments.low), abs(moments.high))
    return Linear(moments.origin + moments.shift, 1.0 if is_constant else scale, n_levels)


def normal_scores(ranks: Ranks) -> NormalScores:
    """Ranks are those of the middle of equal values."""
    [(values, mass)] = ranks.joined.pieces
    total, ends = mass.sum(), np.cumsum(mass)
    scores = ndtri((ends - mass / 2) / total)
    is_atom = mass > ATOM_SHARE * total
    lower, upper = ndtri((ends - mass)[is_atom] / total), ndtri(np.minimum(ends[is_atom] / total, 1.0))
    kept = np.ones(len(values), dtype=bool)
    if len(values) > MOST_KNOTS:  # enough of them, evenly over the scores
        wanted = np.linspace(scores[0], scores[-1], MOST_KNOTS)
        kept = is_atom.copy()
        kept[np.searchsorted(scores, wanted).clip(0, len(scores) - 1)] = True
    return NormalScores(values[kept], scores[kept], np.flatnonzero(is_atom[kept]), lower, upper)


def cells(counts: np.ndarray) -> Cells:
    """From the weights of the levels."""
    cuts = ndtri(np.concatenate([[0.0], np.cumsum(_shares(counts))[:-1], [1.0]]))
    return Cells(cuts)


def dummies(counts: np.ndarray) -> Dummies:
    """From the weights of the levels."""
    return Dummies(_shares(counts))


def _shares(counts: np.ndarray) -> np.ndarray:
    """Of the levels; one that does not occur counts as half a row."""
    counts = np.where(counts > 0, counts, min(0.5, 0.01 * counts.sum()))
    shares: np.ndarray = counts / counts.sum()
    return shares


class Scaling(NamedTuple):
    """How the scale of a column is made: what is tallied of its known codes, and what is made of the sum."""

    tally: Tally
    scale: Callable[[Any], Scale]


MakeScale = Callable[[Column], Scaling]


def exact_scale(column: Column) -> Scaling:
    """Each column as it is: numbers, numbers of levels, indicators."""
    n_levels = len(column.levels)
    if column.kind == "nominal":
        return Scaling(partial(level_weights, n_levels), dummies)
    return Scaling(moments, partial(linear, n_levels=n_levels))


def copula_scale(column: Column) -> Scaling:
    """Numbers by their ranks, levels as cells, but more than two unordered ones as indicators."""
    if column.is_numeric:
        return Scaling(ranks, normal_scores)
    n_levels = len(column.levels)
    has_order = column.kind == "ordinal" or n_levels <= 2
    return Scaling(partial(level_weights, n_levels), cells if has_order else dummies)


def mixture_scale(column: Column) -> Scaling:
    """Numbers as they are, levels as symbols: a Gaussian would collapse onto them."""
    if column.is_numeric:
        return Scaling(moments, linear)
    n_levels = len(column.levels)
    return Scaling(partial(level_weights, n_levels), lambda counts: Symbols(n_levels))
