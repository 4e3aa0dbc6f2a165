"""Pickled estimators of each release, with their rows and what they said of them: a zip archive for each version.

``python tests/stored_pickles.py`` writes that of a release. It is not written again: what a user has pickled does not
change either. `test_stored_pickles.py` loads them all.
"""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from all_estimators import COLUMNS, fit, only_documented_warnings, outputs

from emkit import __version__

FOLDER = Path(__file__).parent / "data" / "pickles"
PROTOCOL = 4
ROWS = ("X", "y")


def write(path: Path) -> None:
    """Every estimator of `all_estimators.py`."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, column in COLUMNS.items():
            with only_documented_warnings():
                model = fit(column, column.X, column.y)
                said = outputs(model, column.X, column.y)
            rows = {"X": column.X} | ({} if column.y is None else {"y": column.y})
            archive.writestr(f"{name}/model.pickle", pickle.dumps(model, PROTOCOL))
            archive.writestr(f"{name}/said.npz", _npz(rows | said))


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def names(path: Path) -> list[str]:
    with ZipFile(path) as archive:
        return [name.removesuffix("/model.pickle") for name in archive.namelist() if name.endswith("/model.pickle")]


def read(path: Path, name: str) -> tuple[bytes, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A pickle, the rows, and what the model said of them."""
    with ZipFile(path) as archive:
        said: dict[str, Any] = dict(np.load(io.BytesIO(archive.read(f"{name}/said.npz"))))
        rows = {key: said.pop(key) for key in ROWS if key in said}
        return archive.read(f"{name}/model.pickle"), rows, said


if __name__ == "__main__":
    if "dev" in __version__:
        sys.exit(f"{__version__} is no release: its pickles need not be read by later versions")
    FOLDER.mkdir(exist_ok=True)
    write(FOLDER / f"{__version__}.zip")
