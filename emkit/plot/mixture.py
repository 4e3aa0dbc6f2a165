"""Pictures of mixtures: their rows and their components."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import _read, check_choice, check_integer, check_sample_weight
from ._axes import axes_at, bare, compact_legend, inches_of, one_axes, places_in
from ._columns import MOST_COLUMNS, names_of, places_of
from ._components import Components, components_of
from ._drawing import WHOLE, bin_edges, curve_places, draw_curves, draw_ellipses, draw_log_density
from ._look import MOST_LABELS, NEUTRAL, badge, colour, faded, line, marker, plain, short

__all__ = ["MixtureDisplay"]

KINDS = ("histogram", "ellipses", "density", "pairs")
FURTHEST = 0.3  # of the range of the rows: how far beyond it ellipses may widen the picture


class MixtureDisplay:
    """Rows of a mixture and its components, in one column, in two, or in each pair of several.

    Each row has the colour and the marker of its most probable component, and is the fainter the less sure that is.
    Rows of noise are grey crosses. Components are drawn in the chosen columns with all others integrated out, so what
    is drawn is the exact marginal; numbers stand at their means. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_columns)
        The rows in the chosen columns. A row that lacks a value (NaN) of a panel is left out there.
    labels : ndarray of shape (n_samples,), int
        Component of each row, -1 for noise.
    certainty : ndarray of shape (n_samples,)
        Probability of that component.
    weights : ndarray of shape (n_components,)
        Mixing weights; with noise their sum is less than 1.
    means : ndarray of shape (n_components, n_columns)
        Means in the chosen columns.
    covariances : ndarray of shape (n_components, n_columns, n_columns)
        Covariances; scale matrices if there are degrees of freedom.
    feature_names : sequence of str
        Names of the chosen columns.
    degrees_of_freedom : ndarray of shape (n_components,) or None, default=None
        Of t distributions; None for Gaussians.
    noise_weight : float, default=0.0
        Share of uniform noise.
    noise_range : ndarray of shape (2, n_columns) or None, default=None
        Least and largest value of the chosen columns for noise; None without noise.
    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the rows: they count in the bars, and are the areas of the markers.
    kind : {"histogram", "ellipses", "density", "pairs"} or None, default=None
        "histogram": bars of one column, with weight times density of each component, and the density of the mixture.
        "ellipses": two columns; within an ellipse lies a share of its component, one for each of `levels`. "density":
        two columns over the log density of the mixture. "pairs": "histogram" of each column and "ellipses" of each
        pair. None goes by the number of columns: one, two or more.
    levels : sequence of float, default=(0.5, 0.95)
        Shares of a component within its ellipses, between 0 and 1.
    max_rows : int, default=2000
        Markers in a panel at most; of more rows, as many are drawn at random, the same ones each time. Bars count all.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of them
        Where it was drawn; for "pairs" of shape (n_columns, n_columns), None above the diagonal.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit import EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit.plot import MixtureDisplay
    >>> X = load_old_faithful(as_frame=True).data
    >>> mixture = EMGaussianMixture(2, random_state=0).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X)
    >>> display.ax_.get_xlabel(), len(display.ax_.patches)
    ('eruptions', 4)
    """

    def __init__(
        self,
        *,
        rows,
        labels,
        certainty,
        weights,
        means,
        covariances,
        feature_names,
        degrees_of_freedom=None,
        noise_weight=0.0,
        noise_range=None,
        sample_weight=None,
        kind=None,
        levels=(0.5, 0.95),
        max_rows=2000,
    ):
        self.rows = rows
        self.labels = labels
        self.certainty = certainty
        self.weights = weights
        self.means = means
        self.covariances = covariances
        self.feature_names = feature_names
        self.degrees_of_freedom = degrees_of_freedom
        self.noise_weight = noise_weight
        self.noise_range = noise_range
        self.sample_weight = sample_weight
        self.kind = kind
        self.levels = levels
        self.max_rows = max_rows

    @classmethod
    def from_estimator(
        cls, mixture, X, *, columns=None, kind=None, levels=(0.5, 0.95), sample_weight=None, max_rows=2000, ax=None
    ):
        """Draw rows and components of a fitted mixture.

        Parameters
        ----------
        mixture : EMGaussianMixture or EMMixture
            Fitted, of Gaussians or t distributions, with or without noise. scikit-learn's mixtures will do.
        X : frame or array-like of shape (n_samples, n_features)
            Rows; NaN is a missing value.
        columns : str, int, sequence of them, or None, default=None
            Names or numbers of the columns to draw. None takes all, or of more than four the four whose variance lies
            most between the means.
        kind : {"histogram", "ellipses", "density", "pairs"} or None, default=None
            See the class.
        levels : sequence of float, default=(0.5, 0.95)
            See the class.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, as in `fit`.
        max_rows : int, default=2000
            See the class.
        ax : matplotlib Axes or None, default=None
            Where to draw; "pairs" divides its place. None makes a figure.

        Returns
        -------
        display : MixtureDisplay

        Raises
        ------
        ValueError
            If an argument is not as above, or the columns are not as many as `kind` needs.
        """
        check_is_fitted(mixture)
        components = components_of(mixture)
        values = np.asarray(_read(mixture, X, reset=False, min_rows=1), dtype=np.float64)
        names = names_of(X, mixture)
        places = places_of("columns", columns, names)
        if places is None:
            places = np.sort(np.argsort(-components.told_apart(), kind="stable")[:MOST_COLUMNS]).tolist()
        labels = _labels(mixture, X)
        display = cls(
            rows=values[:, places],
            labels=labels,
            certainty=_certainty(mixture, X, labels),
            feature_names=[str(names[place]) for place in places],
            **vars(components.marginal(places)),
            sample_weight=check_sample_weight(sample_weight, len(values), np.dtype(np.float64)),
            kind=kind,
            levels=levels,
            max_rows=max_rows,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; "pairs" divides its place. None makes a figure.

        Returns
        -------
        display : MixtureDisplay
            This one, with `ax_` and `figure_`.
        """
        kind = self._checked_kind()
        check_integer("max_rows", self.max_rows, 1)
        self._components = Components(**{field.name: getattr(self, field.name) for field in fields(Components)})
        ax = one_axes(ax, (1.2 + 2.0 * self.rows.shape[1],) * 2 if kind == "pairs" else (6.4, 4.8))
        self.figure_ = ax.figure
        self.ax_ = getattr(self, f"_plot_{kind}")(ax)
        return self

    def _checked_kind(self) -> str:
        n_columns = self.rows.shape[1]
        levels = np.asarray(self.levels)
        is_list = levels.dtype.kind in "iuf" and levels.ndim == 1 and len(levels) > 0
        if not is_list or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"levels must be numbers between 0 and 1, but got {self.levels!r}")
        if self.kind is None:
            return {1: "histogram", 2: "ellipses"}.get(n_columns, "pairs")
        kind: str = check_choice("kind", self.kind, KINDS)
        needed = {"histogram": 1, "pairs": max(n_columns, 2)}.get(kind, 2)
        if n_columns != needed:
            raise ValueError(f"columns must be {needed} for kind={kind!r}, but are {n_columns}: {self.feature_names}")
        return kind

    def _plot_histogram(self, ax: Any) -> Any:
        self._draw_curves(ax, 0)
        ax.set(xlabel=self._name(0), ylabel="density", ylim=(0, 1.2 * ax.get_ylim()[1]))  # the legend has room above
        handles = [_handle(k, weight, ls=line(k), lw=1.8) for k, weight in enumerate(self.weights)]
        if len(handles) > 1 or self.noise_weight:
            handles.append(_handle(None, "mixture", color=WHOLE, lw=1.2))
        self._legend(ax, handles)
        return ax

    def _plot_ellipses(self, ax: Any) -> Any:
        self._draw_plane(ax, 0, 1, draw_ellipses)
        ax.set(xlabel=self._name(0), ylabel=self._name(1))
        self._legend(ax, self._marker_handles(), title=self._levels_text())
        return ax

    def _plot_density(self, ax: Any) -> Any:
        self._draw_plane(ax, 0, 1, draw_log_density)
        ax.set(xlabel=self._name(0), ylabel=self._name(1))
        self._legend(ax, self._marker_handles())
        return ax

    def _plot_pairs(self, ax: Any) -> np.ndarray:
        n = self.rows.shape[1]
        ax.set_axis_off()
        wide, high = (inches / n for inches in inches_of(ax))
        places = places_in(ax, (1.0,) * n, (1.0,) * n, wspace=0.06, hspace=0.06)
        grid = np.full((n, n), None, dtype=object)
        for i, j in ((row, column) for row in range(n) for column in range(row + 1)):
            panel = grid[i, j] = axes_at(self.figure_, places[i][j])
            if i == j:
                self._draw_curves(panel, i, number_size="x-small")
                panel.set_yticks([])
            else:
                self._draw_plane(panel, j, i, draw_ellipses, number_size="x-small")
            panel.tick_params(labelbottom=i == n - 1, labelleft=i > j == 0, labelsize="small")
            panel.locator_params(axis="x", nbins=4)
            if i == n - 1:
                panel.set_xlabel(self._name(j, wide), fontsize="small")
            if i > j == 0:
                panel.set_ylabel(self._name(i, high), fontsize="small")
        look = {"loc": "upper left", "bbox_to_anchor": (1.05, 1), "borderaxespad": 0, "fontsize": "x-small"}
        legend = self._legend(grid[0, 0], self._marker_handles(), title=self._levels_text(), **look)
        if legend is not None:
            legend.set_in_layout(False)  # it stands where there are no panels
        return grid

    def _draw_plane(self, ax: Any, i: int, j: int, draw: Any, number_size: Any = "small") -> None:
        """Column j over column i; `draw` draws the components."""
        components, limits = self._components.marginal([i, j]), (self._limits(i), self._limits(j))
        ax.set(xlim=limits[0], ylim=limits[1])
        self._scatter(ax, self.rows[:, [i, j]])
        draw(ax, components, self.levels)
        for k, mean in enumerate(components.means):
            badge(ax, mean, k, number_size)
        bare(ax)

    def _scatter(self, ax: Any, points: np.ndarray) -> None:
        there = np.flatnonzero(~np.isnan(points).any(axis=1) & (self._row_weights() > 0))
        if len(there) > self.max_rows:
            there = np.sort(np.random.default_rng(0).choice(there, self.max_rows, replace=False))
        weight = self._row_weights()[there]
        area = np.clip(5000 / max(len(there), 1), 4, 22) * weight / weight.mean() if len(there) else weight
        colours = faded(self.labels[there], self.certainty[there], len(self.weights))
        for k in np.unique(self.labels[there]):
            own = self.labels[there] == k
            look: dict[str, Any] = {"marker": marker(k), "c": colours[own], "linewidths": 0}
            if k < 0:
                look = {"marker": "x", "c": NEUTRAL, "linewidths": 0.8}
            ax.scatter(*points[there][own].T, s=area[own], zorder=2, **look)

    def _draw_curves(self, ax: Any, j: int, number_size: Any = "small") -> None:
        """Column j as bars, with a curve for each component."""
        there = ~np.isnan(self.rows[:, j]) & (self._row_weights() > 0)
        values, weight = self.rows[there, j], self._row_weights()[there]
        components, limits = self._components.marginal([j]), self._limits(j)
        tallest = 0.0
        if len(values):
            look = {"color": "0.88", "edgecolor": "white", "linewidth": 0.5}
            edges = bin_edges(values, components)
            tallest = ax.hist(values, bins=edges, weights=weight, density=True, **look)[0].max()
        noise = values[self.labels[there] < 0]
        if len(noise):
            ax.plot(noise, np.zeros(len(noise)), "x", color=NEUTRAL, ms=4, mew=0.8, zorder=4, clip_on=False)
        top = draw_curves(ax, components, curve_places(components, *limits), tallest, number_size)
        ax.set(xlim=limits, ylim=(0, 1.15 * max(top, tallest)))
        bare(ax)

    def _limits(self, j: int) -> tuple[float, float]:
        """Of the values and the ellipses of a column, the latter as far as `FURTHEST`."""
        components = self._components.marginal([j])
        half = self._components.marginal([j, j]).radii(max(self.levels))[:, None] * components.scales()
        low, high = float((components.means - half).min()), float((components.means + half).max())
        values = self.rows[(self._row_weights() > 0) & ~np.isnan(self.rows[:, j]), j]
        if len(values) and np.ptp(values) > 0:
            least, most = float(values.min()), float(values.max())
            room = FURTHEST * (most - least)
            low, high = min(least, max(low, least - room)), max(most, min(high, most + room))
        margin = 0.03 * (high - low)
        return low - margin, high + margin

    def _row_weights(self) -> np.ndarray:
        return np.ones(len(self.rows)) if self.sample_weight is None else self.sample_weight

    def _name(self, j: int, inches: float = 2.0) -> str:
        """Name of column j, cut to what goes beside a panel."""
        return plain(short(self.feature_names[j], max(int(12 * inches), 6)))

    def _levels_text(self) -> str:
        return "ellipses: " + ", ".join(f"{level:.0%}" for level in sorted(self.levels))

    def _noise_text(self) -> str:
        return f"noise: {self.noise_weight:.1%}" if self.noise_weight else "noise"

    def _marker_handles(self) -> list[Any]:
        return [_handle(k, weight, ls="none", marker=marker(k)) for k, weight in enumerate(self.weights)]

    def _legend(self, ax: Any, handles: list[Any], **look: Any) -> Any:
        """None if there are too many components; numbers tell them apart all the same."""
        if len(self.weights) > MOST_LABELS:
            return None
        if (self.labels < 0).any():
            handles.append(_handle(None, self._noise_text(), color=NEUTRAL, marker="x", ls="none"))
        return compact_legend(ax, handles=handles, **look)


def _handle(k: int | None, said: Any, **look: Any) -> Any:
    """Of a legend: component k of a weight, or what else is said."""
    from matplotlib.lines import Line2D

    if k is not None:
        look["color"] = colour(k)
        said = f"component {k}: {said:.1%}"
    return Line2D([], [], label=said, ms=5, **look)


def _labels(mixture: Any, X: Any) -> np.ndarray:
    if hasattr(mixture, "predict"):
        return np.asarray(mixture.predict(X))
    return np.asarray(mixture.predict_proba(X)).argmax(axis=1)


def _certainty(mixture: Any, X: Any, labels: np.ndarray) -> np.ndarray:
    """Probability of the component of each row; 1 for noise."""
    proba = np.asarray(mixture.predict_proba(X), dtype=np.float64)
    return np.where(labels < 0, 1.0, proba[np.arange(len(labels)), np.maximum(labels, 0)])
