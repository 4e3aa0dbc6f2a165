"""Columns of counts (Poisson), or of yes and no (Bernoulli): families whose parameters are the columns' means.

Both densities are exp(x a(m) + b(m) + c(x)), so that all rows take one matrix product, and both M-steps are means.

References
----------
.. [1] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer. Section 9.3.3: mixtures of Bernoulli
   columns; the M-step is its equations (9.57) to (9.59), for Poisson columns too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import expit, gammaln, xlogy

from .._validation import check_array
from ..chunks import Rows
from ..description import Description
from .base import Family, Options
from .discrete import LEAST_LOG, blended, check_all, check_counts, check_finite, log, refuse

TINY = 1e-3  # ratio of a rate to a count, of which 1 + (ratio - 1) loses digits
LARGE = 1e6  # counts whose terms cancel too many digits
MOST_COUNTED = 1e100
MOST_DRAWN = 9e18  # an integer of 64 bits
LOG_FACTORIALS = gammaln(np.arange(1.0, 1025.0))  # of 0, 1, 2, ...


class ColumnMeans(NamedTuple):
    means: np.ndarray  # (k, d)


class CellSums(NamedTuple):
    """Sums over the cells that have a value; they add."""

    counts: np.ndarray  # (k, d): weight of the cells
    sums: np.ndarray  # (k, d)


class Slopes(NamedTuple):
    """log p(x; m) = x slope + constant + a term without m; and where the mean rules a value out."""

    slope: np.ndarray  # (k, d), finite
    constant: np.ndarray  # (k, d), finite
    only_zero: np.ndarray  # (k, d): x > 0 is impossible
    only_one: np.ndarray  # (k, d): x = 0 is impossible


@dataclass(frozen=True, eq=False)
class _MeansFamily(Family):
    """Columns that are independent given the component, each with one parameter: its mean."""

    n_components: int
    n_columns: int

    allowed: ClassVar[str]  # what is said of other values
    highest: ClassVar[float]  # of values and means

    @classmethod
    def for_chunks(cls, n_components: int, options: Options, chunks: Iterable[Rows], described: Description) -> Self:
        family = cls(n_components, described.n_features)
        check_all(chunks, family.check_rows)
        return family

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        return cls(n_components, parts[cls.names[0]].shape[1])

    @abstractmethod
    def _slopes(self, means: np.ndarray) -> Slopes: ...

    def _base(self, X: np.ndarray) -> np.ndarray | None:
        """Log density's term without the mean, summed over the columns (n,); None if it is zero."""
        return None

    @property
    def n_features(self) -> int:
        return self.n_columns

    def check_rows(self, X: np.ndarray) -> None:
        check_counts(X, self.allowed, self.highest)

    def log_density(self, params: ColumnMeans, rows: Rows) -> np.ndarray:
        X = _contiguous(rows)
        if self.n_columns == 1 and (largest := int(np.fmax.reduce(X[:, 0], initial=0))) < len(X):
            values = np.arange(largest + 1.0)[:, None]  # each once; then a table look-up
            table = np.vstack([self._log_density(params.means, values, None), np.zeros(self.n_components)])
            cells = np.where(np.isnan(X[:, 0]), len(values), X[:, 0]) if rows.has_missing else X[:, 0]
            return np.take(table, cells.astype(np.intp), axis=0)
        if rows.has_missing:
            seen = ~np.isnan(X)
            return self._log_density(params.means, np.where(seen, X, 0), seen.astype(np.float64))
        return self._log_density(params.means, X, None)

    def _log_density(self, means: np.ndarray, X: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
        """Of X with zeros for missing values; `seen` (n, d) is 0 there, and None if there are none."""
        slope, constant, only_zero, only_one = self._slopes(means)
        out = X @ slope.T
        out += constant.sum(axis=1) if seen is None else seen @ constant.T
        base = self._base(X)
        if base is not None:
            out += base[:, None]
        if only_zero.any() or only_one.any():
            zeros = (1 if seen is None else seen) - np.minimum(X, 1)
            out[X @ only_zero.T + zeros @ only_one.T > 0] = -np.inf
        return out

    def moments(self, params: ColumnMeans, rows: Rows, resp: np.ndarray) -> CellSums:
        if rows.has_missing:
            seen = ~np.isnan(rows.X)
            return CellSums(resp.T @ seen, resp.T @ np.where(seen, rows.X, 0))
        counts = np.ones(len(resp)) @ resp
        return CellSums(np.repeat(counts[:, None], self.n_columns, axis=1), resp.T @ _contiguous(rows))

    def m_step(self, moments: Sequence[Any], params: ColumnMeans, fixed: frozenset[str] = frozenset()) -> ColumnMeans:
        """Means of the cells ([1]_, equation 9.59)."""
        if self.names[0] in fixed:
            return params
        counts, sums = moments
        means = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), params.means)
        return ColumnMeans(np.clip(means, 0, self.highest))  # rounding may give a share above 1

    def start(self, rows: Rows, resp: np.ndarray) -> ColumnMeans:
        middle = ColumnMeans(np.full((self.n_components, self.n_columns), 0.5))  # of a column without a value
        return self.m_step(self.moments(middle, rows, blended(resp)), middle)

    def parts(self, params: ColumnMeans) -> dict[str, Any]:
        return {self.names[0]: params.means}

    def from_parts(self, parts: dict[str, Any]) -> ColumnMeans:
        return ColumnMeans(np.asarray(parts[self.names[0]], np.float64))

    def check_part(self, name: str, value: Any) -> Any:
        if name not in self.names:
            return super().check_part(name, value)
        means = check_array(f"{name}_init", value, (self.n_components, self.n_columns), name)
        if ((means < 0) | (means > self.highest)).any():
            raise ValueError(f"{name}_init must lie between 0 and {self.highest}, but got {value!r}")
        return means

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return 0 if self.names[0] in fixed else self.n_components * self.n_columns

    def mean(self, params: ColumnMeans) -> np.ndarray:
        return params.means

    @abstractmethod
    def _link(self, means: np.ndarray) -> np.ndarray:
        """Means as unconstrained numbers; those of the bounds are infinite."""

    @abstractmethod
    def _inverse_link(self, numbers: np.ndarray) -> np.ndarray: ...

    def to_vector(self, params: ColumnMeans, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        if self.names[0] in fixed:
            return np.empty(0)
        return np.clip(self._link(params.means), LEAST_LOG, -LEAST_LOG).ravel()

    def from_vector(self, vector: np.ndarray, params: ColumnMeans, fixed: frozenset[str] = frozenset()) -> ColumnMeans:
        if self.names[0] in fixed:
            return params
        with np.errstate(over="ignore"):
            means = self._inverse_link(vector.reshape(params.means.shape))
        check_finite(means)
        return ColumnMeans(means)


def _contiguous(rows: Rows) -> np.ndarray:
    """The values: products of others are rounded otherwise by NumPy 1, which multiplies them without BLAS."""
    return np.ascontiguousarray(rows.X)


class PoissonFamily(_MeansFamily):
    """Columns of counts with a rate in each component. A rate of zero allows zero alone."""

    names = ("rates",)
    allowed = "counts must be the integers 0, 1, 2, ..."
    highest = np.inf

    def check_rows(self, X: np.ndarray) -> None:
        super().check_rows(X)
        refuse(X, X > MOST_COUNTED, f"counts must be at most {MOST_COUNTED:g}, so that no product overflows")

    def _slopes(self, means: np.ndarray) -> Slopes:
        zero = means == 0
        return Slopes(np.log(np.where(zero, 1, means)), -means, zero, np.zeros_like(zero))

    def _base(self, X: np.ndarray) -> np.ndarray | None:
        known = X.size and X.max() < len(LOG_FACTORIALS)
        terms = np.take(LOG_FACTORIALS, X.astype(np.intp)) if known else gammaln(X + 1)
        return terms @ np.full(self.n_columns, -1.0)

    def _log_density(self, means: np.ndarray, X: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
        """Terms of large counts cancel, so they are taken about m = x: x (log(1 + u) - u) + rest, u = m / x - 1."""
        if not X.size or X.max() < LARGE:
            return super()._log_density(means, X, seen)
        rest = np.where(X < LARGE, xlogy(X, X) - X - gammaln(X + 1), _stirling(np.maximum(X, 1)))
        out = np.empty((len(X), len(means)))
        for c, m in enumerate(means):
            ratio = m / np.maximum(X, 1)
            u = ratio - 1
            with np.errstate(divide="ignore", invalid="ignore"):  # of a rate of zero, where the other value is taken
                log_ratio = np.where(ratio < TINY, np.log(m) - np.log(X), np.log1p(u))  # 1 + u has no digits of it
                cells = np.where(X > 0, X * (log_ratio - u) + rest, -m)
            out[:, c] = (cells if seen is None else seen * cells).sum(axis=1)
        return out

    def rounding(self, params: ColumnMeans) -> float:
        """Of large counts, terms far greater than their sum cancel."""
        largest = float(params.means.max())
        return super().rounding(params) + float(np.finfo(np.float64).eps) * largest * abs(np.log(max(largest, 1.0)))

    def sample(self, params: ColumnMeans, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.poisson(np.minimum(params.means[components], MOST_DRAWN)).astype(np.float64)

    def variance(self, params: ColumnMeans) -> np.ndarray:
        return params.means

    def features(self, X: np.ndarray) -> np.ndarray:
        """Square roots, whose variance hardly depends on the rate."""
        return np.sqrt(X)

    def _link(self, means: np.ndarray) -> np.ndarray:
        return log(means)

    def _inverse_link(self, numbers: np.ndarray) -> np.ndarray:
        return np.exp(numbers)


def _stirling(x: np.ndarray) -> np.ndarray:
    """x log x - x - log x! for large x."""
    return -0.5 * np.log(2 * np.pi * x) - 1 / (12 * x)


class BernoulliFamily(_MeansFamily):
    """Columns of 0 and 1 with a probability of 1 in each component, which may be 0 or 1 itself."""

    names = ("emissionprob",)
    allowed = "values must be 0 or 1"
    highest = 1

    def _slopes(self, means: np.ndarray) -> Slopes:
        never, always = means == 0, means == 1
        inside = np.where(never | always, 0.5, means)
        constant = np.log1p(-inside)
        slope = np.log(inside) - constant
        certain = never | always
        return Slopes(np.where(certain, 0, slope), np.where(certain, 0, constant), never, always)

    def sample(self, params: ColumnMeans, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (rng.random((len(components), self.n_columns)) < params.means[components]).astype(np.float64)

    def variance(self, params: ColumnMeans) -> np.ndarray:
        return params.means * (1 - params.means)

    def _link(self, means: np.ndarray) -> np.ndarray:
        return log(means) - log(1 - means)

    def _inverse_link(self, numbers: np.ndarray) -> np.ndarray:
        return expit(numbers)
