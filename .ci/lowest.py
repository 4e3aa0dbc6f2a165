"""The lowest versions that pyproject.toml promises, as constraints for pip: python .ci/lowest.py EXTRA..."""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements_of(lines: Iterable[str]) -> Iterator[Requirement]:
    """All of them, with those of emkit's own extras in the place of `emkit[EXTRA]`."""
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:
            for extra in sorted(requirement.extras):
                yield from requirements_of(project["optional-dependencies"][extra])
        else:
            yield requirement


wanted = f"{project['name']}[{','.join(sys.argv[1:])}]"
for requirement in requirements_of([*project["dependencies"], wanted]):
    for bound in requirement.specifier:
        if bound.operator == ">=":
            print(f"{requirement.name}=={bound.version}")
