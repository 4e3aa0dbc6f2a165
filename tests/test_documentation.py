"""What two pages say is the same in both, and what a page should list is complete."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e\d+)?")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def numbers(text):
    return set(NUMBER.findall(text))


def readme_tables():
    """The text of each part of the README's benchmarks, by the estimator with which it begins."""
    section = read("README.md").split("## Benchmarks\n")[1].split("\n## ")[0]
    parts = re.split(r"^`(\w+)`(?=[ ,]+(?:beside|by|Gaussian))", section, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def front_page_rows():
    rows = re.split(r"^   \* - ", read("doc/_benchmarks.rst"), flags=re.MULTILINE)[2:]
    return {row.split("``")[1]: row for row in rows}


def test_the_front_page_has_a_row_for_each_area():
    assert list(front_page_rows()) == list(readme_tables())


@pytest.mark.parametrize("name", front_page_rows())
def test_figures_of_the_front_page_are_those_of_the_readme(name):
    row = front_page_rows()[name]
    assert len(numbers(row)) >= 4
    assert numbers(row) - {"1"} <= numbers(readme_tables()[name])


@pytest.mark.parametrize(("page", "name"), [("mixture", "EMGaussianMixture"), ("iterative_imputer", "EMImputer")])
def test_figures_of_pages_on_moving_are_those_of_the_readme(page, name):
    table = read(f"doc/from_{page}.rst").split("\nSpeed\n-----\n")[1].split("   * - ", 2)[2].split("\n\n")[0]
    assert len(numbers(table)) >= 10
    assert numbers(table) <= numbers(readme_tables()[name])


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
