"""All benchmarks beside their peers; then the tables of README.md and the documentation are written from the results.

    python tests/benchmarks/run_all.py [--only AREA ...] [--python AREA=PYTHON ...] [--write]

All areas take about an hour. The results of each are stored in `tests/benchmarks/results`, with the machine, the
versions and the date; the tables are made of what is stored, and `--write` makes them without a run. The peers are
installed by `pip install -e ".[benchmark,dask]"`, and flexmix by R. `--python` names another interpreter for an area
whose peer asks for older libraries: gcimpute (area `impute`) takes NumPy 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from _report import AREAS, Shown, front_page, together, where

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results"
COMMANDS = {
    "mixture": [],
    "latent_class": [],
    "selection": ["--part", "speed"],
    "hmm": [],
    "topics": ["--only", "curves", "transform", "--seeds", "3"],
    "impute": ["--only", "speed", "real"],
    "experts": [],
    "scale": [],
}
WRITTEN = "written by tests/benchmarks/run_all.py"
BEGIN, END = f"<!-- benchmarks: {WRITTEN} -->\n", "<!-- end of benchmarks -->\n"


def run(area: str, python: str) -> None:
    print(f"=== {area}", flush=True)
    script = HERE / f"{area}.py"
    subprocess.run([python, str(script), *COMMANDS[area], "--json", str(RESULTS / f"{area}.json")], check=True)


def stored() -> dict[str, dict]:
    return {area: json.loads((RESULTS / f"{area}.json").read_text(encoding="utf-8")) for area in AREAS}


def pages(results: dict[str, dict]) -> dict[Path, str]:
    """The text of each file that shows results."""
    shown = {area: AREAS[area](found) for area, found in results.items()}
    front, machine = front_page(shown), together([found["machine"] for found in results.values()])
    texts = {f"{area}.rst": fragment(shown[area], found["machine"]) for area, found in results.items()}
    texts["front.rst"] = f"{front.rst()}\n{where(machine)}\n"
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    found = {ROOT / "doc" / "_benchmarks" / name: f".. {WRITTEN}\n\n{text}" for name, text in texts.items()}
    return {**found, readme: f"{before}{BEGIN}\n{front.markdown()}\n{where(machine)}\n\n{END}{after}"}


def fragment(area: Shown, machine: dict) -> str:
    parts = [area.table.rst(), *([f"{area.text}\n"] if area.text else []), f"{where(machine)}\n"]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=AREAS, help="an area to run; can be given again")
    parser.add_argument(
        "--python", action="append", default=[], metavar="AREA=PYTHON", help="the interpreter of an area"
    )
    parser.add_argument("--write", action="store_true", help="run nothing, write the tables of what is stored")
    options = parser.parse_args()
    interpreters = dict(choice.split("=", 1) for choice in options.python)
    RESULTS.mkdir(exist_ok=True)
    for area in [] if options.write else options.only or AREAS:
        run(area, interpreters.get(area, sys.executable))
    for path, text in pages(stored()).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
