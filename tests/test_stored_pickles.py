"""Pickles of earlier releases are loaded, with a warning, and predict what they did; the archives: `stored_pickles`."""

import pickle
import warnings

import pytest
from all_estimators import COLUMNS, outputs
from numpy.testing import assert_allclose
from sklearn.exceptions import InconsistentVersionWarning
from stored_pickles import FOLDER, names, read, write

import emkit
from emkit import _estimator

STORED = sorted(FOLDER.glob("*.zip"))


def loaded(pickled, version):
    """The estimator, which warns if it is of another version than that which loads it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = pickle.loads(pickled)
    of_emkit = [str(warning.message) for warning in caught if version in str(warning.message)]
    assert all(issubclass(warning.category, InconsistentVersionWarning) for warning in caught)
    assert bool(of_emkit) == (version != emkit.__version__), caught
    return model


def assert_says_the_same(model, rows, said):
    says = outputs(model, *rows.values())
    assert says.keys() >= said.keys()
    for key, value in said.items():
        assert_allclose(says[key], value, rtol=1e-6, atol=1e-9, err_msg=key)


@pytest.mark.parametrize(("path", "name"), [(path, name) for path in STORED for name in names(path)])
def test_stored(path, name):
    pickled, rows, said = read(path, name)
    assert_says_the_same(loaded(pickled, path.stem), rows, said)


@pytest.mark.parametrize("version", ["0.0.7", emkit.__version__])
def test_written_anew(version, tmp_path, monkeypatch):
    """As the test above, of an archive that pretends to be of this version."""
    monkeypatch.setattr(_estimator, "__version__", version)
    write(tmp_path / "pickles.zip")
    monkeypatch.undo()
    assert names(tmp_path / "pickles.zip") == list(COLUMNS)
    assert (tmp_path / "pickles.zip").stat().st_size < 500_000
    for name in COLUMNS:
        pickled, rows, said = read(tmp_path / "pickles.zip", name)
        assert_says_the_same(loaded(pickled, version), rows, said)


def test_a_release_has_its_pickles():
    """Written by ``python tests/stored_pickles.py``."""
    assert "dev" in emkit.__version__ or FOLDER / f"{emkit.__version__}.zip" in STORED
