"""Every executor gives the bits of one fixed order of additions, in which few statistics are alive."""

import sys
import threading
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emkit.executors import AHEAD, Serial, Threads, nodes_of, total_of


def values(n, dtype):
    """Numbers of very different size, so that each order of additions has its own rounding."""
    rng = np.random.default_rng(n)
    return list((rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-6, 6, (n, 1))).astype(dtype))


def in_tree(chunks):
    """The largest power of two below n to the left, the rest to the right; and so on in each."""
    if len(chunks) == 1:
        return chunks[0]
    left = 2 ** ((len(chunks) - 1).bit_length() - 1)
    return in_tree(chunks[:left]) + in_tree(chunks[left:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_same_bits_for_any_number_of_threads(n, dtype):
    chunks = values(n, dtype)
    expected = in_tree(chunks)
    sums = [Serial().sum(lambda chunk: chunk * 1, iter(chunks))]
    for n_jobs in (1, 2, 3):
        with Threads(n_jobs) as threads:
            sums += [threads.sum(lambda chunk: chunk * 1, iter(chunks)) for _ in range(2)]
    for total in sums:
        assert total.dtype == dtype
        assert_array_equal(total, expected)


@given(st.integers(1, 70), st.lists(st.integers(0, 69), max_size=8))
def test_parts_of_the_tree_can_be_added_elsewhere(n, cuts):
    """Whatever the parts, which may be empty: few nodes come from each, and the sum has the same bits."""
    chunks = values(n, np.float32)
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [nodes_of(chunks[start:stop], start) for start, stop in pairwise(bounds)]
    assert_array_equal(total_of(node for part in parts for node in part), in_tree(chunks))
    for part, (start, stop) in zip(parts, pairwise(bounds), strict=True):
        assert len(part) <= 2 * max(stop - start, 1).bit_length()


def test_the_order_would_matter():
    chunks = values(101, np.float32)
    assert (in_tree(chunks) != reduce(add, chunks)).any()


def has_lock():
    """Whether this Python has a global interpreter lock."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


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
    """One on each level of the tree, and those on their way: the next term and the sum. Not one for each chunk."""
    Counted.most = 0
    assert Serial().sum(Counted, range(1000)).value == 499_500
    assert Counted.most <= 10 + 3
    assert Counted.alive == 0


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_few_statistics_are_alive_in_threads(n_jobs):
    """One on each level of the tree, those that are begun, and those on their way."""
    Counted.most = 0
    with Threads(n_jobs) as threads:
        assert threads.sum(Counted, range(100)).value == 4950
    late = 0 if has_lock() else 2 * AHEAD  # without the lock, what one thread made and another dropped goes later
    assert Counted.most <= 7 + AHEAD + 3 + late


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
    assert max(ahead) <= AHEAD


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
