"""The broker's clock, kept by a worker, so that no machine's own clock decides anything."""

from __future__ import annotations

from asyncjobs.ports import Clock

__all__ = ["BrokerClock"]


class BrokerClock:
    """The broker's time, set by each claim and measured from there by the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self.monotonic = clock.monotonic
        self._offset_ms = clock.now_ms() - clock.monotonic() * 1000
        self.is_set = False
        """Whether the broker has ever sent its time; before, the clock shows this machine's."""

    def set(self, now_ms: int) -> None:
        """Set the clock to the time that the broker has just sent."""
        self._offset_ms = now_ms - self.monotonic() * 1000
        self.is_set = True

    def now_ms(self) -> int:
        """Return the broker's Unix time in milliseconds."""
        return int(self._offset_ms + self.monotonic() * 1000)

    def seconds_until(self, at_ms: int) -> float:
        """Return in how many seconds the broker's clock shows ``at_ms``; 0 if that is past."""
        return max(0.0, (at_ms - self._offset_ms) / 1000 - self.monotonic())
