"""A clock that stands still until a test moves it."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """A ``ports.Clock`` that stands still until ``advance`` is called.

    Args:
        now_ms: The time that it shows first, in Unix milliseconds.

    Example:
        ```python
        clock = ManualClock()
        async with Worker(app, clock=clock).running():
            clock.advance(60_000)
        ```
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return the same time in seconds."""
        return self._now_ms / 1000

    def advance(self, milliseconds: int) -> None:
        """Move the time forward.

        Args:
            milliseconds: By how much.
        """
        self._now_ms += milliseconds
