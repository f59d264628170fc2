"""Jobs while they run: their leases, and their events."""

from __future__ import annotations

from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.ports import Emission, EventPage, Lease

__all__ = ["emit", "extend", "read_events"]


def extend(queue: Queue, lease: Lease, deadline_ms: int) -> tuple[bool, str | None]:
    """Let a lease last until ``deadline_ms``; return whether it holds, and the reason if its job is to be cancelled."""
    entry = queue.leased(lease.id, lease.fence)
    if entry is None:
        return False, None
    queue.running.extend(entry, deadline_ms)
    return True, entry.cancel_reason


def emit(queue: Queue, emission: Emission, max_events: int, ttl_ms: int, now_ms: int) -> bool:
    """Add events to the stream of a running job; return whether its lease still held."""
    entry = queue.leased(emission.lease.id, emission.lease.fence)
    if entry is None:
        return False
    queue.events.add(entry, emission, max_events, ttl_ms, now_ms)
    queue.watchers.tell(entry.id)
    return True


def read_events(queue: Queue, job_id: str, after: int, limit: int, now_ms: int) -> EventPage | None:
    """Return up to ``limit`` events numbered above ``after``, ``None`` if neither the job nor events are known."""
    entry = queue.get(job_id, now_ms)
    events = queue.events.read(job_id, after, limit, now_ms)
    if entry is None and events is None:
        return None
    is_over = entry is None or entry.place in ("ended", "dead")
    return EventPage(events or [], is_over and len(events or ()) < limit)
