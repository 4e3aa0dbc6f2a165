"""What two pages say is the same in both, and what a page should list is complete."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_tables_of_benchmarks_are_those_of_the_stored_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    from run_all import AREAS, pages, stored

    written = pages(stored())
    assert len(written) == len(AREAS) + 2  # a table for each area, the front page, the README
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run tests/benchmarks/run_all.py --write"


@pytest.mark.parametrize("area", ["mixture", "selection", "hmm", "topics", "impute", "experts", "scale"])
def test_the_page_of_benchmarks_shows_each_area(area):
    assert f".. include:: _benchmarks/{area}.rst" in read("doc/benchmarks.rst")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("plot_*.py")), ids=lambda path: path.stem)
def test_an_example_has_a_title_and_a_picture_and_is_short(path):
    source = path.read_text(encoding="utf-8")
    assert re.match(r'"""\n.+\n=+\n\n\S', source)
    assert "plt.show()" in source
    code = source.split('"""', 2)[2].splitlines()
    assert sum(1 for line in code if line.strip() and not line.lstrip().startswith("#")) <= 60


def test_every_page_of_the_guide_is_in_its_table():
    for folder, page in (("doc/user_guide", "doc/user_guide/index.rst"), ("doc", "doc/moving.rst")):
        listed = set(re.findall(r"^   (\w+)$", read(page), flags=re.MULTILINE))
        prefix = "from_" if folder == "doc" else ""
        assert listed == {p.stem for p in (ROOT / folder).glob(f"{prefix}*.rst")} - {"index"}
