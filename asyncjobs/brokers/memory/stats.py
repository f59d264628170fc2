"""The state of one queue in numbers."""

from __future__ import annotations

import itertools

from asyncjobs.brokers.memory.places import oldest_wait_ms
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.retention import MAX_PARKED_SHOWN
from asyncjobs.ports import QueueFigures

__all__ = ["figures", "is_in_use"]

#: Of how many lines with a key the figures look at the first job.
_MAX_LINES = 1_000

_COUNTERS = ("succeeded", "failed", "cancelled", "retried", "recovered", "duration_us")


def figures(queue: Queue, now_ms: int) -> QueueFigures:
    """Return the figures of ``queue``."""
    critical, high, normal, low = queue.ready.sizes()
    lined, closed_lines = queue.lined.counts()
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
        lined=lined,
        closed_lines=closed_lines,
    )


def _oldest_wait_ms(queue: Queue, now_ms: int) -> int:
    """Return how long the oldest of the jobs that are first in their lines has waited."""
    lines = itertools.chain(queue.ready.lines, itertools.islice(queue.lined, _MAX_LINES))
    return oldest_wait_ms(lines, now_ms)


def is_in_use(queue: Queue) -> bool:
    """Return whether a queue holds a job that has not ended, a schedule, a hold, or a limit set by hand."""
    is_limited = (queue.limit and queue.limit.is_set) or queue.lined.gates.by_hand
    is_changed = queue.parked.holds or queue.schedules or is_limited
    return bool(queue.deleted or is_changed or any(map(len, queue.listed.values())))
