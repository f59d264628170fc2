"""The time, as a process reads it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What a worker, or the memory broker, reads the time from; ``asyncjobs.testing.ManualClock`` is one for tests."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only rise, from an arbitrary start."""
        ...


class SystemClock:
    """The clock of the operating system."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    # Called for each job, so without a function of our own around it.
    monotonic = staticmethod(time.monotonic)
    """Return seconds that only rise, from an arbitrary start."""
