"""The limit on BLAS threads holds while any fit runs, and is lifted with the last."""

import multiprocessing
import os
import threading
import time

import pytest
from all_estimators import COLUMNS, fit, only_documented_warnings
from threadpoolctl import threadpool_info, threadpool_limits

from emkit._blas import one_blas_thread, release_control
from emkit._shared import Shared
from emkit.executors import Serial


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    limits = threadpool_limits(limits=2, user_api="blas")
    release_control()
    yield
    limits.restore_original_limits()
    release_control()


def test_overlapping_fits_share_the_limit():
    before = blas_threads()
    assert before
    assert set(before) == {2}
    one, other = one_blas_thread(), one_blas_thread()
    one.__enter__()
    other.__enter__()
    assert set(blas_threads()) == {1}
    one.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    other.__exit__(None, None, None)
    assert blas_threads() == before


def test_an_error_lifts_it_too():
    before = blas_threads()
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        raise KeyboardInterrupt
    assert blas_threads() == before


def tell_threads(shared, told):
    with shared():
        during = blas_threads()
    told.put((during, blas_threads()))


def test_the_last_of_some_fits_lifts_it():
    """In whichever thread it is, and though another has begun."""
    before, began, end = blas_threads(), threading.Event(), threading.Event()

    def fit():
        with one_blas_thread():
            began.set()
            end.wait(60)

    thread = threading.Thread(target=fit)
    with one_blas_thread():
        thread.start()
        assert began.wait(20)
    assert set(blas_threads()) == {1}
    end.set()
    thread.join()
    assert blas_threads() == before


def fit_in_no_time():
    with one_blas_thread():
        pass


def test_an_interrupt_while_it_is_lifted():
    """The next fit lifts it."""
    before, interrupts = blas_threads(), [KeyboardInterrupt]

    def begin():
        limit = threadpool_limits(limits=1, user_api="blas")

        def end():
            if interrupts:
                raise interrupts.pop()
            limit.restore_original_limits()

        return end

    shared = Shared(begin)
    with pytest.raises(KeyboardInterrupt), shared():
        pass
    assert set(blas_threads()) == {1}
    with shared():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_a_limit_of_another_thread_is_left_alone():
    with threadpool_limits(limits=3, user_api="blas"):
        thread = threading.Thread(target=fit_in_no_time)
        thread.start()
        thread.join()
        assert set(blas_threads()) == {3}
    assert set(blas_threads()) == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("moment", ["while a fit runs", "while a fit begins"])
def test_a_process_that_is_forked_in_mid_fit(moment):
    """It does not wait for a thread that it does not have, and lifts the limit that this one has left."""
    before, began, end = blas_threads(), threading.Event(), threading.Event()

    def begin():
        limit = threadpool_limits(limits=1, user_api="blas")
        if moment == "while a fit begins":
            began.set()
            time.sleep(0.3)
        return limit.restore_original_limits

    shared = Shared(begin)

    def fit():
        with shared():
            began.set()
            end.wait(60)

    thread = threading.Thread(target=fit)
    thread.start()
    assert began.wait(20)
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    process = context.Process(target=tell_threads, args=(shared, told))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    during, after = told.get()
    end.set()
    thread.join()
    assert set(during) == {1}
    assert after == before == blas_threads()


PASSES = {name: getattr(Serial, name) for name in ("sum", "each")}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_pass_has_one_thread(name, monkeypatch):
    """Those before and after the fit too: the bits would else depend on the number of threads."""
    told = set()
    for kind, run in PASSES.items():
        monkeypatch.setattr(Serial, kind, lambda *args, run=run: told.update(blas_threads()) or run(*args))
    column = COLUMNS[name]
    with only_documented_warnings():
        model = fit(column, column.X, column.y)
        if hasattr(model, "partial_fit"):
            model.partial_fit(column.X, column.y)
    assert told == {1}
