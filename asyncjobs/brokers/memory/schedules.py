"""The schedules of one queue in memory."""

from __future__ import annotations

from asyncjobs.ports import Firing, StoredSchedule

__all__ = ["Schedules"]


class Schedules:
    """Schedules by id: the data, the next tick (none while paused) and the last tick of each, with its job."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._next_ms: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}
        self._last_job: dict[str, str] = {}

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
                one, self._data[one], self._next_ms.get(one), self._last_ms.get(one), self._last_job.get(one, "")
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
        return self._data.pop(schedule_id, None) is not None

    def fire(self, firing: Firing, now_ms: int) -> bool:
        """Go on to the next tick if the expected one is due; return whether the jobs are to be enqueued."""
        if firing.expected_ms > now_ms or self._next_ms.get(firing.schedule_id) != firing.expected_ms:
            return False
        self._next_ms[firing.schedule_id] = firing.next_ms
        if firing.last_ms is not None:
            self._last_ms[firing.schedule_id] = firing.last_ms
        return True

    def set_last_job(self, schedule_id: str, job_id: str) -> None:
        """Note the job of the latest tick that has fired."""
        self._last_job[schedule_id] = job_id
