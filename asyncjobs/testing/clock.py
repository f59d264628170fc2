"""A clock that stands still until a test moves it."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """A ``ports.Clock`` that shows ``now_ms`` (Unix milliseconds) until ``advance`` is called."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return seconds that only rise."""
        return self._now_ms / 1000

    def advance(self, milliseconds: int) -> None:
        """Move the time forward."""
        self._now_ms += milliseconds
