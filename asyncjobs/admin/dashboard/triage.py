"""What is wrong now, told from the figures alone. Pure: figures in, findings out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from asyncjobs.app.stats import QueueStats, WorkerStats

__all__ = ["Finding", "findings"]

LONG_WAIT_MS = 60_000
"""From this wait of the first job in line on, a queue that is served is slow."""

Level = Literal["bad", "warn"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    level: Level
    """``bad`` where jobs don't run, ``warn`` where somebody should look."""
    queue: str
    """The queue that it is about."""
    sentence: str
    """What is wrong."""
    action: Literal["resume", "dead", "workers", "parked", "queue"]
    """Where to go, or what to do about it."""


def findings(queues: Collection[QueueStats], workers: Collection[WorkerStats]) -> list[Finding]:
    """Return what is wrong, the worst first, and of the same level the queue with most jobs first."""
    served = {name for worker in workers if worker.status != "stopping" for name in worker.queues}
    found = [(queue, one) for queue in queues for one in _of_queue(queue, queue.queue_name in served)]
    found.sort(key=lambda pair: (pair[1].level != "bad", -pair[0].size - pair[0].failed, pair[0].queue_name))
    return [one for _, one in found]


def _of_queue(queue: QueueStats, is_served: bool) -> list[Finding]:
    found: list[Finding] = []

    def add(level: Level, sentence: str, action: Literal["resume", "dead", "workers", "parked", "queue"]) -> None:
        found.append(Finding(level=level, queue=queue.queue_name, sentence=sentence, action=action))

    if queue.paused:
        add("bad" if queue.size else "warn", f"paused; {_jobs(queue.size)} wait", "resume")
    elif queue.size and not is_served:
        add("bad", f"no worker serves it; {_jobs(queue.size)} wait", "workers")
    elif queue.pending and queue.oldest_wait_ms >= LONG_WAIT_MS:
        add(
            "warn",
            f"slow: the first of {_jobs(queue.pending)} in line has waited {_span(queue.oldest_wait_ms)}",
            "queue",
        )
    if queue.parked:
        add("warn", f"{_jobs(queue.parked)} set aside: no worker knows the name, or it is suspended", "parked")
    if queue.failed:
        add("warn", f"{_jobs(queue.failed)} in the dead letter queue", "dead")
    return found


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _span(duration_ms: int) -> str:
    minutes = duration_ms // 60_000
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
