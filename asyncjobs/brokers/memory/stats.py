"""The state of one queue in numbers."""

from __future__ import annotations

from asyncjobs.brokers.memory.places import job_of
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.retention import MAX_PARKED_SHOWN
from asyncjobs.ports import QueueFigures

__all__ = ["figures", "is_in_use"]

_COUNTERS = ("succeeded", "failed", "cancelled", "retried", "recovered", "duration_us")


def figures(queue: Queue, now_ms: int) -> QueueFigures:
    """Return the figures of ``queue``."""
    critical, high, normal, low = map(len, queue.ready.lines)
    total = queue.ledger.total
    return QueueFigures(
        name=queue.name,
        held=tuple(queue.parked.held),
        ready=(critical, high, normal, low),
        parked=len(queue.parked),
        parked_for=tuple(queue.parked.counts(MAX_PARKED_SHOWN)),
        scheduled=len(queue.scheduled),
        overdue=queue.scheduled.count_due(now_ms),
        running=len(queue.running),
        dead=len(queue.dead),
        tried=queue.tried,
        tried_running=sum(bool(entry.tries) for entry in queue.running) if queue.tried > len(queue.dead) else 0,
        oldest_wait_ms=_oldest_wait_ms(queue, now_ms),
        **{what: total.counts.get(what, 0) for what in _COUNTERS},
        histogram=dict(total.histogram),
        limit=None if queue.limit is None else queue.limit.figures(now_ms),
    )


def _oldest_wait_ms(queue: Queue, now_ms: int) -> int:
    """Return how long the oldest of the jobs that are first in their priority has waited, where its record says it."""
    heads = [next(iter(line)) for line in queue.ready.lines if line]
    created_at_ms = [job_of(head, now_ms).created_at_ms for head in heads]
    return max(0, now_ms - min((one for one in created_at_ms if one), default=now_ms))


def is_in_use(queue: Queue) -> bool:
    """Return whether a queue holds a job that has not ended, a schedule, a hold, or a limit set by hand."""
    is_changed = queue.parked.holds or queue.schedules or (queue.limit and queue.limit.is_set)
    return bool(queue.deleted or is_changed or any(map(len, queue.listed.values())))
