"""Pictures of tables with missing cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_integer
from ..imputer.reading import read_further
from ..imputer.tables import read_training
from ._axes import axes_at, inches_of, move_to, one_axes, places_in
from ._estimators import not_of_display
from ._look import short

__all__ = ["MissingnessDisplay"]

OBSERVED, MISSING = "#dfe6ee", "#2b4c7e"
HIGHEST_BAR = 0.9  # inches, of the bars above the map
NARROW = 0.24  # inches: columns that leave no room for the numbers of their bars
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
        check_imputer(imputer)
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
        wide, high = inches_of(self.ax_)
        top = min(HIGHEST_BAR / high, 0.4)
        above, below = places_in(self.ax_, (top, 1 - top), (1.0, 0.3), wspace=0.02, hspace=0.0)
        move_to(self.ax_, below[0])
        self._has_room = wide / 1.3 / n_columns > NARROW
        self._plot_map(n_shown)
        self.ax_rows_ = self._plot_rows(axes_at(self.figure_, below[1]), n_shown)
        self.ax_columns_ = self._plot_columns(axes_at(self.figure_, above[0]))
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
        look["fontsize"] = "medium" if self._has_room else "x-small"
        self.ax_.set_xticks(places + 0.5, labels, **look)
        self.ax_.set_ylabel("patterns")
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)

    def _plot_rows(self, ax: Any, n_shown: int) -> Any:
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

    def _plot_columns(self, ax: Any) -> Any:
        from matplotlib.patches import Patch

        n_columns = len(self.missing_share_)
        bars = ax.bar(np.arange(n_columns) + 0.5, self.missing_share_, width=0.8, color=MISSING)
        if self._has_room:
            labels = [f"{share:.0%}" if share else "" for share in self.missing_share_]
            ax.bar_label(bars, labels, padding=2, fontsize="x-small")
        ax.set(xlim=(0, n_columns), ylim=(0, 1.4 * max(self.missing_share_.max(), 0.01)), xticks=[], yticks=[])
        ax.set_ylabel("share\nmissing", fontsize="small")
        ax.spines[["top", "right", "left"]].set_visible(False)
        handles = [Patch(color=MISSING, label="missing"), Patch(color=OBSERVED, label="observed")]
        look: dict[str, Any] = {"handlelength": 1, "handletextpad": 0.4, "borderaxespad": 0.2, "frameon": False}
        legend = ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(1, 0), fontsize="small", **look)
        legend.set_in_layout(False)  # it stands where there are no axes
        return ax


def check_imputer(imputer: Any) -> None:
    """An error for what is no fitted EMImputer."""
    check_is_fitted(imputer)
    if not hasattr(imputer, "predict_interval"):
        raise not_of_display("imputer", "an EMImputer", imputer)
