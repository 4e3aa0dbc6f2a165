"""Where the usual values of a column end; for what far rows must not decide, as units of a floor and seeds of a start.

References
----------
.. [1] Tukey, J. W. (1977). Exploratory Data Analysis. Addison-Wesley. Chapter 2: a value beyond the outer fences, three
   times the distance of the quartiles outside them, is far out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from .chunks import Rows, joined
from .description import Description
from .executors import Changed
from .seeding import ALL_ROWS, draw_units

OUTER = 3.0  # times the distance of the quartiles


def outer_fences(X: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The outer fences ([1]_) of each column of rows (n, d) of weights (n,); (2, d).

    Infinite for a column whose quartiles are equal, or that has no value.
    """
    fences = np.tile([[-np.inf], [np.inf]], X.shape[1])
    for column, ends in zip(X.T, fences.T, strict=True):
        seen = ~np.isnan(column)
        if not seen.any():
            continue
        order = np.argsort(column[seen])
        share = np.cumsum(weight[seen][order], dtype=np.float64)
        quarters = np.array([0.25, 0.75]) * share[-1]
        rounding = 1e-9 * share[-1]  # must not decide whether the row that completes a quarter is in it
        first, third = column[seen][order][np.searchsorted(share, quarters - rounding)]
        if third > first:
            reach = OUTER * (float(third) - float(first))
            ends[:] = first - reach, third + reach
    return fences


def fences_of(chunks: Iterable[Rows], described: Description) -> np.ndarray:
    """The outer fences (2, d) of rows that are read chunk by chunk; of some of them if these are many."""
    some = chunks
    if described.n_rows >= ALL_ROWS:
        some = draw_units(chunks, described.weight, ALL_ROWS, np.random.default_rng(0))
    rows = joined(some)
    return outer_fences(rows.X, rows.weight)


def within(chunks: Iterable[Rows], fences: np.ndarray) -> Iterable[Rows]:
    """The rows, with values beyond the fences moved to them."""
    return Changed(partial(_clipped, fences), chunks)


def _clipped(fences: np.ndarray, rows: Rows) -> Rows:
    return Rows(np.clip(rows.X, *fences.astype(rows.X.dtype)), rows.weight)
