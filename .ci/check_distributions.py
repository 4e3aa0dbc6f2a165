"""Whether the built archives hold what they should: python .ci/check_distributions.py dist"""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
(folder,) = map(Path, sys.argv[1:])
(wheel,) = folder.glob("*.whl")
(source,) = folder.glob("*.tar.gz")

with zipfile.ZipFile(wheel) as archive:
    in_wheel = set(archive.namelist())
with tarfile.open(source) as archive:
    in_source = {name.partition("/")[2] for name in archive.getnames()}
package = {
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.py", "*.pyi", "*.pyx", "*.h", "*.csv", "py.typed")
    for path in (ROOT / "emkit").rglob(pattern)
}
kernels = [path.stem for path in (ROOT / "emkit/kernels").glob("*.pyx")]
others = {name for name in in_wheel if not name.startswith("emkit/")}

errors = [f"{wheel.name} lacks {name}" for name in sorted(package - in_wheel)]
errors += [f"{source.name} lacks {name}" for name in sorted(package - in_source)]
errors += [f"{wheel.name} has {name}" for name in sorted(others) if ".dist-info/" not in name]
errors += [f"{name} was compiled elsewhere" for name in in_source if name.endswith((".so", ".pyd", ".o"))]
errors += [
    f"{wheel.name} has no compiled {kernel}"
    for kernel in kernels
    if not any(name.startswith(f"emkit/kernels/{kernel}.") and name.endswith((".so", ".pyd")) for name in in_wheel)
]
errors += [f"{source.name} lacks {name}" for name in ("LICENSE", "README.md", "CITATION.cff") if name not in in_source]
if errors:
    sys.exit("\n".join(errors))
print(f"{wheel.name}: {len(in_wheel)} files; {source.name}: {len(in_source)} files")
