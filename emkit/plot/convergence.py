"""Pictures of how EM climbed."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._report import SIZE
from .._validation import check_choice
from ._axes import bare, compact_legend, one_axes
from ._estimators import not_of_display
from ._look import COLOURS, MOST_LABELS, NEUTRAL, colour, line

__all__ = ["ConvergenceDisplay"]

KINDS = ("gain", "objective")


class ConvergenceDisplay:
    """What was left to gain, or the objective, after each iteration of each start.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    history : ndarray, structured
        ``history_`` of an estimator. Steps on a sample of the rows are left out, as their objective is that of the
        sample; so are steps on the way to the number of components of ``n_components="auto"``.
    kind : {"gain", "objective"}, default="gain"
        "gain": the best objective of all starts minus the objective, on a logarithmic scale. A line that levels out
        above the others is a local maximum. "objective": the objective itself.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit import EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit.plot import ConvergenceDisplay
    >>> mixture = EMGaussianMixture(2, random_state=0).fit(load_old_faithful().data)
    >>> display = ConvergenceDisplay.from_estimator(mixture)
    >>> display.ax_.get_yscale()
    'log'
    """

    def __init__(self, *, history, kind="gain"):
        self.history = history
        self.kind = kind

    @classmethod
    def from_estimator(cls, estimator, *, kind="gain", ax=None):
        """Draw the iterations of a fitted estimator.

        Parameters
        ----------
        estimator : estimator of emkit
            Fitted.
        kind : {"gain", "objective"}, default="gain"
            See the class.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConvergenceDisplay

        Raises
        ------
        ValueError
            If `kind` or `ax` is not as above, or the estimator has no `history_`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise not_of_display("estimator", "one of emkit with history_", estimator)
        return cls(history=estimator.history_, kind=kind).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConvergenceDisplay
            This one, with `ax_` and `figure_`.
        """
        check_choice("kind", self.kind, KINDS)
        phases = self.history["phase"]
        steps = self.history[(phases != "sample") & ~np.char.startswith(phases, SIZE)]
        if not len(steps):
            raise ValueError("history must have iterations on all rows, but has none")
        self.ax_ = one_axes(ax, (6.4, 4))
        self.figure_ = self.ax_.figure
        self._plot_starts(steps)
        self._label(len(np.unique(steps["start"])))
        return self

    def _plot_starts(self, steps: np.ndarray) -> None:
        """The best start above all others, in the first colour."""
        best = steps["start"][np.nanargmax(steps["objective"])]
        starts = np.unique(steps["start"])
        n_other = 0
        for number in starts:
            own = steps[steps["start"] == number]
            look: dict[str, Any] = {"lw": 2, "color": colour(0), "zorder": 3}
            if number != best:
                look = _look_of_others(n_other, len(starts))
                n_other += 1
            self.ax_.plot(own["iteration"], self._height(own["objective"], steps), label=f"start {number}", **look)

    def _height(self, objective: np.ndarray, steps: np.ndarray) -> np.ndarray:
        if self.kind == "objective":
            return objective
        gain = np.nanmax(steps["objective"]) - objective
        return np.where(gain > 0, gain, np.nan)  # the best itself has no place on a logarithmic scale

    def _label(self, n_starts: int) -> None:
        if self.kind == "gain":
            self.ax_.set_yscale("log")
        label = "short of the best (nats)" if self.kind == "gain" else "objective (nats)"
        self.ax_.set(xlabel="iteration", ylabel=label)
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        bare(self.ax_)
        if 1 < n_starts <= MOST_LABELS:
            compact_legend(self.ax_)


def _look_of_others(place: int, n_starts: int) -> dict[str, Any]:
    """Of a start that is not the best: a colour that is not the best one's, or grey where no legend names it."""
    if n_starts > MOST_LABELS:
        return {"lw": 0.8, "color": NEUTRAL}
    return {"lw": 1.2, "color": colour(1 + place % (len(COLOURS) - 1)), "ls": line(1 + place)}
