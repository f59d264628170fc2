"""The events of the jobs of one queue: numbered, capped, and kept for a time."""

from __future__ import annotations

from collections import deque

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.lapsing import Lapsing
from asyncjobs.ports import Emission

__all__ = ["EventStreams"]


class EventStreams(Lapsing[str, deque[tuple[int, bytes]]]):
    """The events of each job, by its id. They may outlast the record of the job."""

    __slots__ = ()

    def add(self, entry: Entry, emission: Emission, max_events: int, ttl_ms: int, now_ms: int) -> None:
        """Add the events of ``emission``, unless it was added before; keep the last ``max_events`` for ``ttl_ms``."""
        last, fence, number = entry.last_event
        if fence == emission.lease.fence and number >= emission.number:
            return
        events = self.get(entry.id, now_ms) or deque()
        events.extend(enumerate(emission.events, last + emission.skipped + 1))
        while len(events) > max_events:
            events.popleft()
        self.put(entry.id, events, ttl_ms, now_ms)
        entry.last_event = last + emission.skipped + len(emission.events), emission.lease.fence, emission.number

    def read(self, job_id: str, after: int, limit: int, now_ms: int) -> list[tuple[int, bytes]] | None:
        """Return up to ``limit`` events with their numbers, ``None`` if the job has no stream."""
        events = self.get(job_id, now_ms)
        return None if events is None else [event for event in events if event[0] > after][:limit]
