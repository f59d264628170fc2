"""Who wakes for the next due time of one queue: ``lua/timer.lua``."""

from __future__ import annotations

from asyncjobs.brokers.memory.timetable import Timetable

__all__ = ["Timer"]


class Timer:
    """One worker keeps the timer of the earliest job of ``timetable``, until it is late or an earlier one comes."""

    __slots__ = ("_keeper", "_keeper_until_ms", "_timetable")

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self._keeper = ""
        self._keeper_until_ms = 0

    def keep(self, worker: str, keep_ms: int, now_ms: int) -> int | None:
        """Return the next due time if ``worker`` is to keep the timer; it does for ``keep_ms``."""
        if self._keeper and self._keeper != worker and self._keeper_until_ms >= now_ms:
            return None
        earliest = self._timetable.earliest()
        if earliest is not None:
            self._keeper = worker
            self._keeper_until_ms = now_ms + keep_ms
        return earliest

    def reset(self, earliest: int | None) -> bool:
        """Drop the keeper if there is an earlier due time than ``earliest``: it has set its timer too late."""
        due_at_ms = self._timetable.earliest()
        if due_at_ms is None or (earliest is not None and due_at_ms >= earliest):
            return False
        self._keeper = ""
        return True
