"""Tables and numbers as the documentation shows them: reStructuredText for its pages, Markdown for the README."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """`rows` of cells in reStructuredText; `widths` of the columns are per cent of the page."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    widths: tuple[int, ...]

    def rst(self) -> str:
        options = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, self.widths))}", ""]
        lines = [f"   {'* -' if j == 0 else '  -'} {cell}".rstrip() for row in self._all for j, cell in enumerate(row)]
        return "\n".join([*options, *lines, ""])

    def markdown(self) -> str:
        head, *rows = (f"| {' | '.join(row)} |".replace("``", "`") for row in self._all)
        return "\n".join([head, "|---" * len(self.heads) + "|", *rows, ""])

    @property
    def _all(self):
        return [self.heads, *self.rows]


def duration(seconds: float) -> str:
    """Three digits, in milliseconds below one second."""
    return f"{digits(1e3 * seconds)} ms" if seconds < 0.9995 else f"{digits(seconds)} s"


def digits(value: float) -> str:
    """Three significant digits, and all those before the point."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def ratio(value: float) -> str:
    """How many times: two digits, or all those before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def pair(ours: float, theirs: float, form: str) -> str:
    return f"{ours:{form}} / {theirs:{form}}"
