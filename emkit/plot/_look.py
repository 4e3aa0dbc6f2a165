"""What the displays share of colours, markers and names."""

from __future__ import annotations

from typing import Any

import numpy as np

# Okabe and Ito's six that stand out from white, and two of Paul Tol's. For eyes without red, green or blue cones, any
# two of them are at least 16 apart in CIELAB (Machado, Oliveira and Fernandes, 2009); of matplotlib's ten, 5.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#882255", "#56B4E9", "#D55E00", "#CC79A7", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # their number has no divisor in common with that of the colours
LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), ":")
NEUTRAL = "0.55"  # of what belongs to no component
MOST_LABELS = 10  # components that a legend names
WIDEST_LABEL = 20  # characters


def colour(k: int) -> str:
    """Of component k, the same in all pictures."""
    return COLOURS[k % len(COLOURS)]


def marker(k: int) -> str:
    """Of the rows of component k: colour and marker together tell 56 components apart."""
    return MARKERS[k % len(MARKERS)]


def line(k: int) -> object:
    """Line style of component k."""
    return LINES[k % len(LINES)]


def plain(name: str) -> str:
    """A name without mathematics."""
    return name.replace("$", r"\$")


def short(name: str, widest: int = WIDEST_LABEL) -> str:
    """The beginning of a long name."""
    return name if len(name) <= widest else name[: widest - 1] + "…"


def faded(labels: np.ndarray, certainty: np.ndarray, n_components: int) -> np.ndarray:
    """Colours of rows (n, 4) by their components, the fainter the nearer `certainty` is to that of a guess."""
    from matplotlib.colors import to_rgba_array

    colours = to_rgba_array([colour(k) for k in range(n_components)])[labels]
    least = 1 / n_components if n_components > 1 else 0.0
    colours[:, 3] = 0.15 + 0.75 * np.clip((certainty - least) / (1 - least), 0, 1)
    return colours


def badge(ax: Any, place: Any, k: int, size: Any = "small") -> Any:
    """The number of component k on a disc, at a place of the data; it does not widen the axes."""
    disc = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": colour(k), "linewidth": 1.2, "alpha": 0.9}
    look: dict[str, Any] = {"ha": "center", "va": "center", "size": size, "clip_on": True, "zorder": 5}
    return ax.annotate(str(k), place, color="0.1", bbox=disc, **look)
