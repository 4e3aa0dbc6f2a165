"""The limit on BLAS threads holds while any fit runs, and is lifted with the last."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from emkit._blas import one_blas_thread


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        yield


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
