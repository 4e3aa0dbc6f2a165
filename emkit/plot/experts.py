"""Pictures of mixtures of experts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_integer
from ..mixture_of_experts.reading import Extras
from ._axes import bare, compact_legend, one_axes, panels_below
from ._columns import place_of
from ._estimators import not_of_display
from ._look import MOST_LABELS, colour, faded, plain

__all__ = ["ExpertsDisplay"]

GRID = 400  # places at which curves are drawn
FAINT = 0.1  # opacity of a curve where the gate gives its expert nothing
LEVELS = 20  # of opacity
GATE_SHARE = 0.25  # of the height


class ExpertsDisplay:
    """Responses over one input, the curve of each expert among them, and the gate below.

    Each response has the colour of its most probable expert, and is the fainter the less sure that is. A curve fades
    where the gate gives its expert a smaller share than elsewhere. Below, the height of each area is the share of an
    expert, so that a constant gate has horizontal borders. All other inputs are at their medians for the curves and
    the gate, but not for the responses. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    x : ndarray of shape (n_samples,)
        The input of the responses.
    y : ndarray of shape (n_samples,)
        The responses.
    responsibilities : ndarray of shape (n_samples, n_components)
        Probability of each expert, given input and response.
    grid : ndarray of shape (n_places,)
        Where the curves are drawn.
    curves : ndarray of shape (n_places, n_components)
        Mean response of each expert.
    shares : ndarray of shape (n_places, n_components)
        Shares that the gate gives.
    mixture : tuple of three ndarray of shape (n_places,), or None, default=None
        Mean response of the mixture and the ends of its intervals; None leaves them out.
    level : float or None, default=None
        Level of the intervals.
    feature_name : str, default="input"
        Name of the input.
    response_name : str, default="response"
        Name of the response.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Responses and curves.
    ax_gate_ : matplotlib Axes
        The gate, below it.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit import EMMixtureOfExpertsRegressor
    >>> from emkit.datasets import load_motorcycle
    >>> from emkit.plot import ExpertsDisplay
    >>> crash = load_motorcycle(as_frame=True).frame
    >>> model = EMMixtureOfExpertsRegressor(4, random_state=0).fit(crash[["times"]], crash["accel"])
    >>> display = ExpertsDisplay.from_estimator(model, crash[["times"]], crash["accel"], level=0.9)
    >>> display.feature_name, display.shares.shape
    ('times', (400, 4))
    """

    def __init__(
        self,
        *,
        x,
        y,
        responsibilities,
        grid,
        curves,
        shares,
        mixture=None,
        level=None,
        feature_name="input",
        response_name="response",
    ):
        self.x = x
        self.y = y
        self.responsibilities = responsibilities
        self.grid = grid
        self.curves = curves
        self.shares = shares
        self.mixture = mixture
        self.level = level
        self.feature_name = feature_name
        self.response_name = response_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        feature=None,
        output=0,
        level=None,
        block_id=None,
        offset=None,
        exposure=None,
        ax=None,
    ):
        """Draw a fitted mixture of experts over one column of X.

        Parameters
        ----------
        estimator : EMMixtureOfExpertsRegressor
            Fitted.
        X : frame or array-like of shape (n_samples, n_features)
            Inputs; of many rows a sample is enough. The curves go from the least value of the column to the largest. Of
            other columns they take the median (the lower of two), or what is most frequent if it is not a number.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None, default=None
            Responses; a missing one (NaN) is not drawn. None draws curves and gate alone.
        feature : str, int or None, default=None
            Name or number of the column. None takes the first of those that the experts look at.
        output : int, default=0
            Number of the response, of several.
        level : float or None, default=None
            Between 0 and 1: draw also the mean of the mixture and the interval of this level. They take the parameters
            for known.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            As in `fit`. The curves have the median of offset and exposure.
        ax : matplotlib Axes or None, default=None
            Where to draw, the gate below it; None makes a figure.

        Returns
        -------
        display : ExpertsDisplay

        Raises
        ------
        ValueError
            If an argument is not as above, or the column is not numeric.
        """
        check_is_fitted(estimator)
        if not (hasattr(estimator, "predict_expert_proba") and hasattr(estimator, "predict_interval")):
            raise not_of_display("estimator", "an EMMixtureOfExpertsRegressor", estimator)
        columns = _columns_of(X)
        name = _name_of(feature, list(columns), estimator)
        x = _as_numbers(name, columns[name])
        grid = np.linspace(np.nanmin(x), np.nanmax(x), GRID)
        rows = _rows_along(X, columns, name, grid)
        extras = {"offset": _median(offset), "exposure": _median(exposure)}
        curves = _means(estimator, rows, extras)
        if check_integer("output", output, 0) >= curves.shape[2]:
            raise ValueError(f"output must be less than {curves.shape[2]}, the number of responses, but got {output}")
        mixture = None
        if level is not None:
            mean, interval = estimator.predict(rows, **extras), estimator.predict_interval(rows, level, **extras)
            mixture = tuple(values.reshape(GRID, -1)[:, output] for values in (mean, *interval))
        resp = estimator.predict_expert_proba(X, y, block_id=block_id, offset=offset, exposure=exposure)
        responses = _responses_of(estimator, y, len(x))[:, output]
        there = ~(np.isnan(x) | np.isnan(responses))
        display = cls(
            x=x[there],
            y=responses[there],
            responsibilities=resp[there],
            grid=grid,
            curves=curves[:, :, output],
            shares=estimator.predict_expert_proba(rows),
            mixture=mixture,
            level=level,
            feature_name=name if isinstance(name, str) else f"column {name}",
            response_name=_name_of_response(y, output),
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw, the gate below it; None makes a figure.

        Returns
        -------
        display : ExpertsDisplay
            This one, with the attributes of the class.
        """
        self.ax_ = one_axes(ax, (6.4, 5.2))
        self.figure_ = self.ax_.figure
        self._plot_mixture()
        self._plot_responses()
        limits = self._limits()
        self._plot_curves()
        self.ax_.set(ylim=limits, ylabel=plain(self.response_name))
        bare(self.ax_)
        if self.ax_.get_legend_handles_labels()[0]:
            compact_legend(self.ax_)
        self.ax_gate_ = self._plot_gate()
        return self

    def _plot_mixture(self) -> None:
        if self.mixture is None:
            return
        mean, lower, upper = self.mixture
        label = f"{self.level:.0%} interval of the mixture"
        self.ax_.fill_between(self.grid, lower, upper, color="0.9", linewidth=0, zorder=0, label=label)
        self.ax_.plot(self.grid, mean, color="0.2", lw=1, ls="--", zorder=2.6, label="mean of the mixture")

    def _plot_responses(self) -> None:
        if not len(self.y):
            return
        chosen, sure = self.responsibilities.argmax(axis=1), self.responsibilities.max(axis=1)
        colours = faded(chosen, sure, self.shares.shape[1])
        self.ax_.scatter(self.x, self.y, s=18, c=colours, linewidths=0, zorder=2)

    def _limits(self) -> tuple[float, float]:
        """Of the responses and intervals, since curves may go far beyond them; of the curves where there are none."""
        drawn = [self.y, *(() if self.mixture is None else self.mixture)]
        values = np.concatenate(drawn)
        values = values if len(values) else self.curves.ravel()
        low, high = float(values.min()), float(values.max())
        margin = 0.05 * (high - low) or 1.0
        return low - margin, high + margin

    def _plot_curves(self) -> None:
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgb

        for k in range(self.shares.shape[1]):
            level = np.round(LEVELS * self.shares[:, k] / max(self.shares[:, k].max(), 1e-300))
            starts = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1])  # of pieces of one opacity
            points = np.column_stack([self.grid, self.curves[:, k]])
            pieces = [points[start : stop + 1] for start, stop in zip(starts, [*starts[1:], len(points)], strict=True)]
            opacity = FAINT + (1 - FAINT) * level[starts] / LEVELS
            colours = [(*to_rgb(colour(k)), float(alpha)) for alpha in opacity]
            self.ax_.add_collection(LineCollection(pieces, colors=colours, lw=2, zorder=3), autolim=False)
            if self.shares.shape[1] <= MOST_LABELS:
                self.ax_.plot([], [], color=colour(k), lw=2, label=f"expert {k}")

    def _plot_gate(self) -> Any:
        _, ax = panels_below(self.ax_, (1 - GATE_SHARE, GATE_SHARE))
        colours = [colour(k) for k in range(self.shares.shape[1])]
        ax.stackplot(self.grid, self.shares.T, colors=colours, alpha=0.6, linewidth=0.5, edgecolor="white")
        ax.set(ylim=(0, 1), yticks=[0, 0.5, 1], ylabel="gate", xlabel=plain(self.feature_name))
        bare(ax)
        self.ax_.tick_params(labelbottom=False)
        return ax


def _columns_of(X: Any) -> dict[Any, np.ndarray]:
    """By name, or by number where they have none."""
    if hasattr(X, "columns"):
        return {name: np.asarray(X[name]) for name in X.columns}
    table = np.asarray(X)
    if table.ndim != 2:
        raise ValueError(f"X must be a table of rows and columns, but has shape {table.shape}")
    return dict(enumerate(table.T))


def _name_of(feature: Any, names: list[Any], estimator: Any) -> Any:
    """That of the column which `feature` stands for."""
    if feature is None:
        views = estimator._state.views
        chosen = (view.columns for view in (views.experts, views.gate))
        return names[next((int(places[0]) for places in chosen if places is not None and len(places)), 0)]
    return names[place_of("feature", feature, names)]


def _as_numbers(name: Any, column: np.ndarray) -> np.ndarray:
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"feature must be a column of numbers, but {name!r} is not") from error


def _rows_along(X: Any, columns: dict[Any, np.ndarray], name: Any, grid: np.ndarray) -> Any:
    """A table like X, with `grid` in one column and the same in all rows of the others."""
    filled = {
        other: grid if other == name else np.full(len(grid), _middle(column), dtype=column.dtype)
        for other, column in columns.items()
    }
    return type(X)(filled) if hasattr(X, "columns") else np.column_stack(list(filled.values()))


def _middle(column: np.ndarray) -> Any:
    """The lower median of numbers, so that it is one of them; of other values the most frequent."""
    if column.dtype.kind in "iuf":
        return np.nanpercentile(column, 50, method="lower")
    return Counter(column.tolist()).most_common(1)[0][0]


def _median(extra: Any) -> Any:
    return None if extra is None else _middle(np.asarray(extra, dtype=np.float64))


def _means(estimator: Any, rows: Any, extras: dict[str, Any]) -> np.ndarray:
    """Mean response of each expert, (n, k, m)."""

    def means(fitted: Any, cases: Any) -> np.ndarray:
        return fitted.model.experts.mean(fitted.params.experts, cases)

    return estimator._by_row(means, [estimator._read(rows, None, Extras(**extras))])


def _responses_of(estimator: Any, y: Any, n: int) -> np.ndarray:
    """(n, m), all of them missing without y."""
    return estimator._missing_responses(n) if y is None else estimator._read_responses(y, n, allow_nan=True)


def _name_of_response(y: Any, output: int) -> str:
    if hasattr(y, "columns"):
        return str(y.columns[output])
    name = getattr(y, "name", None)
    if name is not None and name != "":
        return str(name)
    return "response" if np.ndim(y) < 2 else f"response {output}"
