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
        self._monotonic_ms = now_ms

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return seconds that pass as the time is advanced, and stand still where it is set back."""
        return self._monotonic_ms / 1000

    def advance(self, milliseconds: int) -> None:
        """Move the time forward, or back as a server's clock may be set.

        Args:
            milliseconds: By how much; negative to set it back.
        """
        self._now_ms += milliseconds
        self._monotonic_ms += max(milliseconds, 0)
