"""Chunks on the workers of a dask cluster: functions go to them, and only what these give comes back.

A pass over the data is one task for each partition of a dask collection. The task reads the partition, cuts it into
chunks and applies a function to each. So the data stay where dask has them. If they are persisted, so are the chunks;
else both are made anew in each pass, as they may be more than the workers can hold. Statistics are added on the workers
as far as a partition goes, in the order of `emkit.executors`: of n chunks some log2(n) sums come back. A worker that is
lost costs time only: dask does its tasks again on another.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, islice, repeat, takewhile
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ._blas import one_blas_thread
from ._weights import check_block_weight, weight_parts
from .chunks import block_error, chunks_named, read_named
from .executors import Adds, Node, itself, nodes_of
from .partitions import Partitions, is_collection

T = TypeVar("T")
S = TypeVar("S", bound=Adds)

PATIENCE = 30.0  # seconds without any worker before a pass is given up
AT_ONCE = 64  # partitions whose results are fetched together
POLL = 1.0  # seconds between two looks at whether there still is a cluster


def active_client() -> Any:
    """The client of dask.distributed that is at work here; None without one, and within its tasks.

    A task that waits for others may keep the place that they need.
    """
    if "distributed" not in sys.modules:
        return None
    from distributed import Client
    from distributed.worker import thread_state

    if hasattr(thread_state, "execution_state"):
        return None
    try:
        return Client.current()
    except ValueError:
        return None


class ClusterError(RuntimeError):
    """The cluster cannot go on: there is no fault in the data."""


class Reading(NamedTuple):
    """How chunks are made of a partition and its weights."""

    read: Callable[[Any], Any]
    split: Callable[[Any, np.ndarray | None], Iterator[Any]]
    dtype: np.dtype  # of the weights


@dataclass(frozen=True, eq=False)
class Chunked:
    """The chunks of a partition with this number of rows, or the error that ended it."""

    n_rows: int
    chunks: list[Any]
    size: int  # bytes of the partition
    error: Exception | None = None

    def __sizeof__(self) -> int:
        """By which dask decides what it moves to the disk."""
        return self.size


class Place(NamedTuple):
    """What belongs to a partition in a pass: values for each chunk; the number of its first chunk, where nodes are
    asked for."""

    values: Sequence[tuple[Any, ...]] = ()
    first: int | None = None


class Visit(NamedTuple):
    """What a partition gave: its numbers of rows and chunks; a result for each chunk, or their sums as nodes; or the
    error that ended it."""

    n_rows: int
    n_chunks: int
    results: list[Any]
    error: Exception | None = None


class RemoteSource:
    """Chunks of the partitions of a dask collection, on the workers of a cluster. See `emkit.executors.Elsewhere`.

    Parameters
    ----------
    client : distributed.Client
    partitions : Partitions
    read : callable
        Makes a table of a partition, on the worker.
    sample_weight : array-like, dask array or series, or None
    dtype : dtype
        Of the tables.
    n_features : int
    split : callable
        Makes chunks of a table and its weights, on the worker.
    """

    has_labels = False

    def __init__(
        self,
        client: Any,
        partitions: Partitions,
        read: Callable[[Any], Any],
        sample_weight: Any,
        dtype: np.dtype,
        n_features: int,
        split: Callable[[Any, np.ndarray | None], Iterator[Any]],
    ) -> None:
        self.dtype = dtype
        self.n_features = n_features
        self._client = client
        self._reading = Reading(read, split, dtype)
        self._parts = partitions.delayed
        self._are_there = _are_there(partitions)
        weights = weight_parts(sample_weight, partitions.row_counts)
        is_here = sample_weight is not None and not is_collection(sample_weight)
        self._weights = _sent(client, weights) if is_here else weights
        self._n_rows: int | None = None
        self._n_chunks: list[int] | None = None

    def each(self, function: Callable[..., T], *aligned: Iterable[Any]) -> Iterator[T]:
        """One pass. The values of `aligned` go to the chunks, of which an earlier pass has told the number."""
        return self._pass(function, self._with_values(aligned))

    def nodes(self, function: Callable[..., S]) -> Iterator[Node[S]]:
        """One pass. What a partition gives is added there, once an earlier pass has told which chunks it has."""
        if self._n_chunks is None:
            return (Node(number, 0, stats) for number, stats in enumerate(self.each(function)))
        return self._pass(function, map(partial(Place, ()), accumulate(self._n_chunks, initial=0)))

    def _pass(self, function: Callable[..., Any], places: Iterable[Place]) -> Iterator[Any]:
        n_rows, n_chunks = 0, []
        for visit in self._visits(range(len(self._parts)), function, places):
            yield from visit.results
            n_rows += visit.n_rows
            n_chunks.append(visit.n_chunks)
        if n_rows == 0:
            raise ValueError("X has no rows (n_samples=0): all its partitions are empty")
        if not any(n_chunks):
            raise ValueError("sample_weight is zero for all rows, but at least one weight must be positive")
        if self._n_rows not in (None, n_rows):
            raise ValueError(f"X had {self._n_rows} rows at first, but {n_rows} when it was computed again")
        if self._n_chunks not in (None, n_chunks):
            raise ValueError("sample_weight was zero for other rows at first than when it was computed again")
        self._n_rows, self._n_chunks = n_rows, n_chunks

    def __iter__(self) -> Iterator[Any]:
        """The chunks themselves, brought here from one partition after the other."""
        for number in range(len(self._parts)):
            yield from (result for visit in self._visits([number], itself, [Place()]) for result in visit.results)

    def resplit(self, split: Callable[[Any, np.ndarray | None], Iterator[Any]], n_features: int) -> RemoteSource:
        """The same rows in other chunks."""
        other = copy(self)
        other._reading, other.n_features, other._n_chunks = self._reading._replace(split=split), n_features, None
        for made in ("_sent_reading", "_kept"):
            other.__dict__.pop(made, None)
        return other

    @cached_property
    def _sent_reading(self) -> Any:
        return _sent(self._client, [self._reading])[0]

    @cached_property
    def _kept(self) -> list[Any]:
        """The chunks of each partition, on the workers."""
        import dask

        work = dask.delayed(read_partition)
        return list(self._client.compute([work(*self._raw(number)) for number in range(len(self._parts))]))

    def _raw(self, number: int) -> tuple[Any, ...]:
        """What `read_partition` is to have."""
        return number, self._sent_reading, self._parts[number], self._weights[number]

    def _visits(self, numbers: Sequence[int], function: Callable[..., Any], places: Iterable[Place]) -> Iterator[Visit]:
        """What some partitions give, in their order; all are worked on at once."""
        futures: dict[int, Any] = {}
        try:
            with _told_if_closed(self._client):
                futures = self._submit(numbers, function, places)
            for visit in _outcomes(self._client, futures):
                if visit.error is not None:
                    raise visit.error
                yield visit
        finally:
            if futures:
                with suppress(Exception):  # the cluster may be gone
                    self._client.cancel(list(futures.values()))

    def _submit(self, numbers: Sequence[int], function: Callable[..., Any], places: Iterable[Place]) -> dict[int, Any]:
        """A future for each partition. The function is sent once; were it scattered, it would be lost with a worker."""
        import dask

        work = dask.delayed(visit_partition if self._are_there else read_and_visit)
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            (sent,) = _sent(self._client, [function])
            tasks = [
                work(sent, place, *([self._kept[number]] if self._are_there else self._raw(number)))
                for number, place in zip(numbers, places, strict=False)
            ]
            return dict(zip(numbers, self._client.compute(tasks), strict=True))

    def _with_values(self, aligned: Sequence[Iterable[Any]]) -> Iterable[Place]:
        if not aligned:
            return repeat(Place())
        assert self._n_chunks is not None, "a pass over all chunks comes first"
        tuples = zip(*aligned, strict=False)
        return (Place(list(islice(tuples, n))) for n in self._n_chunks)


def read_partition(number: int, reading: Reading, block: Any, weight: Any) -> Chunked:
    """On a worker: the chunks of a partition.

    Errors are told and not raised: dask would take them for errors of the user's own graph.
    """
    from dask.sizeof import sizeof

    try:
        with one_blas_thread():
            X = read_named(reading.read, number, block)
            if weight is not None:
                weight = read_named(lambda given: check_block_weight(given, X.shape[0], reading.dtype), number, weight)
            return Chunked(X.shape[0], list(chunks_named(reading.split, number, X, weight)), sizeof(block))
    except Exception as error:  # whatever it is: it is raised again where the fit is
        return Chunked(0, [], 0, error)


def visit_partition(function: Callable[..., Any], place: Place, chunked: Chunked) -> Visit:
    """On a worker: the function of each chunk of a partition, or the sums of these. Errors as of `read_partition`."""
    if chunked.error is not None:
        return Visit(0, 0, [], chunked.error)
    try:
        with one_blas_thread():
            results = map(function, chunked.chunks, *zip(*place.values, strict=True))
            gathered = list(results) if place.first is None else nodes_of(results, place.first)
            return Visit(chunked.n_rows, len(chunked.chunks), gathered)
    except Exception as error:  # as above
        return Visit(0, 0, [], error)


def read_and_visit(function: Callable[..., Any], place: Place, *raw: Any) -> Visit:
    """Both in one task: chunks that are not kept do not travel."""
    return visit_partition(function, place, read_partition(*raw))


def _are_there(partitions: Partitions) -> bool:
    """Whether the cluster holds the partitions, or what they are made of."""
    from distributed import futures_of

    return len(futures_of(partitions.collection)) >= len(partitions.row_counts)


def _sent(client: Any, values: list[Any]) -> list[Any]:
    """Values as tasks of the cluster, which computes them again where they are lost."""
    return [client.submit(itself, value, pure=False) for value in values]


def kept_there(parts: list[Any]) -> list[Any]:
    """Parts in memory as tasks of the cluster that is at work here; as they are without one, or if they are tasks."""
    client = active_client()
    if client is None or any(part is None or hasattr(part, "__dask_graph__") for part in parts):
        return parts
    return _sent(client, parts)


def _outcomes(client: Any, futures: dict[int, Any]) -> Iterator[Visit]:
    """What tasks gave, in their order, once it is there; of many at a time where they are done. Empties `futures`.

    Raises
    ------
    ValueError
        If a partition could not be computed.
    ClusterError
        If the client was closed, if workers died over a partition, or if there was no worker for `PATIENCE` seconds.
    """
    from distributed import KilledWorker

    while futures:
        number, first = next(iter(futures.items()))
        try:
            _await(client, first)
            done = list(takewhile(lambda future: future.status == "finished", islice(futures.values(), AT_ONCE)))
            visits = _gathered(client, done or [first])
        except KilledWorker as error:
            raise ClusterError(f"block {number} of X (from 0): one worker after the other died over it") from error
        except ClusterError:
            raise
        except Exception as error:  # of the user's graph or of the cluster: told apart here
            if first.status != "error" or client.status != "running":
                raise ClusterError(f"the dask cluster has gone: {error!r}") from error
            raise block_error(number, f"could not be computed: {error!r}") from error
        for number in list(futures)[: len(visits)]:
            del futures[number]  # the cluster may forget it
        yield from visits


def _gathered(client: Any, futures: list[Any]) -> list[Visit]:
    """The results of tasks that are done. Where one was lost on the way, dask computes it again."""
    timeout = PATIENCE
    while True:
        gather = partial(client.gather, futures, asynchronous=True)
        try:
            visits: list[Visit] = client.sync(gather, callback_timeout=timeout)
            return visits
        except TimeoutError as error:
            if not _has_workers(client):
                raise ClusterError("the dask cluster has no worker") from error
            timeout *= 2


def _await(client: Any, future: Any) -> None:
    """Wait until a task is done, as long as there are workers."""
    from distributed import wait

    last_seen = time.monotonic()
    while not future.done():
        _check_open(client)
        with suppress(TimeoutError):
            wait(future, timeout=POLL)
            return
        if _has_workers(client):
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > PATIENCE:
            raise ClusterError(f"the dask cluster has had no worker for {PATIENCE:g} seconds")


@contextmanager
def _told_if_closed(client: Any) -> Iterator[None]:
    """ClusterError where a client that is closed makes an error, of which dask has several."""
    try:
        yield
    except Exception as error:  # whatever dask raises then
        _check_open(client, error)
        raise


def _check_open(client: Any, cause: Exception | None = None) -> None:
    if client.status in ("closing", "closed"):
        raise ClusterError("the dask client was closed") from cause


def _has_workers(client: Any) -> bool:
    if client.status != "running":
        return False
    try:
        return bool(client.sync(client.scheduler.ncores, callback_timeout=PATIENCE))
    except (OSError, TimeoutError):
        return False
