"""What the displays share: axes that are made or checked."""

from __future__ import annotations

from typing import Any


def one_axes(ax: Any, size: tuple[float, float]) -> Any:
    """Axes as given, or those of a new figure of `size` in inches."""
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=size, layout="constrained")[1]
    if not hasattr(ax, "barh"):
        raise ValueError(f"ax must be Axes of matplotlib or None, but got {ax!r}")
    return ax
