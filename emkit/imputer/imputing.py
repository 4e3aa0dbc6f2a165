"""From a fitted table to completed cells: single values, draws, intervals, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import Column
from .layout import CellPrior
from .models import Table
from .prediction import Prediction
from .scales import Linear
from .tables import values

if TYPE_CHECKING:
    from .estimator import EMImputer

BLOCK_CELLS = 2_000_000  # rows, components and coordinates worked on at a time


def point(prediction: Prediction, j: int, column: Column, statistic: str) -> np.ndarray:
    """The code that stands for the distribution of a column, (n,)."""
    if column.kind == "nominal" or statistic == "mode" or (statistic == "auto" and not column.is_numeric):
        return prediction.mode(j)
    if statistic == "median":
        return prediction.quantile(j, 0.5)
    return prediction.expected(j)


def blocks(table: Table, incomplete: np.ndarray) -> Iterator[np.ndarray]:
    """The numbers of the rows that a mask (n,) marks, so many at a time that what is computed of them stays small."""
    rows = np.flatnonzero(incomplete)
    width = table.n_components * sum(max(scale.n_coordinates, 1) for scale in table.scales)
    step = max(BLOCK_CELLS // width, 1)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def by_cell(
    table: Table,
    codes: np.ndarray,
    function: Callable[[Prediction, int], np.ndarray],
    prior: CellPrior | None = None,
    known: float | None = None,
    with_spread: bool = True,
) -> np.ndarray:
    """``function(prediction, column)`` (n,) in the missing cells of codes (n, p); the codes, or `known`, elsewhere."""
    out = codes.copy() if known is None else np.where(np.isnan(codes), np.nan, known)
    for rows in blocks(table, np.isnan(codes).any(axis=1)):
        here = codes[rows]
        prediction = table.predict(here, taken(prior, rows), with_spread)
        for j in np.flatnonzero(np.isnan(here).any(axis=0)):
            missing = np.isnan(here[:, j])
            out[rows[missing], j] = function(prediction, int(j))[missing]
    return out


def category_proba(table: Table, codes: np.ndarray, j: int, n_levels: int) -> np.ndarray:
    """Probabilities of the levels of a column, (n, n_levels); 1 for a known one."""
    shares = (codes[:, [j]] == np.arange(n_levels)).astype(np.float64)
    for rows in blocks(table, np.isnan(codes[:, j])):
        shares[rows] = table.predict(codes[rows]).probabilities(j)
    return shares


def taken(prior: CellPrior | None, rows: np.ndarray) -> CellPrior | None:
    return None if prior is None else CellPrior(prior.mean[rows], prior.sd[rows])


def completed(
    estimator: EMImputer, codes: np.ndarray, prior: CellPrior | None, rng: np.random.Generator | None
) -> np.ndarray:
    """Codes (n, q) of the columns with a value, without a gap, within the bounds; `rng` for ``statistic="sample"``."""
    table, columns = estimator._state.table, estimator._kept_columns()
    if estimator.statistic == "sample":
        assert rng is not None
        return drawn(estimator, table, codes, prior, rng)

    def value(prediction: Prediction, j: int) -> np.ndarray:
        return point(prediction, j, columns[j], estimator.statistic)

    is_linear = all(isinstance(scale, Linear) and not scale.n_levels for scale in table.scales)
    needs_spread = not (is_linear and estimator.statistic in ("auto", "mean"))
    return within_bounds(estimator, by_cell(table, codes, value, prior, with_spread=needs_spread), codes)


def drawn(
    estimator: EMImputer, table: Table, codes: np.ndarray, prior: CellPrior | None, rng: np.random.Generator
) -> np.ndarray:
    """Codes with the missing ones drawn, within the bounds."""
    out = codes.copy()
    for rows in blocks(table, np.isnan(codes).any(axis=1)):
        out[rows] = table.draw(codes[rows], rng, taken(prior, rows))
    return within_bounds(estimator, out, codes)


def within_bounds(estimator: EMImputer, filled: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Filled cells of numeric columns moved to the nearest bound; what was known stays."""
    low, high = estimator._bounds()
    return np.where(np.isnan(codes), np.clip(filled, low, high), codes)


def all_columns(estimator: EMImputer, codes: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Codes of all columns (n, p); those without a value in training are `fill`."""
    state = estimator._state
    out = np.full((len(codes), len(state.columns)), fill)
    out[:, state.kept] = codes
    return out


def unconditional(estimator: EMImputer) -> np.ndarray:
    """What fills each column of a row of which nothing is known, (p,); NaN for a column without a value."""
    state = estimator._state
    nothing = np.full((1, int(state.kept.sum())), np.nan)
    statistic = "auto" if estimator.statistic == "sample" else estimator.statistic

    def value(prediction: Prediction, j: int) -> np.ndarray:
        return point(prediction, j, estimator._kept_columns()[j], statistic)

    filled = within_bounds(estimator, by_cell(state.table, nothing, value), nothing)
    fills: Any = values(all_columns(estimator, filled, np.nan), state.columns)
    return fills[0]
