"""The schedules of one queue in memory."""

from __future__ import annotations

from collections.abc import Callable

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.ports import Firing, StoredSchedule

__all__ = ["Schedules"]


class Schedules:
    """Schedules by id: data, next tick (none while paused), last tick with its job, and skipped ticks."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._next_ms: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}
        self._last_job: dict[str, str] = {}
        self._skipped: dict[str, int] = {}
        self._skipped_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._data)

    def put(self, schedule_id: str, data: bytes, next_ms: int) -> bool:
        before = self._data.get(schedule_id)
        if before == data:
            return False
        self._data[schedule_id] = data
        if before is None or schedule_id in self._next_ms:
            self._next_ms[schedule_id] = next_ms
        return True

    def list(self) -> list[StoredSchedule]:
        return [
            StoredSchedule(
                one,
                self._data[one],
                self._next_ms.get(one),
                self._last_ms.get(one),
                self._last_job.get(one, ""),
                self._skipped.get(one, 0),
                self._skipped_ms.get(one),
            )
            for one in sorted(self._data)
        ]

    def move(self, schedule_id: str, next_ms: int | None) -> bool:
        if schedule_id not in self._data:
            return False
        if next_ms is None:
            self._next_ms.pop(schedule_id, None)
        else:
            self._next_ms.setdefault(schedule_id, next_ms)
        return True

    def remove(self, schedule_id: str) -> bool:
        self._next_ms.pop(schedule_id, None)
        self._last_ms.pop(schedule_id, None)
        self._last_job.pop(schedule_id, None)
        self._skipped.pop(schedule_id, None)
        self._skipped_ms.pop(schedule_id, None)
        return self._data.pop(schedule_id, None) is not None

    def fire(self, firing: Firing, now_ms: int, find: Callable[[str], Entry | None]) -> tuple[bool, bool]:
        """Go on to the next tick if the expected one is due.

        Args:
            firing: The firing.
            now_ms: The time, in Unix milliseconds.
            find: Returns the entry of a job, ``None`` if there is none.

        Returns:
            Whether the schedule has fired, and whether it has skipped the tick instead of enqueuing its jobs.
        """
        schedule_id, expected_ms, next_ms = (
            firing.schedule_id,
            firing.expected_ms,
            self._next_ms.get(firing.schedule_id),
        )
        if next_ms is None or (expected_ms is not None and (expected_ms > now_ms or next_ms != expected_ms)):
            return False, False
        if firing.next_ms is not None:
            self._next_ms[schedule_id] = firing.next_ms
        if firing.jobs and not firing.overlaps and _is_live(find(self._last_job.get(schedule_id, ""))):
            if expected_ms is not None:
                self._skipped[schedule_id] = self._skipped.get(schedule_id, 0) + 1
                if firing.last_ms is not None:
                    self._skipped_ms[schedule_id] = firing.last_ms
            return True, True
        if firing.last_ms is not None:
            self._last_ms[schedule_id] = firing.last_ms
        return True, False

    def set_last_job(self, schedule_id: str, job_id: str) -> None:
        """Note the job of the latest tick that has fired."""
        self._last_job[schedule_id] = job_id


def _is_live(entry: Entry | None) -> bool:
    return entry is not None and entry.place not in ("ended", "dead")
