"""What the displays share of axes: they are made or checked, and divided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._optional import pyplot_for


def one_axes(ax: Any, size: tuple[float, float]) -> Any:
    """Axes as given, or those of a new figure of `size` in inches."""
    if ax is None:
        return new_axes(figsize=size)
    if not hasattr(ax, "barh"):
        raise ValueError(f"ax must be Axes of matplotlib or None, but got {ax!r}")
    return ax


def new_axes(n_rows: int = 1, n_columns: int = 1, **options: Any) -> Any:
    """Axes of a new figure."""
    return pyplot_for("a picture").subplots(n_rows, n_columns, layout="constrained", **options)[1]


def panels_below(ax: Any, heights: Sequence[float]) -> list[Any]:
    """`ax` and new axes below it, of relative `heights`, all in its place and with its abscissa."""
    first, *others = (row[0] for row in places_in(ax, heights, (1.0,), hspace=0.08))
    move_to(ax, first)
    return [ax, *(axes_at(ax.figure, place, sharex=ax) for place in others)]


def places_in(ax: Any, heights: Sequence[float], widths: Sequence[float], **gaps: float) -> list[list[Any]]:
    """Places for axes within that of `ax`, by row and column; boxes in the figure if `ax` is in no grid."""
    shape = (len(heights), len(widths))
    look: dict[str, Any] = {"height_ratios": heights, "width_ratios": widths, **gaps}
    spec = ax.get_subplotspec()
    if spec is not None:
        grid = spec.subgridspec(*shape, **look)
        return [[grid[i, j] for j in range(shape[1])] for i in range(shape[0])]
    from matplotlib.gridspec import GridSpec

    box = ax.get_position()
    grid = GridSpec(*shape, ax.figure, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1, **look)
    return [[grid[i, j].get_position(ax.figure) for j in range(shape[1])] for i in range(shape[0])]


def move_to(ax: Any, place: Any) -> None:
    """To one of the places of `places_in`."""
    if hasattr(place, "get_gridspec"):
        ax.set_subplotspec(place)
    else:
        ax.set_position(place)


def axes_at(figure: Any, place: Any, **options: Any) -> Any:
    """New axes at one of the places of `places_in`."""
    if hasattr(place, "get_gridspec"):
        return figure.add_subplot(place, **options)
    return figure.add_axes(place.bounds, **options)


def inches_of(ax: Any) -> tuple[float, float]:
    """Width and height, before a layout gives some of them to labels."""
    box, figure = ax.get_position(), ax.figure
    return box.width * figure.get_figwidth(), box.height * figure.get_figheight()


def bare(ax: Any) -> None:
    """Without the frame at the top and at the right."""
    ax.spines[["top", "right"]].set_visible(False)


def compact_legend(ax: Any, **options: Any) -> Any:
    """A legend that leaves room for the picture."""
    look = {"fontsize": "small", "title_fontsize": "small", "handlelength": 1.6, "labelspacing": 0.3, "borderpad": 0.3}
    return ax.legend(**{**look, **options})
