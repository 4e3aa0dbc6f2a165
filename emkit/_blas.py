"""One BLAS thread while a fit runs: emkit divides the work itself, and matrices are small."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_fits_running = 0
_limit: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, so once is enough


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread. The limit holds for the whole process, so fits that overlap share it."""
    global _fits_running, _limit
    with _lock:
        if _fits_running == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _fits_running += 1
    try:
        yield
    finally:
        with _lock:
            _fits_running -= 1
            if _fits_running == 0:
                _limit.restore_original_limits()
