"""The lowest versions that pyproject.toml promises, as constraints for pip: python .ci/lowest.py EXTRA..."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]


def requirements(lines):
    """All of them, with those of emkit's own extras in the place of `emkit[EXTRA]`."""
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == project["name"]:
            for extra in sorted(requirement.extras):
                yield from requirements(extras[extra])
        else:
            yield requirement


for requirement in requirements([*project["dependencies"], *(line for extra in sys.argv[1:] for line in extras[extra])]):
    for bound in requirement.specifier:
        if bound.operator == ">=":
            print(f"{requirement.name}=={bound.version}")
