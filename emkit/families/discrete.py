"""Columns of symbols, independent given the component; and what families of other discrete columns share.

Independence makes a missing value easy: its factor is left out of the density, and its cell out of the statistics.

References
----------
.. [1] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
   Proc. IEEE 77(2), 257-286. The M-step is its equation (40c).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Integral
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.sparse import csr_array
from scipy.special import softmax

from .._validation import check_array, check_integer, check_number
from ..chunks import Rows
from ..description import Description
from ..engine import UnusableStartError
from ..executors import OneByOne, each, itself
from .base import Family, Options, log

T = TypeVar("T")

LEAST_LOG = -1e3  # of a probability in a vector; exp of it is zero
POOLED = 0.05  # share of a start's rows that all components have in common
MOST_SYMBOLS = 1_000_000
MANY_SYMBOLS = 32  # more are scattered over a cube of as many dimensions, not given one each
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class UnknownValueError(ValueError):
    """A value that a family does not know: what it is, where it stands, and what is allowed."""

    def __init__(self, value: float, row: int, column: int, allowed: str) -> None:
        super().__init__(value, row, column, allowed)
        self.value, self.row, self.column, self.allowed = value, row, column, allowed

    def __str__(self) -> str:
        return f"{self.cell}, but {self.allowed}"

    @property
    def cell(self) -> str:
        return f"X[{self.row}, {self.column}] is {self.value:.15g}"

    def at(self, row: int | None = None, column: int | None = None) -> UnknownValueError:
        """The same value, named by another row or column."""
        row, column = (self.row if row is None else row), (self.column if column is None else column)
        return UnknownValueError(self.value, row, column, self.allowed)


class CategoricalParams(NamedTuple):
    """Probabilities of the symbols of all columns, side by side: s in all."""

    probabilities: np.ndarray  # (k, s); those of each column sum to one
    log_table: np.ndarray  # (s + 1, k): their logs; the last row is that of a missing value, zero


class CategoricalMoments(NamedTuple):
    symbols: np.ndarray  # (k, s): weight of the rows with each symbol


@dataclass(frozen=True, eq=False)
class CategoricalFamily(Family):
    """Columns of symbols 0, 1, 2, ... with a probability for each symbol in each component.

    Attributes
    ----------
    n_components : int
    n_symbols : tuple of int
        Symbols of each column.
    concentration : float
        Of a Dirichlet prior, at least 1; adds ``concentration - 1`` rows with each symbol to the M-step.
    """

    n_components: int
    n_symbols: tuple[int, ...]
    concentration: float = 1.0

    names = ("emissionprob",)

    @classmethod
    def for_chunks(cls, n_components: int, options: Options, chunks: Iterable[Rows], described: Description) -> Self:
        """One pass tells the symbols of each column."""
        given = _given_symbols(options.n_symbols, described.n_features)
        concentration = _concentration(options)
        top = np.full(described.n_features, -1.0)
        for of_chunk in each(_largest, Checked(chunks, _check_numbered)):
            top = np.fmax(top, of_chunk)
        n_symbols = tuple(
            max(int(last) + 1, 1) if told is None else told for last, told in zip(top, given, strict=True)
        )
        family = cls(n_components, n_symbols, concentration)
        if (top >= n_symbols).any():
            check_all(chunks, family.check_rows)  # it says which row
        return family

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        tables = parts["emissionprob"]
        tables = [tables] if isinstance(tables, np.ndarray) and tables.ndim == 2 else tables
        return cls(n_components, tuple(np.shape(table)[1] for table in tables), _concentration(options))

    @property
    def n_features(self) -> int:
        return len(self.n_symbols)

    @cached_property
    def _offsets(self) -> np.ndarray:
        """Where the symbols of each column begin."""
        return np.cumsum((0, *self.n_symbols[:-1]))

    def check_rows(self, X: np.ndarray) -> None:
        for j, n in enumerate(self.n_symbols):
            allowed = f"its column has the {n} symbols 0 to {n - 1}" if n > 1 else "its column has the symbol 0 alone"
            hint = "; n_symbols with emissionprob_prior > 1 gives symbols that are not in the data a probability"
            column = X[:, j : j + 1]
            refuse(column, ~is_count(column) | (column >= n), f"{allowed} (NaN where missing){hint}", j)

    def params(self, probabilities: np.ndarray) -> CategoricalParams:
        """Parameters from probabilities (k, s)."""
        log_table = np.zeros((sum(self.n_symbols) + 1, self.n_components))
        log_table[:-1] = log(probabilities).T
        return CategoricalParams(probabilities, log_table)

    def log_density(self, params: CategoricalParams, rows: Rows) -> np.ndarray:
        if self.n_features == 1:
            return np.take(params.log_table, self._codes(rows)[:, 0], axis=0)
        return self._one_hot(self._codes(rows)) @ params.log_table

    def scaled_density(self, params: CategoricalParams, rows: Rows, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Densities over the largest of their row, (n, width) with zeros from column k on, and its log, (n,).

        A row that no component can have made is zero, and its log -inf. O(n k), a table look-up for one column.
        """
        if self.n_features == 1:
            scaled, top = _scaled(params.log_table, width)
            codes = self._codes(rows)[:, 0]
            return np.take(scaled, codes, axis=0), np.take(top, codes)
        return _scaled(self.log_density(params, rows), width)

    def _codes(self, rows: Rows) -> np.ndarray:
        """Row of the table that belongs to each cell, (n, d)."""
        codes = rows.X + self._offsets if self.n_features > 1 else rows.X
        if rows.has_missing:
            codes = np.where(np.isnan(codes), sum(self.n_symbols), codes)
        return codes.astype(np.intp)

    def _one_hot(self, codes: np.ndarray) -> csr_array:
        """(n, s + 1) with a one for each cell, so that a product with it looks up and adds."""
        n, d = codes.shape
        index = codes.astype(np.int32, copy=False).ravel()
        ends = np.arange(0, n * d + 1, d, dtype=np.int32)
        return csr_array((np.ones(n * d), index, ends), shape=(n, sum(self.n_symbols) + 1))

    def moments(self, params: CategoricalParams, rows: Rows, resp: np.ndarray) -> CategoricalMoments:
        return CategoricalMoments(self._symbol_counts(self._codes(rows), resp)[:-1].T)

    def _symbol_counts(self, codes: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """(s + 1, k), missing cells in the last row."""
        n, k = resp.shape
        width = resp.strides[0] // resp.itemsize
        if n > 1 and k < width <= 2 * k and resp.strides[1] == resp.itemsize:
            # The columns between are taken along, which costs less than a copy without them; the last row has none,
            # since the memory may end with it.
            counts = self._symbol_counts(codes[:-1], as_strided(resp, (n - 1, width), writeable=False))[:, :k]
            counts[codes[-1]] += resp[-1]  # of several missing cells one is added, but none is needed
            return counts
        return self._one_hot(codes).T @ resp

    def m_step(
        self, moments: Sequence[Any], params: CategoricalParams, fixed: frozenset[str] = frozenset()
    ) -> CategoricalParams:
        """Share of each symbol in its column ([1]_, equation 40c), prior included."""
        if "emissionprob" in fixed:
            return params
        (symbols,) = moments
        probabilities = params.probabilities.copy()
        for counts, now in zip(self._by_column(symbols), self._by_column(probabilities), strict=True):
            known = counts.sum(axis=1) > 0
            counts = counts[known] + (self.concentration - 1)
            now[known] = counts / counts.sum(axis=1, keepdims=True)
        return self.params(probabilities)

    def with_prior_of(self, factor: float) -> CategoricalFamily:
        return replace(self, concentration=1 + (self.concentration - 1) * factor)

    def start(self, rows: Rows, resp: np.ndarray) -> CategoricalParams:
        even = np.concatenate([np.full((self.n_components, n), 1 / n) for n in self.n_symbols], axis=1)
        nothing_known = self.params(even)
        return self.m_step(self.moments(nothing_known, rows, blended(resp)), nothing_known)

    def _by_column(self, table: np.ndarray) -> list[np.ndarray]:
        """Views (..., m) of a table (..., s), one for each column."""
        return np.split(table, self._offsets[1:], axis=-1)

    def parts(self, params: CategoricalParams) -> dict[str, Any]:
        tables = self._by_column(params.probabilities)
        return {"emissionprob": tables[0] if len(tables) == 1 else [table.copy() for table in tables]}

    def from_parts(self, parts: dict[str, Any]) -> CategoricalParams:
        tables = parts["emissionprob"]
        return self.params(np.array(tables if self.n_features == 1 else np.concatenate(tables, axis=1)))

    def check_part(self, name: str, value: Any) -> Any:
        if name != "emissionprob":
            return super().check_part(name, value)
        if self.n_features == 1:
            return self._check_table("emissionprob_init", value, self.n_symbols[0])
        if not isinstance(value, Sequence) or len(value) != self.n_features:
            raise ValueError(f"emissionprob_init must be a list of {self.n_features} arrays, one for each column of X")
        return [
            self._check_table(f"emissionprob_init[{j}]", table, n)
            for j, (table, n) in enumerate(zip(value, self.n_symbols, strict=True))
        ]

    def _check_table(self, name: str, value: Any, n: int) -> np.ndarray:
        table = check_array(name, value, (self.n_components, n), "emissionprob")
        if (table < 0).any() or not np.allclose(table.sum(axis=1), 1):
            raise ValueError(f"{name} must have rows of probabilities that sum to one, but got {value!r}")
        return table / table.sum(axis=1, keepdims=True)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return 0 if "emissionprob" in fixed else self.n_components * (sum(self.n_symbols) - self.n_features)

    def log_prior(self, params: CategoricalParams) -> float:
        if self.concentration == 1:
            return 0.0
        return (self.concentration - 1) * float(params.log_table.sum())

    def sample(self, params: CategoricalParams, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        X = np.empty((len(components), self.n_features))
        cumulative = [np.cumsum(table, axis=1) for table in self._by_column(params.probabilities)]
        chance = rng.random(X.shape)
        for c in np.unique(components):
            drawn = components == c
            for j, table in enumerate(cumulative):
                X[drawn, j] = np.searchsorted(table[c] / table[c, -1], chance[drawn, j], side="right")
        return X

    def mean(self, params: CategoricalParams) -> np.ndarray:
        """Of the symbols' numbers."""
        return np.stack([table @ np.arange(table.shape[1]) for table in self._by_column(params.probabilities)], axis=1)

    def variance(self, params: CategoricalParams) -> np.ndarray:
        """Of the symbols' numbers."""
        tables, means = self._by_column(params.probabilities), self.mean(params)
        columns = [
            (table * (np.arange(table.shape[1]) - mean[:, None]) ** 2).sum(axis=1)
            for table, mean in zip(tables, means.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def symbol_tables(self, params: CategoricalParams) -> list[np.ndarray]:
        return self._by_column(params.probabilities)

    def features(self, X: np.ndarray) -> np.ndarray:
        """A column for each symbol, so that two symbols of a column lie 1 apart; about so where there are many."""
        columns = []
        for column, n in zip(np.split(X, self.n_features, axis=1), self.n_symbols, strict=True):
            if n <= MANY_SYMBOLS:
                columns.append(np.where(np.isnan(column), np.nan, column == np.arange(n)) * np.sqrt(0.5))
            else:
                columns.append(_scattered(column))
        return np.concatenate(columns, axis=1)

    def to_vector(self, params: CategoricalParams, fixed: frozenset[str] = frozenset()) -> np.ndarray:
        return np.empty(0) if "emissionprob" in fixed else np.maximum(log(params.probabilities), LEAST_LOG).ravel()

    def from_vector(
        self, vector: np.ndarray, params: CategoricalParams, fixed: frozenset[str] = frozenset()
    ) -> CategoricalParams:
        if "emissionprob" in fixed:
            return params
        check_finite(vector)
        tables = self._by_column(vector.reshape(params.probabilities.shape))
        return self.params(np.concatenate([softmax(logs, axis=1) for logs in tables], axis=1))


def _given_symbols(n_symbols: Any, n_columns: int) -> list[int | None]:
    """The numbers of symbols that the user gave for each column; None is what the data have."""
    if n_symbols is None or isinstance(n_symbols, Integral):
        n_symbols = [n_symbols] * n_columns
    elif not isinstance(n_symbols, Sequence | np.ndarray) or isinstance(n_symbols, str):
        raise ValueError(f"n_symbols must be an integer, one for each column, or None, but got {n_symbols!r}")
    if len(n_symbols) != n_columns:
        raise ValueError(f"n_symbols has {len(n_symbols)} numbers, but X has {n_columns} columns")
    return [None if n is None else check_integer("n_symbols", n, 1) for n in n_symbols]


def _concentration(options: Options) -> float:
    return check_number("emissionprob_prior", options.emissionprob_prior, 1.0)


def _scaled(log_density: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """exp(log_density - log_scale) with columns of zeros up to `width`; and log_scale, the row's maximum."""
    log_scale = log_density.max(axis=1)
    out = np.zeros((len(log_density), width))
    inner = out[:, : log_density.shape[1]]
    np.subtract(log_density, np.where(log_scale > -np.inf, log_scale, 0)[:, None], out=inner)
    np.exp(inner, out=inner)
    np.maximum(inner, 1e-300, out=inner, where=log_density > -np.inf)  # zero means impossible
    return out, log_scale


def _scattered(column: np.ndarray) -> np.ndarray:
    """Symbols (n, 1) as points of a cube that hang on the symbol alone; the mean square of a distance is 1."""
    mixed = np.nan_to_num(column).astype(np.uint64) + np.arange(1, MANY_SYMBOLS + 1, dtype=np.uint64) * GOLDEN
    for shift in (30, 27, 31):  # bits of each number to all places, as generators of random numbers do
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * GOLDEN
    points = (mixed >> np.uint64(11)) * 2.0**-53 * np.sqrt(6 / MANY_SYMBOLS)
    return np.where(np.isnan(column), np.nan, points)


def _check_numbered(X: np.ndarray) -> None:
    check_counts(X, "symbols must be the integers 0, 1, 2, ...")
    refuse(X, MOST_SYMBOLS <= X, "symbols must be numbered 0, 1, 2, ... without gaps (see OrdinalEncoder)")


def check_counts(X: np.ndarray, allowed: str, highest: float = np.inf) -> None:
    """UnknownValueError for a cell that is none of 0, 1, 2, ... up to `highest`; first for one that is negative."""
    allowed = f"{allowed} (or NaN where missing)"
    refuse(X, X < 0, allowed)
    refuse(X, ~is_count(X) | (highest < X), allowed)


class Checked(OneByOne):
    """Chunks after a check of their X, whose complaint names the row among those of all chunks; elsewhere if they are.

    `kept` says where these stood in what the user passed, None if all are left.
    """

    def __init__(
        self, chunks: Iterable[Rows], check: Callable[[np.ndarray], None], kept: np.ndarray | None = None
    ) -> None:
        self._chunks, self._check, self._kept = chunks, check, kept

    def __iter__(self) -> Iterator[Rows]:
        return self.each(itself)

    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]:
        """See `emkit.executors.Elsewhere`."""
        start = 0
        for outcome in each(partial(_outcome, self._check, function), self._chunks, *aligned):
            if outcome.error is not None:
                raise outcome.error.at(row=passed(start + outcome.error.row, self._kept))
            start += outcome.n_rows
            yield outcome.value


class _Outcome(NamedTuple):
    """Of a chunk: its number of rows, and what a function gave, or what is wrong."""

    n_rows: int
    value: Any = None
    error: UnknownValueError | None = None


def _outcome(check: Callable[[np.ndarray], None], function: Callable[..., Any], rows: Rows, *values: Any) -> _Outcome:
    try:
        check(rows.X)
    except UnknownValueError as error:  # told, not raised: what rows were before is not known here
        return _Outcome(len(rows), error=error)
    return _Outcome(len(rows), function(rows, *values))


def check_all(chunks: Iterable[Rows], check: Callable[[np.ndarray], None]) -> None:
    """One pass that gives nothing but a complaint."""
    deque(each(len, Checked(chunks, check)), maxlen=0)


def _largest(rows: Rows) -> np.ndarray:
    """Of each column, (d,)."""
    largest: np.ndarray = np.fmax.reduce(rows.X, axis=0)
    return largest


def passed(row: int, kept: Any) -> int:
    """Where a row stood in what the user passed."""
    return row if kept is None else int(kept[row])


def is_count(X: np.ndarray) -> np.ndarray:
    """Which cells are 0, 1, 2, ... or missing."""
    return np.isnan(X) | ((X >= 0) & (np.floor(X) == X) & np.isfinite(X))


def refuse(X: np.ndarray, bad: np.ndarray, allowed: str, column: int = 0) -> None:
    """UnknownValueError for the first of the bad cells, if any; `column` is the number of X's first."""
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise UnknownValueError(float(X[i, j]), int(i), int(j) + column, allowed)


def blended(resp: np.ndarray) -> np.ndarray:
    """Responsibilities with a share of all rows in each component: EM never leaves a probability of zero."""
    return (1 - POOLED) * resp + POOLED * resp.mean(axis=1, keepdims=True)


def check_finite(vector: np.ndarray) -> None:
    if not np.isfinite(vector).all():
        raise UnusableStartError("parameters have become infinite")
