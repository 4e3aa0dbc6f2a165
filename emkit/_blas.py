"""One BLAS thread while a fit runs: emkit divides the work itself, and matrices are small."""

from __future__ import annotations

from functools import cache

import threadpoolctl

from ._shared import End, Shared


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")  # looks through all libraries, so once


def _limit() -> End:
    limit = _blas().limit(limits=1)
    if any(library["num_threads"] > 1 for library in _blas().info()):
        return lambda: None  # another thread has its own limit

    def end() -> None:
        release_control()
        limit.restore_original_limits()
        release_control()

    return end


def release_control() -> None:
    """Let any thread set limits: from threadpoolctl 3.8 on only that may which was the first, as long as it lives.

    But the last of some fits at once may end in another.
    """
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


one_blas_thread = Shared(_limit)  # fits that overlap share it
