"""Pictures of how well an imputer foretells the cells that are there.

References
----------
.. [1] Honaker, J., King, G. and Blackwell, M. (2011). Amelia II: a program for missing data. J. Stat. Softw. 45(7).
   Overimputation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, check_random_state

from .._validation import check_integer
from ..imputer.columns import is_nan
from ..imputer.reading import column_place, read_further
from ._axes import bare, one_axes
from ._look import plain
from .imputation import check_imputer

__all__ = ["OverimputationDisplay"]


class OverimputationDisplay:
    """Cells of a numeric column that are known, as an imputer foretells them from the rest of their rows.

    Each is hidden in turn, and the filled value is drawn over the true one with a prediction interval [1]_. Points near
    the diagonal are foretold well; if the model is right, as many intervals cross it as their level says. Use
    :meth:`from_estimator` to make one.

    Parameters
    ----------
    observed : ndarray of shape (n_cells,)
        Values of the cells.
    predicted : ndarray of shape (n_cells,)
        What the imputer fills in.
    lower, upper : ndarray of shape (n_cells,)
        Ends of the intervals.
    missing_share : ndarray of shape (n_cells,)
        Share of the other cells of the row that are missing.
    level : float
        Level of the intervals.
    feature_name : str
        Name of the column.

    Attributes
    ----------
    coverage_ : float
        Share of the cells inside their intervals.
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Notes
    -----
    A cell is hidden from its row, not from the fit: the parameters have seen it. With many rows for each parameter this
    makes no difference.

    References
    ----------
    .. [1] Honaker, J., King, G. and Blackwell, M. (2011). Amelia II: a program for missing data. J. Stat. Softw. 45(7).
       Overimputation.

    Examples
    --------
    >>> from emkit import EMImputer
    >>> from emkit.datasets import load_acs12
    >>> from emkit.plot import OverimputationDisplay
    >>> people = load_acs12().frame
    >>> imputer = EMImputer().fit(people)
    >>> display = OverimputationDisplay.from_estimator(imputer, people, "hrs_work", max_cells=None)
    >>> 0.85 < display.coverage_ < 0.95
    True
    """

    def __init__(self, *, observed, predicted, lower, upper, missing_share, level, feature_name):
        self.observed = observed
        self.predicted = predicted
        self.lower = lower
        self.upper = upper
        self.missing_share = missing_share
        self.level = level
        self.feature_name = feature_name

    @classmethod
    def from_estimator(cls, imputer, X, column, *, level=0.9, max_cells=200, ax=None, random_state=None):
        """Hide the known cells of a column, fill them, and draw both.

        Parameters
        ----------
        imputer : EMImputer
            Fitted.
        X : frame or array-like of shape (n_samples, n_features)
            The table, with the columns of the training table.
        column : str or int
            Name of a numeric column, or its number.
        level : float, default=0.9
            Level of the intervals, above 0 and below 1.
        max_cells : int or None, default=200
            Cells at most, drawn at random if there are more; None takes all.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        random_state : int, RandomState instance or None, default=None
            Draws the cells.

        Returns
        -------
        display : OverimputationDisplay

        Raises
        ------
        ValueError
            If an argument is not as above, or the column is not numeric or has no observed cell.
        """
        check_imputer(imputer)
        table, codes = read_further(imputer, X)
        place = _numeric_place(imputer, column)
        rows = _some_rows(codes[:, place], max_cells, random_state, column)
        hidden = _hide(_safe_indexing(table, rows), place, imputer.missing_values)
        lower, upper = imputer.predict_interval(hidden, level)
        display = cls(
            observed=codes[rows, place],
            predicted=_filled_column(imputer, imputer.transform(hidden), place),
            lower=_filled_column(imputer, lower, place),
            upper=_filled_column(imputer, upper, place),
            missing_share=np.isnan(codes[rows]).sum(axis=1) / max(codes.shape[1] - 1, 1),
            level=level,
            feature_name=str(imputer._state.columns[place].name),
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : OverimputationDisplay
            This one, with the attributes of the class.
        """
        self.ax_ = one_axes(ax, (6.4, 4.8))
        self.figure_ = self.ax_.figure
        self.coverage_ = float(np.mean((self.lower <= self.observed) & (self.observed <= self.upper)))
        self._plot_intervals()
        self.ax_.scatter(self.observed, self.predicted, s=7, color="0.15", zorder=3, linewidths=0)
        self.ax_.axline((float(self.observed[0]), float(self.observed[0])), slope=1, color="0.5", lw=1, ls="--")
        name = plain(self.feature_name)
        self.ax_.set(xlabel=f"{name}, observed", ylabel=f"{name}, foretold")
        title = f"{self.coverage_:.1%} of {len(self.observed):,} cells inside their {self.level:.0%} intervals"
        self.ax_.set_title(title, fontsize="medium")
        self.ax_.locator_params(nbins=7)
        bare(self.ax_)
        return self

    def _plot_intervals(self) -> None:
        lines = self.ax_.vlines(self.observed, self.lower, self.upper, lw=1, alpha=0.6)
        top = float(self.missing_share.max())
        if top == 0:  # one colour says nothing
            return
        from matplotlib.ticker import PercentFormatter

        lines.set_array(self.missing_share)
        lines.set_clim(0, top)
        self.figure_.colorbar(lines, ax=self.ax_, label="rest of the row missing", format=PercentFormatter(1, 0))


def _numeric_place(imputer: Any, column: Any) -> int:
    state = imputer._state
    place = column_place(column, state.columns)
    if not state.columns[place].is_numeric:
        raise ValueError(f"column must be numeric, but {column!r} is {state.columns[place].kind}")
    if not state.kept[place]:
        raise ValueError(f"column must have had a value in fit, but {column!r} had none")
    return place


def _some_rows(codes: np.ndarray, max_cells: Any, random_state: Any, column: Any) -> np.ndarray:
    """Rows in which the column is observed, at most `max_cells` of them."""
    rows = np.flatnonzero(~np.isnan(codes))
    if not len(rows):
        raise ValueError(f"X must have observed cells in column {column!r}, but has none")
    if max_cells is None or len(rows) <= check_integer("max_cells", max_cells, 1):
        return rows
    return np.sort(check_random_state(random_state).choice(rows, max_cells, replace=False))


def _hide(table: Any, place: int, marker: Any) -> Any:
    """The table with nothing but missing cells in one column."""
    if isinstance(table, np.ndarray):
        return _hide_in_array(table, place, marker)
    name = table.columns[place]
    if not hasattr(table, "iloc"):
        import polars as pl

        value = pl.lit(None, dtype=table.dtypes[place]) if is_nan(marker) else pl.lit(marker)
        return table.with_columns(value.alias(name))
    import pandas as pd

    series = table.iloc[:, place]
    everywhere = np.ones(len(series), dtype=bool)
    hidden = series.mask(everywhere) if is_nan(marker) else series.mask(everywhere, marker)
    return pd.concat([table.iloc[:, :place], hidden, table.iloc[:, place + 1 :]], axis=1)


def _hide_in_array(table: np.ndarray, place: int, marker: Any) -> np.ndarray:
    has_room = table.dtype.kind in "fO" or not is_nan(marker)
    hidden = table.copy() if has_room else table.astype(np.float64)
    hidden[:, place] = marker
    return hidden


def _filled_column(imputer: Any, filled: Any, place: int) -> np.ndarray:
    """One column of the training table, by its number there, in what `transform` gave; float64."""
    return np.asarray(_safe_indexing(filled, int(imputer._columns_out()[:place].sum()), axis=1), dtype=np.float64)
