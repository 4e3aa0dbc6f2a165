"""How statistics of chunks are summed: one after the other, or in threads. Every executor gives the same bits.

Floating-point addition is not associative, so the order is fixed: chunk i belongs to lane i modulo `N_LANES`, the
statistics of a lane are added one after the other, and the lanes in order at the end. Whatever the number of chunks,
only the lanes are in memory, the chunks being worked on, and one sum.

Chunks may lie elsewhere, as on the workers of a cluster: see :class:`Elsewhere`. Then functions go there, and what they
give comes back in the order of the chunks, so that the sum has the same bits again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, reduce
from operator import add
from typing import Any, Protocol, TypeVar, runtime_checkable

S = TypeVar("S")

N_LANES = 8


@runtime_checkable
class Elsewhere(Protocol):
    """Chunks that are not here: a function goes to where they are."""

    def each(self, function: Callable[..., S], *aligned: Iterable[Any]) -> Iterator[S]:
        """``function(chunk, *values)`` of each chunk, in their order; `aligned` hold a value for each chunk."""


def each(function: Callable[..., S], chunks: Iterable[Any], *aligned: Iterable[Any]) -> Iterator[S]:
    """As ``map(function, chunks, *aligned)``, worked out where the chunks are."""
    return chunks.each(function, *aligned) if isinstance(chunks, Elsewhere) else map(function, chunks, *aligned)


class Changed:
    """Chunks after a function; elsewhere if they are."""

    def __init__(self, change: Callable[[Any], Any], chunks: Iterable[Any]) -> None:
        self._change = change
        self._chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        return map(self._change, self._chunks)

    def each(self, function: Callable[..., S], *aligned: Iterable[Any]) -> Iterator[S]:
        return each(partial(_after, self._change, function), self._chunks, *aligned)


def _after(change: Callable[[Any], Any], function: Callable[..., S], chunk: Any, *values: Any) -> S:
    return function(change(chunk), *values)


class Executor(Protocol):
    """One method: the sum of ``function(chunk)`` over the chunks."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S: ...


class Serial:
    """One chunk after the other, in the calling thread."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        return _sum_in_lanes(each(function, chunks))


class Threads:
    """Chunks in `n_jobs` threads of one pool, a few ahead of the sum; kernels release the GIL. A context manager."""

    def __init__(self, n_jobs: int) -> None:
        self._pool = ThreadPoolExecutor(n_jobs)
        self._ahead = max(N_LANES, 2 * n_jobs)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.shutdown(cancel_futures=True)

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        is_elsewhere = isinstance(chunks, Elsewhere)
        return _sum_in_lanes(each(function, chunks) if is_elsewhere else self._in_order(function, chunks))

    def _in_order(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> Iterator[S]:
        ahead: deque[Future[S]] = deque()
        for chunk in chunks:
            ahead.append(self._pool.submit(function, chunk))
            if len(ahead) == self._ahead:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _sum_in_lanes(statistics: Iterable[S]) -> S:
    lanes: list[S] = []
    for index, stats in enumerate(statistics):
        if index < N_LANES:
            lanes.append(stats)
        else:
            lanes[index % N_LANES] = add(lanes[index % N_LANES], stats)
    return reduce(add, lanes)
