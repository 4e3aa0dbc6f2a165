"""Pictures of tables with missing cells, and of how well an imputer foretells the cells that are there.

References
----------
.. [1] Honaker, J., King, G. and Blackwell, M. (2011). Amelia II: a program for missing data. J. Stat. Softw. 45(7).
   Overimputation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_integer
from ..imputer.columns import is_nan
from ..imputer.reading import column_place, read_further
from ..imputer.tables import read_training
from ._axes import bare, one_axes
from ._look import plain, short

__all__ = ["MissingnessDisplay", "OverimputationDisplay"]

OBSERVED, MISSING = "#dfe6ee", "#2b4c7e"
MOST_LINED = 60  # columns up to which cells are told apart by white lines


class MissingnessDisplay:
    """Which cells are missing together: the distinct patterns of missing cells, the most frequent at the top.

    Bars at the right count the rows of each pattern, bars above have the share of each column that is missing. Use
    :meth:`from_estimator` or :meth:`from_table` to make one.

    Parameters
    ----------
    patterns : ndarray of bool of shape (n_patterns, n_features)
        True where a cell is missing.
    counts : ndarray of shape (n_patterns,)
        Rows of each pattern, in falling order.
    feature_names : sequence of str
        Names of the columns.
    max_patterns : int, default=20
        Patterns that are drawn, from the most frequent on.

    Attributes
    ----------
    missing_share_ : ndarray of shape (n_features,)
        Share of the rows in which each column is missing, over all patterns.
    ax_ : matplotlib Axes
        The map.
    ax_rows_ : matplotlib Axes
        The bars at its right.
    ax_columns_ : matplotlib Axes
        The bars above it.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit.datasets import load_acs12
    >>> from emkit.plot import MissingnessDisplay
    >>> display = MissingnessDisplay.from_table(load_acs12().frame)
    >>> display.counts.tolist()
    [783, 646, 272, 176, 58, 47, 18]
    """

    def __init__(self, *, patterns, counts, feature_names, max_patterns=20):
        self.patterns = patterns
        self.counts = counts
        self.feature_names = feature_names
        self.max_patterns = max_patterns

    @classmethod
    def from_estimator(cls, imputer, X, *, max_patterns=20, ax=None):
        """Draw what is missing of a table for a fitted imputer.

        Parameters
        ----------
        imputer : EMImputer
            Fitted; it says what stands for a missing cell.
        X : frame or array-like of shape (n_samples, n_features)
            The table.
        max_patterns : int, default=20
            Patterns that are drawn, at least 1.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MissingnessDisplay

        Raises
        ------
        ValueError
            If an argument is not as above.
        """
        _check_imputer(imputer)
        _, codes = read_further(imputer, X)
        return cls._of_codes(codes, [column.name for column in imputer._state.columns], max_patterns).plot(ax=ax)

    @classmethod
    def from_table(cls, X, *, missing_values=np.nan, max_patterns=20, ax=None):
        """Draw what is missing of a table.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            The table; a pandas or polars frame, or an array.
        missing_values : object, default=nan
            What stands for a missing cell. With the default also None, pandas' NA and null.
        max_patterns : int, default=20
            Patterns that are drawn, at least 1.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MissingnessDisplay

        Raises
        ------
        ValueError
            If an argument is not as above.
        """
        columns, codes = read_training(X, missing_values=missing_values)
        if not codes.size:
            raise ValueError(f"X must have rows and columns, but its shape is {codes.shape}")
        return cls._of_codes(codes, [column.name for column in columns], max_patterns).plot(ax=ax)

    @classmethod
    def _of_codes(cls, codes, names, max_patterns):
        patterns, counts = np.unique(np.isnan(codes), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return cls(
            patterns=patterns[order],
            counts=counts[order],
            feature_names=[str(name) for name in names],
            max_patterns=max_patterns,
        )

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MissingnessDisplay
            This one, with the attributes of the class.
        """
        n_shown = min(check_integer("max_patterns", self.max_patterns, 1), len(self.counts))
        n_columns = self.patterns.shape[1]
        size = (3.2 + 0.32 * min(n_columns, 30), 2.4 + 0.26 * n_shown)
        self.ax_ = one_axes(ax, size)
        self.figure_ = self.ax_.figure
        self.missing_share_ = self.counts @ self.patterns / self.counts.sum()
        self._plot_map(n_shown)
        self.ax_rows_ = self._plot_rows(n_shown)
        self.ax_columns_ = self._plot_columns()
        return self

    def _plot_map(self, n_shown: int) -> None:
        from matplotlib.colors import ListedColormap

        n_columns = self.patterns.shape[1]
        lines = {"edgecolors": "white", "linewidth": 1.0} if n_columns <= MOST_LINED else {}
        colours = ListedColormap([OBSERVED, MISSING])
        self.ax_.pcolormesh(self.patterns[:n_shown].astype(float), cmap=colours, vmin=0, vmax=1, **lines)
        self.ax_.set(xlim=(0, n_columns), ylim=(n_shown, 0), yticks=[])
        step = -(-n_columns // MOST_LINED)
        places = np.arange(0, n_columns, step)
        labels = [short(self.feature_names[place]) for place in places]
        look: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "parse_math": False}
        self.ax_.set_xticks(places + 0.5, labels, **look)
        self.ax_.set_ylabel("patterns")
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)

    def _plot_rows(self, n_shown: int) -> Any:
        ax = self.ax_.inset_axes((1.02, 0, 0.3, 1))
        bars = ax.barh(np.arange(n_shown) + 0.5, self.counts[:n_shown], height=0.8, color="0.6")
        ax.bar_label(bars, [f"{count:,}" for count in self.counts[:n_shown]], padding=3, fontsize="small")
        ax.set(ylim=(n_shown, 0), xlim=(0, 1.5 * self.counts[0]), xticks=[], yticks=[])
        ax.set_xlabel(self._rows_label(n_shown), fontsize="small", loc="left")
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        return ax

    def _rows_label(self, n_shown: int) -> str:
        if n_shown == len(self.counts):
            return "rows"
        share = self.counts[:n_shown].sum() / self.counts.sum()
        return f"rows ({share:.0%} of all;\n{len(self.counts) - n_shown} patterns not shown)"

    def _plot_columns(self) -> Any:
        from matplotlib.patches import Patch

        ax = self.ax_.inset_axes((0, 1.0, 1, 0.9 / self._height()))
        n_columns = len(self.missing_share_)
        bars = ax.bar(np.arange(n_columns) + 0.5, self.missing_share_, width=0.8, color=MISSING)
        if n_columns <= MOST_LINED // 2:
            labels = [f"{share:.0%}" if share else "" for share in self.missing_share_]
            ax.bar_label(bars, labels, padding=2, fontsize="x-small")
        ax.set(xlim=(0, n_columns), ylim=(0, 1.4 * max(self.missing_share_.max(), 0.01)), xticks=[], yticks=[])
        ax.set_ylabel("share\nmissing", fontsize="small")
        ax.spines[["top", "right", "left"]].set_visible(False)
        handles = [Patch(color=MISSING, label="missing"), Patch(color=OBSERVED, label="observed")]
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(1.0, 0), frameon=False, fontsize="small")
        return ax

    def _height(self) -> float:
        """Inches of the map, before the layout gives some of them to labels."""
        return self.figure_.get_figheight() * self.ax_.get_position().height


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
    >>> display = OverimputationDisplay.from_estimator(EMImputer().fit(people), people, "hrs_work", max_cells=None)
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
        _check_imputer(imputer)
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
        lines.set_array(self.missing_share)
        lines.set_clim(0, top)
        self.figure_.colorbar(lines, ax=self.ax_, label="rest of the row missing", format="{x:.0%}")


def _check_imputer(imputer: Any) -> None:
    """An error for what is no fitted EMImputer."""
    check_is_fitted(imputer)
    if not hasattr(imputer, "predict_interval"):
        raise ValueError(f"imputer must be an EMImputer, but got {imputer!r}")


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
