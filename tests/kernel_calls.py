"""Calls of the kernels, recorded with the bits that they gave, and made again on another processor.

``python tests/kernel_calls.py record FILE`` records those of `test_kernels_fuzz.py`. With ``replay`` instead, which
needs NumPy alone, they are made again, and the first whose bits differ is named. `.ci/baseline` replays them on
emulated processors, so that each clone of the kernels (see `emkit/kernels/_portable.h`) is compared.
"""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

KERNELS = ("_kernels", "_markov", "_topics", "_conditional")
N_SEEDS = 12
# What calls exp and log of the C library, which has clones of its own that differ by an ulp.
OF_LIBRARY = {"forward", "forward_backward", "log_filter", "log_smooth", "sum_of_logs"}


class Call(NamedTuple):
    """Arguments before and after, and what was returned."""

    kernel: str
    before: tuple[Any, ...]  # with one array in two places where it was
    after: tuple[Any, ...]
    result: Any


def loaded(name: str) -> ModuleType:
    """A compiled module, without the package that it belongs to."""
    paths = [Path(__file__).parent.parent / f"emkit/kernels/{name}{suffix}" for suffix in EXTENSION_SUFFIXES]
    spec = importlib.util.spec_from_file_location(
        f"emkit.kernels.{name}", next(path for path in paths if path.exists())
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record() -> dict[str, list[Call]]:
    import test_kernels_fuzz as fuzz

    from emkit import kernels
    from emkit.kernels import _conditional, _markov, _topics

    calls: dict[str, list[Call]] = {name: [] for name in KERNELS}

    def recorder(kernel: str, function: Any, into: list[Call]) -> Any:
        def call(*arguments: Any) -> Any:
            before = copy.deepcopy(arguments)
            result = function(*arguments)
            into.append(Call(kernel, before, copy.deepcopy(arguments), result))
            return result

        return call

    for name, module in zip(KERNELS, (kernels, _markov, _topics, _conditional), strict=True):
        for kernel, function in list(vars(module).items()):
            if "cython" in type(function).__name__ and not kernel.startswith("_"):
                setattr(module, kernel, recorder(kernel, function, calls[name]))
    for check in fuzz.CHECKS:
        for seed in range(N_SEEDS):
            check(np.random.default_rng(seed))
    return calls


def outputs(kernel: str, arguments: tuple[Any, ...], result: Any) -> list[Any]:
    values = [*arguments, result]
    if kernel == "forward":  # where the rest of this array is room for work
        values[4] = values[4][: len(values[0])]
    return values


def agree(actual: Any, expected: Any, exactly: bool) -> bool:
    if not isinstance(expected, np.ndarray | float):
        return bool(actual == expected)
    actual, expected = np.asarray(actual), np.asarray(expected)
    if exactly or expected.dtype.kind != "f":
        return actual.tobytes() == expected.tobytes()
    return np.allclose(actual, expected, rtol=1e-13, atol=1e-13, equal_nan=True)


def replay(calls: dict[str, list[Call]]) -> None:
    for name, of_module in calls.items():
        module = loaded(name)
        for number, call in enumerate(of_module):
            arguments = copy.deepcopy(call.before)
            result = getattr(module, call.kernel)(*arguments)
            pairs = zip(
                outputs(call.kernel, arguments, result), outputs(call.kernel, call.after, call.result), strict=True
            )
            if not all(agree(*pair, call.kernel not in OF_LIBRARY) for pair in pairs):
                sys.exit(f"call {number} of {name}.{call.kernel} gives other bits")
        kernels = sorted({call.kernel for call in of_module})
        print(f"{name}: {len(of_module)} calls of {', '.join(kernels)}")


if __name__ == "__main__":
    action, path = sys.argv[1], Path(sys.argv[2])
    if action == "record":
        path.write_bytes(pickle.dumps(record()))
    else:
        replay(pickle.loads(path.read_bytes()))
