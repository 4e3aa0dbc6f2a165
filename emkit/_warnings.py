"""What estimators warn of, and where a warning is said to come from: the user's line, whatever lies between."""

from __future__ import annotations

import sys
from types import FrameType

OWN = ("emkit", "sklearn", "joblib")


def callers_level() -> int:
    """The `stacklevel` of a warning by the function that calls this, such that it names the first line outside."""
    frame: FrameType | None = sys._getframe(1)
    level = 1
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in OWN:
        frame, level = frame.f_back, level + 1
    return level


class DegenerateSolutionWarning(RuntimeWarning):
    """A component has collapsed onto a few rows, was seeded anew, or is held wider than its rows by `reg_covar`."""
