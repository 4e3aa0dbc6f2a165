"""Every executor gives the bits of one fixed order of additions, in which few statistics are alive."""

import threading
from functools import reduce
from operator import add

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emkit.executors import N_LANES, Serial, Threads


def values(n, dtype):
    """Numbers of very different size, so that each order of additions has its own rounding."""
    rng = np.random.default_rng(n)
    return list((rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-6, 6, (n, 1))).astype(dtype))


def in_lanes(chunks):
    lanes = [reduce(add, chunks[lane::N_LANES]) for lane in range(min(N_LANES, len(chunks)))]
    return reduce(add, lanes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_same_bits_for_any_number_of_threads(n, dtype):
    chunks = values(n, dtype)
    expected = in_lanes(chunks)
    sums = [Serial().sum(lambda chunk: chunk * 1, iter(chunks))]
    for n_jobs in (1, 2, 3):
        with Threads(n_jobs) as threads:
            sums += [threads.sum(lambda chunk: chunk * 1, iter(chunks)) for _ in range(2)]
    for total in sums:
        assert total.dtype == dtype
        assert_array_equal(total, expected)


def test_the_order_would_matter():
    chunks = values(101, np.float32)
    assert (in_lanes(chunks) != reduce(add, chunks)).any()


class Counted:
    """A statistic that knows how many of its kind are alive, and the most there have been."""

    lock = threading.Lock()
    alive = most = 0

    def __init__(self, value):
        self.value = value
        with self.lock:
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

    def __del__(self):
        with self.lock:
            Counted.alive -= 1

    def __add__(self, other):
        return Counted(self.value + other.value)


def test_few_statistics_are_alive():
    """One in each lane, and those on their way: the next term and the sum. Not one for each chunk."""
    Counted.most = 0
    assert Serial().sum(Counted, range(1000)).value == 499_500
    assert Counted.most <= N_LANES + 3
    assert Counted.alive == 0


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_few_statistics_are_alive_in_threads(n_jobs):
    """One in each lane, and one of each chunk of a group."""
    Counted.most = 0
    with Threads(n_jobs) as threads:
        assert threads.sum(Counted, range(100)).value == 4950
    assert Counted.most <= 2 * N_LANES + 1


def test_chunks_are_drawn_group_by_group():
    """A source that reads from disk is not read ahead of the work."""
    drawn, ahead = [], []

    def chunks():
        for i in range(50):
            drawn.append(i)
            yield i

    def work(i):
        ahead.append(len(drawn) - i)
        return i

    with Threads(2) as threads:
        assert threads.sum(work, chunks()) == 1225
    assert max(ahead) <= N_LANES


def test_threads_are_used():
    both = threading.Barrier(2, timeout=20)

    def meet(chunk):
        both.wait()
        return chunk

    with Threads(2) as threads:
        assert threads.sum(meet, range(4)) == 6


def test_errors_come_through():
    def fail(chunk):
        raise ZeroDivisionError(chunk)

    with pytest.raises(ZeroDivisionError):
        Serial().sum(fail, [1])
    with Threads(2) as threads, pytest.raises(ZeroDivisionError):
        threads.sum(fail, [1, 2])
