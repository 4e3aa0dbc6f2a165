"""How statistics of chunks are summed: one after the other, or in threads. Every executor gives the same bits.

Floating-point addition is not associative, so the order is fixed: chunk i belongs to lane i modulo `N_LANES`, the
statistics of a lane are added one after the other, and the lanes in order at the end. Whatever the number of chunks,
only the lanes are in memory, the chunks being worked on, and one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from operator import add
from typing import Any, Protocol, TypeVar

from joblib import Parallel, delayed

S = TypeVar("S")

N_LANES = 8


class Executor(Protocol):
    """One method: the sum of ``function(chunk)`` over the chunks."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S: ...


class Serial:
    """One chunk after the other, in the calling thread."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        lanes: list[S] = []
        for index, chunk in enumerate(chunks):
            _add_to_lane(lanes, index % N_LANES, function(chunk))
        return reduce(add, lanes)


class Threads:
    """Up to `N_LANES` chunks at a time in `n_jobs` threads of one pool; kernels release the GIL. A context manager."""

    def __init__(self, n_jobs: int) -> None:
        self._pool = Parallel(n_jobs=n_jobs, backend="threading")

    def __enter__(self) -> Threads:
        self._pool.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.__exit__(*exception)

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        lanes: list[S] = []
        for group in _groups(chunks):
            for lane, stats in enumerate(self._pool(delayed(function)(chunk) for chunk in group)):
                _add_to_lane(lanes, lane, stats)
        return reduce(add, lanes)


def _add_to_lane(lanes: list[S], lane: int, stats: S) -> None:
    if lane == len(lanes):
        lanes.append(stats)
    else:
        lanes[lane] = add(lanes[lane], stats)


def _groups(chunks: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(chunks)
    while group := list(islice(iterator, N_LANES)):
        yield group
