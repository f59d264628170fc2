"""The system's clock."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Time as the operating system tells it."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that only rise."""
        return time.monotonic()
