"""What two pages say is the same in both, and what a page should list is complete."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*/plot_*.py"))
SCRIPTS = EXAMPLES + sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.rst")), *sorted((ROOT / "doc/user_guide").glob("*.rst"))]
CODE_COLUMN = 104  # characters that fit a docstring's column in a window 1,400 pixels wide, a guide's in one of 1,366


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_tables_of_benchmarks_are_those_of_the_stored_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import run_all

    written = run_all.pages(run_all.stored())
    assert len(written) == len(run_all.AREAS) + 2  # a table for each area, the front page, the README
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run tests/benchmarks/run_all.py --write"


AREAS = sorted(path.stem for path in (ROOT / "doc/_benchmarks").glob("*.rst") if path.stem != "front")


@pytest.mark.parametrize("area", AREAS)
def test_the_page_of_benchmarks_shows_each_area(area):
    assert f".. include:: _benchmarks/{area}.rst" in read("doc/benchmarks.rst")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_title_real_data_and_a_picture_and_is_short(path):
    source = path.read_text(encoding="utf-8")
    assert re.match(r'"""\n(.+)\n=+\n\n\S', source)
    imported = re.findall(r"^from (?:emkit|sklearn)\.datasets import (.+)$", source, flags=re.MULTILINE)
    assert imported
    assert all(name.startswith("load_") for names in imported for name in names.split(", "))
    assert "plt.show()" in source
    below = source.split('"""', 2)[2].splitlines()
    assert sum(1 for line in below if line.strip()) <= 60


def test_the_gallery_has_all_examples_and_a_heading_for_each_folder():
    folders = re.findall(r'"\.\./examples/(\w+)"', read("doc/conf.py"))
    assert {path.parent.name for path in EXAMPLES} == set(folders)
    assert all((ROOT / "examples" / name / "GALLERY_HEADER.rst").exists() for name in folders)


def code_lines(path):
    """The lines of a file that a page shows as code: of an example, of a guide or docstring, of the README."""
    text = path.read_text(encoding="utf-8")
    if path in SCRIPTS:
        return [line for line in text.split('"""', 2)[2].splitlines() if not line.startswith("#")]
    if path.suffix == ".md":
        return [line for block in text.split("```")[1::2] for line in block.splitlines()]
    blocks = re.findall(r"^\.\. code-block:: (?!text).*\n((?:\n|   .*\n)+)", text, flags=re.MULTILINE)
    doctests = re.findall(r"^ *((?:>>>|\.\.\.) .*)$", text, flags=re.MULTILINE)
    return doctests + [line[3:] for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("path", SCRIPTS + PAGES + sorted((ROOT / "emkit").rglob("*.py")), ids=lambda path: path.name)
def test_code_fits_its_column(path):
    assert [line for line in code_lines(path) if len(line) > CODE_COLUMN] == []


def test_every_page_of_the_guide_is_in_its_table():
    for folder, page in (("doc/user_guide", "doc/user_guide/index.rst"), ("doc", "doc/moving.rst")):
        listed = set(re.findall(r"^   (\w+)$", read(page), flags=re.MULTILINE))
        prefix = "from_" if folder == "doc" else ""
        assert listed == {p.stem for p in (ROOT / folder).glob(f"{prefix}*.rst")} - {"index"}


@pytest.mark.parametrize(
    "name", ["gaussian_mixture", "mixture", "hidden_markov", "topic_model", "imputer", "mixture_of_experts"]
)
def test_a_guide_has_the_steps_the_cost_what_fails_and_how_to_move(name):
    guide = read(f"doc/user_guide/{name}.rst")
    assert "**E-step**" in guide
    assert "**M-step**" in guide
    assert len(re.findall(r"^\.\. math::", guide, flags=re.MULTILINE)) >= 3
    sections = re.findall(r"^(.+)\n-{4,}$", guide, flags=re.MULTILINE)
    assert {"Failure modes", "References"} <= set(sections)
    assert any(section.startswith(("Time", "Speed")) for section in sections)
    assert re.search(r":doc:`\.\./from_\w+`", guide)
    assert "../auto_examples/" in guide
