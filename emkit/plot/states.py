"""Pictures of hidden Markov models: their sequences and their chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_integer
from ._axes import bare, compact_legend, inches_of, one_axes, panels_below
from ._columns import MOST_COLUMNS, names_of, places_of
from ._estimators import not_of_display
from ._graph import draw_graph
from ._look import MOST_LABELS, colour, faded, marker, plain, short

__all__ = ["StateDisplay"]

KINDS = ("sequence", "transitions", "graph")
SYMBOLS = ("categorical", "bernoulli")  # emissions whose values have no distance
MOST_SYMBOLS = 12  # that have a mark each
MOST_NUMBERS = 12  # states up to which a heat map has numbers
STRIP = 0.7  # inches
AREA = 500.0  # square points of all markers, for each inch of time
LABEL = 0.85  # inches of a label in the legend


class StateDisplay:
    """A sequence coloured by its states, or how states follow each other.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    startprob : ndarray of shape (n_components,)
        Start probabilities.
    transmat : ndarray of shape (n_components, n_components)
        Probabilities of the next state (column) given the present one (row).
    expected_durations : ndarray of shape (n_components,)
        Expected number of rows of a stay.
    values : ndarray of shape (n_rows, n_columns) or None, default=None
        Rows of one sequence in the chosen columns; NaN is not drawn. Needed for ``kind="sequence"``, as what follows.
    states : ndarray of shape (n_rows,), int, or None, default=None
        State of each row.
    proba : ndarray of shape (n_rows, n_components) or None, default=None
        Probability of each state of each row.
    time : ndarray of shape (n_rows,) or None, default=None
        Where the rows stand.
    time_name : str, default="row of the sequence"
        What `time` is.
    feature_names : sequence of str or None, default=None
        Names of the chosen columns.
    symbolic : sequence of bool or None, default=None
        Whether the values of each chosen column are symbols.
    kind : {"sequence", "transitions", "graph"}, default="sequence"
        "sequence": a panel for each column over time, and below them the probabilities of the states, stacked. A value
        has the colour and the marker of its state, and is the fainter the less sure that is. "transitions": `transmat`
        as a table of shades. "graph": states as discs with start probability and expected stay (in rows), transitions
        of at least 0.01 (0.05 if there are more than five states) as arrows, the wider the more probable.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; of "sequence" the first panel.
    axes_ : ndarray of matplotlib Axes
        The panels of all columns; of "sequence" alone.
    ax_proba_ : matplotlib Axes
        The probabilities below; of "sequence" alone.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit import EMHiddenMarkov
    >>> from emkit.datasets import load_earthquakes
    >>> from emkit.plot import StateDisplay
    >>> table = load_earthquakes(as_frame=True).data
    >>> model = EMHiddenMarkov(3, emission="poisson", random_state=0).fit(table[["count"]])
    >>> display = StateDisplay.from_estimator(model, table[["count"]], time=table["year"])
    >>> display.ax_.get_ylabel(), display.proba.shape
    ('count', (107, 3))
    >>> chain = StateDisplay.from_estimator(model, kind="transitions")
    """

    def __init__(
        self,
        *,
        startprob,
        transmat,
        expected_durations,
        values=None,
        states=None,
        proba=None,
        time=None,
        time_name="row of the sequence",
        feature_names=None,
        symbolic=None,
        kind="sequence",
    ):
        self.startprob = startprob
        self.transmat = transmat
        self.expected_durations = expected_durations
        self.values = values
        self.states = states
        self.proba = proba
        self.time = time
        self.time_name = time_name
        self.feature_names = feature_names
        self.symbolic = symbolic
        self.kind = kind

    @classmethod
    def from_estimator(
        cls,
        model,
        X=None,
        *,
        kind="sequence",
        columns=None,
        sequence_id=None,
        lengths=None,
        show=None,
        window=None,
        time=None,
        ax=None,
    ):
        """Draw a sequence, or the chain, of a fitted hidden Markov model.

        Parameters
        ----------
        model : EMHiddenMarkov
            Fitted.
        X : frame or array-like of shape (n_samples, n_features), list of them, or None, default=None
            One or more sequences, as in `fit`. Only for ``kind="sequence"``, as all up to `time`.
        kind : {"sequence", "transitions", "graph"}, default="sequence"
            See the class.
        columns : str, int, sequence of them, or None, default=None
            Names or numbers of the columns to draw; None takes the first four.
        sequence_id, lengths : array-like or None, default=None
            As in `fit`.
        show : object or None, default=None
            Id of the sequence to draw (its number where there are no ids); None takes the first.
        window : tuple of two int or None, default=None
            First row to draw and the one after the last, within the sequence. The states are those given all rows.
        time : array-like of shape (n_samples,) or None, default=None
            Where each row of X stands on the axis: numbers or dates. None counts the rows of the sequence.
        ax : matplotlib Axes or None, default=None
            Where to draw; further panels go below it, in its place. None makes a figure.

        Returns
        -------
        display : StateDisplay

        Raises
        ------
        ValueError
            If an argument is not as above.
        """
        check_is_fitted(model)
        if not (hasattr(model, "transmat_") and hasattr(model, "predict_proba_filtered")):
            raise not_of_display("model", "an EMHiddenMarkov", model)
        chain = {"startprob": model.startprob_, "transmat": model.transmat_}
        display = cls(**chain, expected_durations=model.expected_durations_, kind=check_choice("kind", kind, KINDS))
        if kind == "sequence":
            if X is None:
                raise ValueError("X must be given for kind='sequence', but is None")
            display._read(model, X, columns, {"sequence_id": sequence_id, "lengths": lengths}, show, window, time)
        return display.plot(ax=ax)

    def _read(self, model, X, columns, ids, show, window, time):
        table = model._table(X, **ids)
        rows = _rows_of(table, show)[_slice(window)]
        if not len(rows):
            raise ValueError(f"window must hold rows of the sequence, but {window!r} holds none")
        names = names_of(None, model)
        places = places_of("columns", columns, names) or list(range(min(len(names), MOST_COLUMNS)))
        self.values = table.X[rows][:, places]
        self.states = model.predict(X, **ids)[rows]
        self.proba = model.predict_proba(X, **ids)[rows]
        self.time = _times(time, table, rows)
        if time is not None:
            self.time_name = str(getattr(time, "name", None) or "time")
        self.feature_names = [str(names[place]) for place in places]
        self.symbolic = [_kinds(model.emission, len(names))[place] in SYMBOLS for place in places]

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; further panels go below it, in its place. None makes a figure.

        Returns
        -------
        display : StateDisplay
            This one, with the attributes of the class.
        """
        check_choice("kind", self.kind, KINDS)
        getattr(self, f"_plot_{self.kind}")(ax)
        self.figure_ = self.ax_.figure
        return self

    def _plot_sequence(self, ax: Any) -> None:
        if self.values is None:
            raise ValueError("values must be given for kind='sequence', but are None")
        n_panels = self.values.shape[1]
        ax = one_axes(ax, (8, 1.4 + STRIP + 1.5 * n_panels))
        wide, room = inches_of(ax)
        strip = min(STRIP / room, 0.3)
        *panels, self.ax_proba_ = panels_below(ax, [(1 - strip) / n_panels] * n_panels + [strip])
        self.ax_, self.axes_ = ax, np.array(panels, dtype=object)
        for j, panel in enumerate(panels):
            self._draw_values(panel, j, room * (1 - strip) / n_panels)
        self._draw_proba(self.ax_proba_)
        for panel in panels:
            panel.tick_params(labelbottom=False)
        n = len(self.startprob)
        if n <= MOST_LABELS:
            n_columns = max(int(wide / LABEL), 1)
            look = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False, "borderaxespad": 0.2}
            handles = [ax.scatter([], [], marker=marker(k), color=colour(k), label=f"state {k}") for k in range(n)]
            compact_legend(ax, handles=handles, ncols=min(n_columns, n), columnspacing=1, handletextpad=0.2, **look)

    def _draw_values(self, ax: Any, j: int, inches: float) -> None:
        values = self.values[:, j]
        there = ~np.isnan(values)
        if not self.symbolic[j]:
            ax.plot(self.time, values, color="0.8", lw=0.8, zorder=1)
        sure = self.proba[np.arange(len(self.states)), self.states]
        colours = faded(self.states, sure, len(self.startprob))
        area = float(np.clip(AREA * inches_of(ax)[0] / len(values), 3, 20))
        for k in np.unique(self.states[there]):
            own = there & (self.states == k)
            look = {"marker": marker(k), "s": area, "linewidths": 0, "zorder": 2}
            ax.scatter(self.time[own], values[own], c=colours[own], **look)
        ax.set_ylabel(plain(short(self.feature_names[j], max(int(11 * inches), 6))))
        ax.locator_params(axis="y", nbins=max(int(3 * inches), 2), integer=bool(self.symbolic[j]))
        if self.symbolic[j] and there.any():
            self._mark_symbols(ax, int(values[there].max()))
        bare(ax)

    def _mark_symbols(self, ax: Any, highest: int) -> None:
        ax.set_ylim(-0.6, highest + 0.6)
        if highest < MOST_SYMBOLS:
            ax.set_yticks(range(highest + 1))

    def _draw_proba(self, ax: Any) -> None:
        colours = [colour(k) for k in range(len(self.startprob))]
        ax.stackplot(self.time, self.proba.T, colors=colours, alpha=0.7, linewidth=0, step="mid")
        ax.set(ylim=(0, 1), yticks=[0, 1], ylabel="state", xlabel=plain(self.time_name))
        if self.time.dtype.kind == "M":
            _shorten_dates(ax)
        elif self.time.dtype.kind in "iu":
            _count_rows(ax)
        ax.margins(x=0.01)
        bare(ax)

    def _plot_transitions(self, ax: Any) -> None:
        n = len(self.transmat)
        self.ax_ = ax = one_axes(ax, (2 + 0.55 * min(n, 12), 1.2 + 0.55 * min(n, 12)))
        shades = ax.pcolormesh(self.transmat, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        ax.set(xlim=(0, n), ylim=(n, 0), aspect="equal", xlabel="next state", ylabel="state")
        step = -(-n // MOST_NUMBERS)
        places = np.arange(0, n, step)
        ax.set_xticks(places + 0.5, [str(k) for k in places])
        ax.set_yticks(places + 0.5, [str(k) for k in places])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if n > MOST_NUMBERS:
            ax.figure.colorbar(shades, ax=ax, label="probability")
            return
        cell = min(inches_of(ax)) / n
        for (j, k), share in np.ndenumerate(self.transmat):
            ink = "white" if share > 0.55 else "0.15"
            look = {"ha": "center", "va": "center", "color": ink, "size": float(np.clip(24 * cell, 4, 11))}
            ax.text(k + 0.5, j + 0.5, _share(share), **look)

    def _plot_graph(self, ax: Any) -> None:
        self.ax_ = one_axes(ax, (6, 3 if len(self.startprob) == 2 else 6))
        draw_graph(self.ax_, self.startprob, self.transmat, self.expected_durations)


def _rows_of(table: Any, show: Any) -> np.ndarray:
    """Rows of one sequence, in its order."""
    ids = list(table.ids)
    if show is not None and show not in ids:
        named = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
        raise ValueError(f"show must be the id of a sequence of X ({named}), but got {show!r}")
    place = 0 if show is None else ids.index(show)
    order = np.arange(len(table.X)) if table.order is None else table.order
    rows: np.ndarray = order[table.starts[place] : table.starts[place + 1]]
    return rows


def _slice(window: Any) -> slice:
    if window is None:
        return slice(None)
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise ValueError(f"window must be two numbers of rows or None, but got {window!r}")
    return slice(*(check_integer("window", end, 0) for end in window))


def _times(time: Any, table: Any, rows: np.ndarray) -> np.ndarray:
    if time is None:
        numbers = np.empty(len(table.X), np.intp)
        order = slice(None) if table.order is None else table.order
        numbers[order] = np.arange(len(numbers)) - np.repeat(table.starts[:-1], np.diff(table.starts))
        return numbers[rows]
    time = np.asarray(time)
    if time.shape != (len(table.X),):
        raise ValueError(f"time must have a value for each of the {len(table.X)} rows of X, but has shape {time.shape}")
    return time[rows]


def _shorten_dates(ax: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=6)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _count_rows(ax: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _kinds(emission: Any, n_columns: int) -> list[Any]:
    """The emission of each column."""
    return list(emission) if isinstance(emission, list | tuple) else [emission] * n_columns


def _share(value: float) -> str:
    """A probability in two decimals, so that what may be is told from what is not."""
    return "0" if value == 0 else "<.01" if value < 0.005 else f"{value:.2f}"
