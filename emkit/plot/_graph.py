"""A Markov chain as discs and arrows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._axes import inches_of
from ._look import colour

FEW, SOME = 5, 8  # states up to which faint arrows are drawn; up to which arrows have numbers
LEAST, LEAST_OF_MANY, LEAST_SAID = 0.01, 0.05, 0.25  # probabilities: of an arrow, if more than FEW, of its number then
WIDEST = 6.0  # points: the arrow of a sure transition
BEND, LOOP = 0.2, -1.7  # of arrows, so that there and back do not cover each other; of those to the same state
LOOP_TURN = 0.5  # radians on a disc between its outermost point and the ends of a loop
ROOM = 0.55  # around the discs, in radii of the circle
SMALLEST_TEXT = 5.0  # points
LARGE_DISC = 30.0  # points: radius from which on arrows are as wide as they may be


def draw_graph(ax: Any, startprob: np.ndarray, transmat: np.ndarray, durations: np.ndarray) -> None:
    """States on a circle, clockwise from the top (two: from the left); `durations` are those of stays."""
    n = len(startprob)
    places = _places(n)
    radius = min(0.36, 0.72 * np.sin(np.pi / max(n, 2)))
    edge = radius + ROOM
    room = np.abs(places).max(axis=0).round(9).astype(bool) + edge  # two states lie side by side
    ax.set(xlim=(-room[0], room[0]), ylim=(-room[1], room[1]), aspect="equal")
    ax.set_axis_off()
    points = (inches_of(ax) / (2 * room)).min() * 72 * radius
    for j, k in zip(*np.nonzero(transmat >= (LEAST if n <= FEW else LEAST_OF_MANY)), strict=True):
        curve = _loop(places[j], radius) if j == k else _bow(places[j], places[k], radius)
        _draw_arrow(ax, curve, transmat[j, k], colour(j), min(points / LARGE_DISC, 1))
        if n <= FEW or (n <= SOME and transmat[j, k] >= LEAST_SAID):
            _draw_number(ax, curve, 0.5 if j == k else 0.4, transmat[j, k], max(0.3 * points, SMALLEST_TEXT))
    for k, place in enumerate(places):
        _draw_disc(ax, place, radius, k)
        _draw_name(ax, place, radius, k, f"start {startprob[k]:.2f}\nstay {_duration(durations[k])}", points)


def _places(n: int) -> np.ndarray:
    if n == 1:
        return np.zeros((1, 2))
    first = np.pi if n == 2 else np.pi / 2
    angles = first - 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _bow(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Control points of a quadratic Bezier curve between the edges of two discs, (3, 2)."""
    along = (end - start) / np.linalg.norm(end - start)
    aside = np.array([along[1], -along[0]])
    turn = np.arctan(2 * BEND)  # the direction in which a bow of this bend sets out
    leave = start + radius * (np.cos(turn) * along + np.sin(turn) * aside)
    arrive = end + radius * (-np.cos(turn) * along + np.sin(turn) * aside)
    return np.array([leave, _control(leave, arrive, BEND), arrive])


def _loop(place: np.ndarray, radius: float) -> np.ndarray:
    """The same from a disc to itself, on the side that looks away from the others."""
    outwards = np.arctan2(place[1], place[0]) if place.any() else np.pi / 2
    angles = outwards + np.array([LOOP_TURN, -LOOP_TURN])
    leave, arrive = place + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return np.array([leave, _control(leave, arrive, LOOP), arrive])


def _control(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    dx, dy = end - start
    control: np.ndarray = (start + end) / 2 + bend * np.array([dy, -dx])
    return control


def _draw_arrow(ax: Any, curve: np.ndarray, probability: float, ink: str, scale: float) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    style = f"-|>,head_length={0.3 + 0.3 * probability},head_width={0.15 + 0.2 * probability}"
    look: dict[str, Any] = {"lw": scale * (0.6 + (WIDEST - 0.6) * probability), "alpha": 0.45 + 0.45 * probability}
    path = Path(curve, [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    ax.add_patch(
        FancyArrowPatch(path=path, color=ink, arrowstyle=style, mutation_scale=14 * scale, joinstyle="miter", **look)
    )


def _draw_number(ax: Any, curve: np.ndarray, share: float, probability: float, size: float) -> None:
    """The probability, at a share of the way along its arrow."""
    place = np.array([(1 - share) ** 2, 2 * share * (1 - share), share**2]) @ curve
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    look: dict[str, Any] = {"ha": "center", "va": "center", "size": min(size, 9), "zorder": 2.5, "bbox": box}
    ax.text(*place, f"{probability:.2f}", color="0.1", **look)


def _draw_disc(ax: Any, place: np.ndarray, radius: float, k: int) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((place[0], place[1]), radius, facecolor="white", edgecolor=colour(k), lw=2, zorder=3))


def _draw_name(ax: Any, place: np.ndarray, radius: float, k: int, text: str, points: float) -> None:
    """Number and further lines in a disc with a radius of so many points; the number alone if it is small."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4}
    size = min(0.27 * points, 11)
    if size < SMALLEST_TEXT:
        ax.text(*place, str(k), weight="bold", size=float(np.clip(0.8 * points, SMALLEST_TEXT, 12)), **look)
        return
    ax.text(place[0], place[1] + 0.45 * radius, str(k), weight="bold", size=1.5 * size, **look)
    ax.text(place[0], place[1] - 0.25 * radius, text, size=size, **look)


def _duration(value: float) -> str:
    return "∞" if not np.isfinite(value) else f"{value:.1f}" if value < 100 else f"{value:.0f}"
