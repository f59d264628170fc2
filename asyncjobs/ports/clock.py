"""Time as a process sees it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Time as the process sees it."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only rise, from an arbitrary start."""
        ...


class SystemClock:
    """The clock of the operating system."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    #: Asked for each job, so without a call of our own.
    monotonic = staticmethod(time.monotonic)
