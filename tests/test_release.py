"""What a release needs: one version, light imports, types, and a changelog that begins with the version."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import emkit

ROOT = Path(__file__).parent.parent


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert emkit.__version__ == version("emkit") == project["version"] == cited[1]


def test_changelog_begins_with_the_version():
    heading = re.search(
        r"^(\d\S*)( \(.*\))?\n-+$", (ROOT / "doc/changelog.rst").read_text(encoding="utf-8"), re.MULTILINE
    )
    released, _, rest = emkit.__version__.partition(".dev")
    assert heading[1] == released
    assert (heading[2] == " (in development)") == bool(rest)


def test_types_are_marked():
    assert (Path(emkit.__file__).parent / "py.typed").exists()


def test_import_loads_nothing_optional():
    """Beyond what scikit-learn itself loads, and that is pandas at times."""
    code = """
import sys, sklearn.impute, sklearn.mixture
before = set(sys.modules)
import emkit, emkit.datasets, emkit.metrics, emkit.plot
print(*{"matplotlib", "pandas", "polars", "dask", "distributed"} & (set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
