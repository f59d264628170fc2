"""The jobs of one queue that are not due yet, in the order in which they will be."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

__all__ = ["Timetable"]

_Entry = tuple[int, int, str]


class Timetable:
    """Ids with a due time in ms and a priority; jobs due in the same millisecond go by priority, then by id."""

    __slots__ = ("_entries", "_heap")

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # Also holds entries that were removed since; those are not, as an object, in _entries.
        self._heap: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, due_at_ms: int, priority: int, job_id: str) -> None:
        """Add a job that isn't here yet."""
        entry = due_at_ms, priority, job_id
        self._entries[job_id] = entry
        heappush(self._heap, entry)

    def due_at(self, job_id: str) -> int | None:
        """Return when the job is due, or ``None`` if it isn't here."""
        entry = self._entries.get(job_id)
        return entry[0] if entry is not None else None

    def remove(self, job_id: str) -> None:
        """Take out a job that is here."""
        del self._entries[job_id]
        if len(self._heap) > 64 + 2 * len(self._entries):
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def earliest(self) -> int | None:
        """Return when the first job is due, or ``None`` if there is none."""
        heap = self._heap
        while heap and self._entries.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def in_order(self) -> list[str]:
        """Return all ids, the earliest due first."""
        return [job_id for _, _, job_id in sorted(self._entries.values())]

    def pop_due(self, now_ms: int, most: int) -> list[_Entry]:
        """Take out at most ``most`` jobs that are due at ``now_ms``."""
        due: list[_Entry] = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms and len(due) < most:
            entry = heappop(heap)
            if self._entries.get(entry[2]) is entry:
                del self._entries[entry[2]]
                due.append(entry)
        return due
