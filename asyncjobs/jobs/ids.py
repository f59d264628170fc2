"""New job ids: the time and the random numbers that ``core.identity`` makes ids of."""

from __future__ import annotations

import os
import threading
import time

from asyncjobs.core.identity import PAIRS

__all__ = ["IdSource", "new_id"]


class IdSource:
    """Makes ids that rise within a process, and that no other process makes too.

    Each millisecond 60 random bits are drawn; the 20 bits behind them count up within it. Safe to call from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond = -1
        self._prefix = ""
        self._count = 0

    def __call__(self) -> str:
        """Return a new id."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            # A clock that steps back keeps the later millisecond, so that ids go on rising.
            if now_ms > self._millisecond or self._count >= 1 << 20:
                self._millisecond = max(now_ms, self._millisecond)
                time_part = [PAIRS[self._millisecond >> shift & 1023] for shift in (40, 30, 20, 10, 0)]
                chance = int.from_bytes(os.urandom(8), "big")
                random = [PAIRS[chance >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)]
                self._prefix = "".join(time_part + random)
                self._count = 0
            count = self._count
            self._count = count + 1
            return self._prefix + PAIRS[count >> 10] + PAIRS[count & 1023]

    def forget(self) -> None:
        """Draw new random bits for the next id: a forked child must not go on with those of its parent."""
        self._lock = threading.Lock()
        self._millisecond = -1


#: Returns a new job id.
new_id = IdSource()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=new_id.forget)
