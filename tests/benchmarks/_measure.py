"""Run a piece of work in a fresh process with one BLAS thread and measure it: time, processor time, memory.

A piece of work is a function of a benchmark module, named by `module:function`, that takes JSON arguments, makes its
data, and returns a function to be timed; that one returns a dictionary of results.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}


def run_fresh(work: str, repeat: int = 1, **arguments) -> dict:
    """Best of `repeat` processes: the least of each time (keys with wall or cpu), the other results of the last."""
    runs = [_run_once(work, arguments) for _ in range(repeat)]
    times = [key for key in runs[-1] if key.endswith(("wall", "cpu"))]
    return {**runs[-1], **{key: min(run[key] for run in runs) for key in times}}


def _run_once(work: str, arguments: dict) -> dict:
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), work, json.dumps(arguments)]
    done = subprocess.run(command, env={**os.environ, **one_thread}, cwd=HERE, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{work} {arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class PeakMemory:
    """Largest resident set while active, beyond that at the beginning; MB."""

    def __enter__(self):
        self._before = self._largest = _resident_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self):
        while not self._stop.wait(0.01):
            self._largest = max(self._largest, _resident_mb())

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()
        self.mb = max(self._largest, _resident_mb()) - self._before


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def machine(*peers: str) -> dict:
    """Where and when a benchmark ran, and with which versions: `peers` are the distributions that only it needs."""
    names = ("numpy", "scipy", "scikit-learn", "joblib", "emkit", *peers)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = about.get("flags", "").split()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": about.get("model name", platform.processor()),
        "vectors": next((name for flag, name in VECTORS.items() if flag in flags), "no AVX2"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def store(path: str | None, found: dict, *peers: str) -> None:
    """Write what a benchmark found, and where, if there is a path to write it to."""
    if path:
        Path(path).write_text(json.dumps({"machine": machine(*peers), **found}, indent=1), encoding="utf-8")


def cpu_timed(function, *arguments):
    """Processor time of a call, and its result."""
    began = time.process_time()
    result = function(*arguments)
    return time.process_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("arguments")
    options = parser.parse_args()
    module, function = options.work.split(":")
    sys.path.insert(0, str(HERE))
    timed = getattr(importlib.import_module(module), function)(**json.loads(options.arguments))
    with PeakMemory() as memory:
        wall, cpu = time.perf_counter(), time.process_time()
        results = timed()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": memory.mb, **results}))


if __name__ == "__main__":
    main()
