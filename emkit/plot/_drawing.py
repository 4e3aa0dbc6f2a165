"""Components of a mixture, drawn into axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._components import Components
from ._look import badge, colour, line

MOST_BINS = 80
GRID = 400  # places at which a curve is drawn; beside them
NEAR_MEAN = np.linspace(-4, 4, 81)  # standard deviations from each mean
MESH = 150  # places a side of the plane
DEEPEST = 12.0  # nats: how far below its maximum the log density is drawn
TALLEST = 1.5  # of the highest bar: how high curves may be
WHOLE = "0.25"  # colour of the mixture


def draw_ellipses(ax: Any, components: Components, levels: Any) -> None:
    """Of each level, the inner ones with heavier lines."""
    from matplotlib.patches import Ellipse

    for place, level in enumerate(sorted(levels)):
        for k, radius in enumerate(components.radii(level)):
            values, vectors = np.linalg.eigh(components.covariances[k])
            width, height = 2 * radius * np.sqrt(np.maximum(values, 0))
            angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
            look = {"edgecolor": colour(k), "facecolor": "none", "lw": max(1.8 - 0.7 * place, 0.8), "zorder": 3}
            ax.add_patch(Ellipse(components.means[k], width, height, angle=angle, **look))


def draw_log_density(ax: Any, components: Components, levels: Any) -> None:
    """Log density of the mixture within the limits of the axes; `levels` are those of ellipses."""
    x, y = (np.linspace(low, high, MESH) for low, high in (ax.get_xlim(), ax.get_ylim()))
    mesh = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    density = components.density(mesh).reshape(MESH, MESH)
    log_density = np.log(np.maximum(density, np.finfo(np.float64).tiny))
    top = log_density.max()
    deepest = min(DEEPEST, max(top - log_density.min(), 1))  # less where noise is the floor
    steps = np.linspace(top - deepest, top, 13)
    areas = ax.contourf(x, y, log_density, steps, cmap="Greys", alpha=0.6, zorder=0, extend="min")
    ax.contour(x, y, log_density, steps, colors="white", linewidths=0.6, linestyles="solid", zorder=0.5)
    ax.figure.colorbar(areas, ax=ax, label="log density (natural)", format="{x:.1f}")


def draw_curves(ax: Any, components: Components, x: np.ndarray, tallest: float, number_size: Any) -> float:
    """Curves, and that of the mixture; the height that they need, which is bounded by that of the tallest bar."""
    curves = components.joint_density(x[:, None])
    total = components.density(x[:, None])
    top = float(min(total.max(), TALLEST * tallest) if tallest else total.max())
    if len(components) > 1 or components.noise_weight:
        ax.plot(x, total, color=WHOLE, lw=1.2, zorder=3)
    for k, curve in enumerate(curves.T):
        ax.plot(x, curve, color=colour(k), ls=line(k), lw=1.8, zorder=3.5)
        badge(ax, (x[curve.argmax()], min(curve.max(), top)), k, number_size)
    return top


def curve_places(components: Components, low: float, high: float) -> np.ndarray:
    """Even, and near each mean, so that narrow components are seen."""
    near = components.means + components.scales() * NEAR_MEAN
    x = np.unique(np.concatenate([np.linspace(low, high, GRID), near.ravel()]))
    return x[(low <= x) & (x <= high)]


def bin_edges(values: np.ndarray, components: Components) -> np.ndarray:
    """Bins as wide as Scott (1979) advises for a typical component, but not too many; they cover all values."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    scale = np.sqrt(np.average(components.scales()[:, 0] ** 2, weights=components.weights))
    n_bins = np.ceil((high - low) * np.cbrt(len(values)) / (3.49 * scale))
    return np.linspace(low, high, int(min(n_bins, MOST_BINS)) + 1)
