"""The jobs that wait for their time, and the one worker that wakes at the next due time."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.ports import ClaimRequest

__all__ = ["Scheduled", "Timer", "earlier"]

#: Due time, priority and id, which give the order; a number that no other slot has, so that no entries are compared;
#: and the entry.
_Slot = tuple[int, int, str, int, Entry]

#: The heap is rebuilt once it has more void slots than this, and more void slots than others.
_MAX_VOID = 64

#: How many due jobs a claim makes ready at most.
_MAX_DUE = 1_000


class Scheduled:
    """Jobs by due time. Jobs that are due in the same millisecond go by priority, then by id."""

    __slots__ = ("_heap", "_numbers", "slots")

    def __init__(self) -> None:
        self.slots: dict[str, _Slot] = {}
        """The slot of each entry, by its id."""
        # Also holds void slots, those of entries that were removed. A void slot isn't the object in ``slots``.
        self._heap: list[_Slot] = []
        self._numbers = 0

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, entry: Entry, due_at_ms: int) -> None:
        """Add an entry that isn't here."""
        entry.at_ms = due_at_ms
        self._numbers += 1
        slot = due_at_ms, entry.priority, entry.id, self._numbers, entry
        self.slots[entry.id] = slot
        heappush(self._heap, slot)

    def remove(self, entry: Entry) -> None:
        del self.slots[entry.id]
        if len(self._heap) > _MAX_VOID + 2 * len(self.slots):
            self._heap = list(self.slots.values())
            heapify(self._heap)

    def earliest(self) -> int | None:
        """Return when the first job is due, or ``None`` if there is none."""
        heap = self._heap
        while heap and self.slots.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def count_due(self, now_ms: int) -> int:
        """Return how many jobs are due at ``now_ms``."""
        heap, count, places = self._heap, 0, [0]
        # What is below a slot of the heap isn't due before it.
        while places:
            at = places.pop()
            if at < len(heap) and heap[at][0] <= now_ms:
                count += self.slots.get(heap[at][2]) is heap[at]
                places += (2 * at + 1, 2 * at + 2)
        return count

    def due(self, now_ms: int) -> list[Entry]:
        """Return jobs that are due at ``now_ms``, in order, up to 1,000; the caller must remove them."""
        found: list[Entry] = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms and len(found) < _MAX_DUE:
            slot = heappop(heap)
            if self.slots.get(slot[2]) is slot:
                found.append(slot[4])
        return found

    def after(self, cursor: str) -> Iterator[Entry]:
        slots = list(self.slots.values())
        if cursor:
            due_at_ms, priority, job_id = cursor.split(":", 2)
            behind = int(due_at_ms), int(priority), job_id
            slots = [slot for slot in slots if slot[:3] > behind]
        heapify(slots)
        return (heappop(slots)[4] for _ in range(len(slots)))

    def cursor(self, entry: Entry) -> str:
        return f"{entry.at_ms}:{entry.priority}:{entry.id}"


class Timer:
    """The one worker that wakes at the next due time. Another takes over if it is late, or an earlier job comes."""

    __slots__ = ("_due_ms", "_keeper", "_until_ms")

    def __init__(self) -> None:
        self._keeper = ""
        self._until_ms = 0
        self._due_ms = 0

    def next_due(
        self, request: ClaimRequest, due_at_ms: int | None, opens_at_ms: int | None, now_ms: int
    ) -> int | None:
        """Return for which time a claiming worker is to set the timer, ``None`` if another one keeps it.

        Args:
            request: The claim.
            due_at_ms: When the next scheduled job is due, if there is one.
            opens_at_ms: When the next limit allows a start, if jobs wait for that.
            now_ms: The time. All are in Unix milliseconds.
        """
        self.is_late_for(opens_at_ms, now_ms)
        next_ms = earlier(due_at_ms, opens_at_ms)
        return next_ms if next_ms is not None and self._keep(request, next_ms, now_ms) else None

    def _keep(self, request: ClaimRequest, due_ms: int, now_ms: int) -> bool:
        """Let a worker keep the timer, to wake at ``due_ms``, unless another one does; return whether it does.

        One that would keep it for longer than this worker is not relied on, since the clock may have been set back.
        """
        keep_ms = request.keep_timer_ms
        if self._keeper and self._keeper != request.worker and now_ms <= self._until_ms <= now_ms + keep_ms:
            return False
        self._keeper = request.worker
        self._until_ms = now_ms + keep_ms
        self._due_ms = due_ms
        return True

    def is_late_for(self, at_ms: int | None, now_ms: int) -> bool:
        """Let any worker keep the timer if the one that keeps it wakes after ``at_ms``; return whether that is so."""
        # Rounding may make its time a millisecond later.
        is_late = at_ms is not None and not now_ms < self._due_ms <= at_ms + 1
        if is_late:
            self.reset()
        return is_late

    def reset(self) -> None:
        """Let any worker keep the timer, since there is an earlier due time."""
        self._keeper = ""


def earlier(one: int | None, other: int | None) -> int | None:
    """Return the earlier of two moments, each of which may be none."""
    return min((at for at in (one, other) if at is not None), default=None)
