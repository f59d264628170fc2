"""The broker's clock as a worker knows it, so that no machine's own clock decides anything."""

from __future__ import annotations

from asyncjobs.ports import Clock

__all__ = ["BrokerClock"]


class BrokerClock:
    """Tells the broker's time between claims, each of which sets it."""

    def __init__(self, clock: Clock) -> None:
        self.monotonic = clock.monotonic
        self._offset_ms = clock.now_ms() - clock.monotonic() * 1000

    def set(self, now_ms: int) -> None:
        """Take over the time that the broker just told."""
        self._offset_ms = now_ms - self.monotonic() * 1000

    def now_ms(self) -> int:
        """Return the broker's Unix time in milliseconds."""
        return int(self._offset_ms + self.monotonic() * 1000)

    def seconds_until(self, at_ms: int) -> float:
        """Return how long it is until the broker's clock shows ``at_ms``, 0 if that is past."""
        return max(0.0, (at_ms - self._offset_ms) / 1000 - self.monotonic())
