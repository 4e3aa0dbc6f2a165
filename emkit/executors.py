"""How statistics of chunks are summed: one after the other, or in threads. Every executor gives the same bits.

Floating-point addition is not associative, so the order is fixed: it is that of a binary tree over the numbers of the
chunks. A sum of 2^l chunks that begins at a multiple of 2^l is a :class:`Node`; two neighbours that make up one are
added as soon as they are there. Whatever the number of chunks n, at most log2(n) + 1 sums are in memory, and the chunks
being worked on; and rounding errors grow with log n, not with n.

Chunks may lie elsewhere, as on the workers of a cluster: see :class:`Elsewhere`. Then functions go there, and nodes
that lie wholly in one place are added there. Whoever adds them, the sum has the same bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from joblib import effective_n_jobs

T = TypeVar("T")


class Adds(Protocol):
    """What can be summed."""

    def __add__(self, other: Any, /) -> Any: ...


S = TypeVar("S", bound=Adds)

AHEAD = 8  # chunks that are begun before the first of them is added


class Node(NamedTuple, Generic[S]):
    """The sum of the statistics of chunks `start` to `start` + 2^`level` - 1; `start` is a multiple of 2^`level`."""

    start: int
    level: int
    stats: S


def nodes_of(statistics: Iterable[S], start: int = 0) -> list[Node[S]]:
    """The largest nodes of the tree in the statistics of chunk `start` and those after it."""
    nodes: list[Node[S]] = []
    for number, stats in enumerate(statistics, start):
        _push(nodes, Node(number, 0, stats))
    return nodes


def total_of(nodes: Iterable[Node[S]]) -> S:
    """The sum of all chunks, of nodes in their order, from chunk 0 on."""
    largest: list[Node[S]] = []
    for node in nodes:
        _push(largest, node)
    total: S = largest.pop().stats
    while largest:
        total = largest.pop().stats + total
    return total


def _push(nodes: list[Node[S]], node: Node[S]) -> None:
    """Append the next node, and add neighbours that make up one."""
    while nodes and nodes[-1].level == node.level and nodes[-1].start % 2 ** (node.level + 1) == 0:
        left = nodes.pop()
        node = Node(left.start, left.level + 1, left.stats + node.stats)
    nodes.append(node)


@runtime_checkable
class Elsewhere(Protocol):
    """Chunks that are not here: a function goes to where they are."""

    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]:
        """``function(chunk, *values)`` of each chunk, in their order; `aligned` hold a value for each chunk."""

    def nodes(self, function: Callable[..., S]) -> Iterator[Node[S]]:
        """Sums of ``function(chunk)`` over all chunks, in their order."""


def each(function: Callable[..., T], chunks: Iterable[Any], *aligned: Iterable[Any]) -> Iterator[T]:
    """As ``map(function, chunks, *aligned)``, worked out where the chunks are."""
    return chunks.each(function, *aligned) if isinstance(chunks, Elsewhere) else map(function, chunks, *aligned)


def nodes(function: Callable[..., S], chunks: Iterable[Any]) -> Iterable[Node[S]]:
    """Sums of ``function(chunk)``, worked out where the chunks are."""
    return chunks.nodes(function) if isinstance(chunks, Elsewhere) else _leaves(map(function, chunks))


def _leaves(statistics: Iterable[S]) -> Iterator[Node[S]]:
    return (Node(number, 0, stats) for number, stats in enumerate(statistics))


class OneByOne(ABC):
    """Chunks that may be elsewhere, of which no place knows the numbers: their sums are made here."""

    @abstractmethod
    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]: ...

    def nodes(self, function: Callable[..., S]) -> Iterator[Node[S]]:
        return _leaves(self.each(function))


def itself(value: T) -> T:
    """For chunks that are wanted as they are: a function with a name can be sent to where they are."""
    return value


class Changed:
    """Chunks after a function; elsewhere if they are."""

    def __init__(self, change: Callable[[Any], Any], chunks: Iterable[Any]) -> None:
        self._change = change
        self._chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        return map(self._change, self._chunks)

    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]:
        return each(partial(_after, self._change, function), self._chunks, *aligned)

    def nodes(self, function: Callable[..., S]) -> Iterator[Node[S]]:
        return iter(nodes(partial(_after, self._change, function), self._chunks))


def _after(change: Callable[[Any], Any], function: Callable[..., T], chunk: Any, *values: Any) -> T:
    return function(change(chunk), *values)


class Executor(Protocol):
    """The sum of ``function(chunk)`` over the chunks, or these one after the other, in the order of the chunks."""

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S: ...

    def each(self, function: Callable[[Any], T], chunks: Iterable[Any]) -> Iterator[T]: ...


class Serial:
    """One chunk after the other, in the calling thread."""

    def each(self, function: Callable[[Any], T], chunks: Iterable[Any]) -> Iterator[T]:
        return each(function, chunks)

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        return total_of(nodes(function, chunks))


class Threads:
    """Chunks in `n_jobs` threads of one pool, a few ahead of the sum; kernels release the GIL. A context manager."""

    def __init__(self, n_jobs: int) -> None:
        self._pool = ThreadPoolExecutor(n_jobs)
        self._ahead = max(AHEAD, 2 * n_jobs)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each(self, function: Callable[[Any], T], chunks: Iterable[Any]) -> Iterator[T]:
        return chunks.each(function) if isinstance(chunks, Elsewhere) else self._in_order(function, chunks)

    def sum(self, function: Callable[[Any], S], chunks: Iterable[Any]) -> S:
        if isinstance(chunks, Elsewhere):
            return total_of(chunks.nodes(function))
        return total_of(_leaves(self._in_order(function, chunks)))

    def _in_order(self, function: Callable[[Any], T], chunks: Iterable[Any]) -> Iterator[T]:
        ahead: deque[Future[T]] = deque()
        for chunk in chunks:
            ahead.append(self._pool.submit(function, chunk))
            if len(ahead) == self._ahead:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def executor_for(n_jobs: int | None) -> Threads | nullcontext[Serial]:
    """Context manager: how to sum over chunks with all processors that `n_jobs` allows."""
    n_threads = effective_n_jobs(n_jobs)
    return Threads(n_threads) if n_threads > 1 else nullcontext(Serial())
