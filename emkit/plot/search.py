"""Pictures of a search for the number of components."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice
from ._axes import bare, compact_legend, one_axes
from ._look import NEUTRAL, colour, line, marker, plain, short

__all__ = ["ComponentSearchDisplay"]

# criterion -> column of the results, label of the axis, whether more is better
CRITERIA = {
    "bic": ("bic", "BIC (lower is better)", False),
    "aic": ("aic", "AIC (lower is better)", False),
    "icl": ("icl", "ICL (lower is better)", False),
    "heldout": ("heldout_mean", "held-out log-likelihood", True),
    "bootstrap_lrt": ("p_value", "p-value against one component more", True),
}
# columns of the results that are no parameters of the estimator
MEASURED = (
    *("n_components", "log_likelihood", "n_parameters", "bic", "aic", "icl", "heldout_mean", "heldout_se", "p_value"),
    *("converged", "degenerate", "failed", "found_by", "seconds", "rank"),
)
MOST_LINES = 5  # settings that have a colour and a name
APART = 0.07  # components: between the error bars of two settings


class ComponentSearchDisplay:
    """A criterion over the number of components, a line for each setting of the other parameters.

    What was chosen has a ring; where another criterion than the one drawn chose, the legend says which. Fits that the
    search left out are crosses: degenerate ones where they lie (at the edge if that is outside), failed ones at the
    bottom. Of many settings, the five that come to the best values have a colour, by their order in the search, and a
    name. Held-out scores have bars of one standard error, and a band reaches from the best mean to one
    standard error below; p-values have a line at the level of the tests. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    n_components : ndarray of shape (n_fits,), int
        Number of components of each fit.
    scores : ndarray of shape (n_fits,)
        The criterion; NaN where there is none.
    settings : sequence of str of length n_fits
        Other parameters of each fit, in words; "" if there are none.
    degenerate, failed : ndarray of bool of shape (n_fits,)
        Fits that were left out.
    chosen : int or None, default=None
        Number of the fit that was chosen.
    errors : ndarray of shape (n_fits,) or None, default=None
        Standard errors of the scores.
    level : float or None, default=None
        Level of the tests, drawn as a line.
    criterion : {"bic", "aic", "icl", "heldout", "bootstrap_lrt"}, default="bic"
        What the scores are.
    chosen_by : str or None, default=None
        The criterion that chose, where it is not the one that is drawn; the legend names it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit import EMGaussianMixture
    >>> from emkit.plot import ComponentSearchDisplay
    >>> from emkit.selection import ComponentSearch
    >>> search = ComponentSearch(EMGaussianMixture(), n_components=range(1, 5), random_state=0)
    >>> display = ComponentSearchDisplay.from_estimator(search.fit(load_old_faithful().data))
    >>> display.ax_.get_ylabel()
    'BIC (lower is better)'
    """

    def __init__(
        self,
        *,
        n_components,
        scores,
        settings,
        degenerate,
        failed,
        chosen=None,
        errors=None,
        level=None,
        criterion="bic",
        chosen_by=None,
    ):
        self.n_components = n_components
        self.scores = scores
        self.settings = settings
        self.degenerate = degenerate
        self.failed = failed
        self.chosen = chosen
        self.errors = errors
        self.level = level
        self.criterion = criterion
        self.chosen_by = chosen_by

    @classmethod
    def from_estimator(cls, search, *, criterion=None, ax=None):
        """Draw the fits of a search.

        Parameters
        ----------
        search : ComponentSearch
            Fitted.
        criterion : {"bic", "aic", "icl", "heldout", "bootstrap_lrt"} or None, default=None
            What to draw; None is the criterion of the search.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ComponentSearchDisplay

        Raises
        ------
        ValueError
            If an argument is not as above, or the search has no values of the criterion.
        """
        check_is_fitted(search)
        if not hasattr(search, "best_index_") or "n_components" not in getattr(search, "results_", {}):
            raise ValueError(f"search must be a ComponentSearch, but got {search!r}")
        criterion = search.criterion if criterion is None else criterion
        column, _, _ = CRITERIA[check_choice("criterion", criterion, tuple(CRITERIA))]
        results = search.results_
        scores = np.asarray(results.get(column, np.nan), dtype=np.float64)
        if not np.isfinite(scores).any():
            raise ValueError(f"criterion must be one that the search has values of, but has none of {criterion!r}")
        display = cls(
            n_components=np.asarray(results["n_components"]),
            scores=scores,
            settings=_settings(results),
            degenerate=_is_said(results["degenerate"]),
            failed=_is_said(results["failed"]),
            chosen=int(search.best_index_),
            errors=np.asarray(results["heldout_se"], dtype=np.float64) if criterion == "heldout" else None,
            level=search.level if criterion == "bootstrap_lrt" else None,
            criterion=criterion,
            chosen_by=None if criterion == search.criterion else search.criterion,
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
        display : ComponentSearchDisplay
            This one, with `ax_` and `figure_`.
        """
        _, label, more_is_better = CRITERIA[check_choice("criterion", self.criterion, tuple(CRITERIA))]
        self.ax_ = one_axes(ax, (6.4, 4.2))
        self.figure_ = self.ax_.figure
        self._sound = np.isfinite(self.scores) & ~self.degenerate & ~self.failed
        self._gain = self.scores if more_is_better else -self.scores
        self._draw_reference()
        named, others = self._ranked()
        apart = 0.0 if self.errors is None else APART
        self._aside = {setting: apart * (place - (len(named) - 1) / 2) for place, setting in enumerate(named)}
        for setting in others:
            self._draw_line(setting, {"color": "0.8", "lw": 0.8, "zorder": 1})
        places = self._places(named)
        for setting in named:
            self._draw_named(setting, places[setting], 1.8 if setting == named[0] else 1.2)
        if others:
            self.ax_.plot([], [], color="0.8", lw=0.8, label=f"{len(others)} other settings")
        self._draw_left_out()
        self._draw_chosen()
        self.ax_.set(xlabel="number of components", ylabel=label)
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        bare(self.ax_)
        if self.ax_.get_legend_handles_labels()[0]:
            compact_legend(self.ax_)
        return self

    def _ranked(self) -> tuple[list[str], list[str]]:
        """Settings by the best that they come to: those with a name, and the others."""
        every = list(dict.fromkeys(self.settings))
        own = {setting: self._gain[self._fits(setting)] for setting in every}
        order = sorted(every, key=lambda setting: -own[setting].max(initial=-np.inf))
        return order[:MOST_LINES], order[MOST_LINES:]

    def _places(self, named: list[str]) -> dict[str, int]:
        """Number of the colour of each of some settings: the same in pictures of other criteria, if it can be."""
        every = list(dict.fromkeys(self.settings))
        places: dict[str, int] = {}
        for setting in sorted(named, key=every.index):
            place = every.index(setting)
            while colour(place) in map(colour, places.values()):
                place += 1
            places[setting] = place
        return places

    def _fits(self, setting: str) -> np.ndarray:
        """Sound fits of a setting, by their numbers of components."""
        own = np.flatnonzero(np.array([one == setting for one in self.settings]) & self._sound)
        return own[np.argsort(self.n_components[own], kind="stable")]

    def _draw_line(self, setting: str, look: dict[str, Any]) -> None:
        own = self._fits(setting)
        self.ax_.plot(self.n_components[own], self.scores[own], **look)

    def _draw_named(self, setting: str, place: int, width: float) -> None:
        look: dict[str, Any] = {
            "color": colour(place),
            "ls": line(place),
            "marker": marker(place),
            "ms": 4.5,
            "lw": width,
            "zorder": 2,
        }
        if setting:
            look["label"] = plain(short(setting, 30))
        if self.errors is None:
            self._draw_line(setting, look)
            return
        own = self._fits(setting)
        x = self.n_components[own] + self._aside[setting]
        self.ax_.errorbar(x, self.scores[own], yerr=self.errors[own], elinewidth=1, capsize=2, **look)

    def _draw_reference(self) -> None:
        """What scores are to be compared with: one standard error below the best, or the level of tests."""
        if self.level is not None:
            self.ax_.axhline(self.level, color="0.6", lw=1, ls="--", zorder=0, label=f"level {self.level:g}")
        if self.errors is not None and self._sound.any():
            best = int(np.argmax(np.where(self._sound, self.scores, -np.inf)))
            low = self.scores[best] - self.errors[best]
            self.ax_.axhspan(low, self.scores[best], color="0.93", lw=0, zorder=0, label="one standard error")

    def _draw_left_out(self) -> None:
        low, high = limits = self.ax_.get_ylim()
        inside = low + 0.02 * (high - low), high - 0.02 * (high - low)
        flawed = self.degenerate & ~self.failed & np.isfinite(self.scores)
        look: dict[str, Any] = {"ls": "none", "marker": "x", "mew": 1.2, "zorder": 3}
        if flawed.any():
            y = np.clip(self.scores[flawed], *inside)
            self.ax_.plot(self.n_components[flawed], y, color=NEUTRAL, ms=5, label="degenerate", **look)
        if self.failed.any():
            y = np.full(self.failed.sum(), inside[0])
            self.ax_.plot(self.n_components[self.failed], y, color="0.1", ms=7, label="failed", **look)
        self.ax_.set_ylim(limits)

    def _draw_chosen(self) -> None:
        if self.chosen is None or not np.isfinite(self.scores[self.chosen]):
            return
        by = "" if self.chosen_by is None else f" by {self.chosen_by}"
        words = f"chosen{by}: {self.n_components[self.chosen]}"
        if self.settings[self.chosen]:
            words += ", " + plain(short(self.settings[self.chosen], 24))
        aside = self._aside.get(self.settings[self.chosen], 0.0)
        place = self.n_components[self.chosen] + aside, self.scores[self.chosen]
        look: dict[str, Any] = {"marker": "o", "ls": "none", "mfc": "none", "mec": "0.1", "mew": 1.5, "zorder": 4}
        self.ax_.plot(*place, ms=13, label=words, **look)


def _is_said(texts: Any) -> np.ndarray:
    """Where there is a text, (n,) bool."""
    return np.array([bool(text) for text in texts])


def _settings(results: Any) -> list[str]:
    """The parameters in which fits differ, in words; without its name if it is the only one."""
    columns = {name.rpartition("__")[2]: list(map(str, results[name])) for name in results if name not in MEASURED}
    columns = {name: values for name, values in columns.items() if len(set(values)) > 1}
    if len(columns) == 1:
        return next(iter(columns.values()))
    named = [[f"{name}={value}" for value in values] for name, values in columns.items()]
    return [", ".join(parts) for parts in zip(*named, strict=True)] or [""] * len(results["n_components"])
