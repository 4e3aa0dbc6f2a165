"""How statistics of chunks are summed: one after the other, or in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, Protocol, TypeVar

from joblib import Parallel, delayed

S = TypeVar("S")


class Executor(Protocol):
    """One method. The statistics are added in the order of the chunks, so every executor gives the same bits."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S: ...


class Serial:
    """One chunk after the other, in the calling thread."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        return reduce(add, map(function, chunks))


class Threads:
    """Chunks in `n_jobs` threads of one pool; kernels release the GIL. Use as a context manager.

    Chunks are read as threads become free and statistics are added as they arrive in order, so that few of either
    are in memory at once.
    """

    def __init__(self, n_jobs: int) -> None:
        self._pool = Parallel(n_jobs=n_jobs, backend="threading", return_as="generator", pre_dispatch="2 * n_jobs")

    def __enter__(self) -> Threads:
        self._pool.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.__exit__(*exception)

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        return reduce(add, self._pool(delayed(function)(chunk) for chunk in chunks))
