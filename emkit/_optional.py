"""Libraries that are not needed, imported when something asks for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def pandas_for(caller: str) -> Any:
    """pandas; ImportError that says how to install it."""
    return _imported("pandas", caller, "pandas", "pip install pandas")


def pyplot_for(caller: str) -> Any:
    """matplotlib.pyplot; ImportError that says how to install it."""
    return _imported("matplotlib.pyplot", caller, "matplotlib", 'pip install "emkit[plot]"')


def _imported(module: str, caller: str, library: str, installs: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{caller} needs {library}, which cannot be imported; {installs} installs it") from error
