"""Jobs on their way in, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.job import Job
from asyncjobs.ports import EventPage, NewJob

__all__ = ["enqueue", "find", "read_events"]


def enqueue(queue: Queue, jobs: Sequence[NewJob], now_ms: int) -> list[bool]:
    """Accept ``jobs``; return for each whether it is new."""
    known = queue.jobs
    has_events = len(queue.events) > 0
    reply: list[bool] = []
    startable: list[Entry] = []
    later: list[tuple[Entry, int]] = []
    for job in jobs:
        before = known.get(job.id)
        if before is not None:
            if before.place != "ended" or before.at_ms > now_ms:
                reply.append(False)
                continue
            queue.forget(before)
        if has_events:
            queue.events.remove(job.id)
        reply.append(True)
        entry = Entry(queue.name, job.id, job.name, job.body, job.priority, job.tenant, job.acks_early)
        known[job.id] = entry
        due_at_ms = now_ms + job.delay_ms if job.due_at_ms is None else job.due_at_ms
        if due_at_ms > now_ms:
            later.append((entry, due_at_ms))
        else:
            startable.append(entry)
    queue.make_ready(startable)
    queue.schedule(later)
    queue.clear(now_ms, len(reply))
    return reply


def find(queue: Queue, job_id: str, now_ms: int) -> Job | None:
    """Return the job as it stands, or ``None`` if there is no record."""
    entry = queue.get(job_id, now_ms)
    return None if entry is None else entry.as_job()


def read_events(queue: Queue, job_id: str, after: int, limit: int, now_ms: int) -> EventPage | None:
    """Return up to ``limit`` events numbered above ``after``, ``None`` if neither the job nor events are known."""
    entry = queue.get(job_id, now_ms)
    events = queue.events.read(job_id, after, limit, now_ms)
    if entry is None and events is None:
        return None
    is_over = entry is None or entry.place in ("ended", "dead")
    return EventPage(events or [], is_over and len(events or ()) < limit)
