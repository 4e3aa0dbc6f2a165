"""A setting of the whole process that overlapping users share: the first makes it, the last takes it back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

End = Callable[[], None]


class Shared:
    """A context manager at each call.

    Parameters
    ----------
    begin : callable
        Makes the setting, and returns what takes it back.
    """

    def __init__(self, begin: Callable[[], End]) -> None:
        self._begin = begin
        self._end: End | None = None
        self._users: dict[object, int] = {}  # a thread for each
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._forget_others
            )

    @contextmanager
    def __call__(self) -> Iterator[None]:
        user = object()
        try:
            with self._lock:
                self._end = self._end or self._begin()
                self._users[user] = threading.get_ident()
            yield
        finally:
            with self._lock:
                self._users.pop(user, None)  # none if an interrupt came before it
                if self._end is not None and not self._users:
                    self._end()  # if an interrupt comes here, the next use ends it
                    self._end = None

    def _forget_others(self) -> None:
        """Other threads do not live on in a forked process. What they made is taken back after the next use."""
        self._users = {user: thread for user, thread in self._users.items() if thread == threading.get_ident()}
        self._lock.release()
