"""What ``app.stats()``, ``app.queue_stats()`` and ``app.tenant_stats()`` tell, drawn from the broker's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from asyncjobs.core.histogram import mean_ms, percentile_ms
from asyncjobs.ports import QueueFigures, TenantFigures, WorkerInfo

__all__ = [
    "QueueStats",
    "Stats",
    "TenantQueueStats",
    "TenantStats",
    "WorkerStats",
    "queue_stats",
    "stats",
    "tenant_stats",
    "worker_stats",
]


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """One queue in numbers; durations and waits in milliseconds, ``None`` before the first job has ended.

    ``size``: jobs that wait, now and for later. Of them ``pending`` are startable, ``scheduled`` wait for their time
    (``retrying`` of both have failed before) and ``parked`` for a worker that knows their name. ``failed`` are in the
    dead letter queue. ``processed_total`` counts the jobs that ended by success or in the dead letter queue.
    Percentiles are within 5 %. ``oldest_wait_ms``: since the first job in line was sent.
    """

    queue_name: str
    size: int
    pending: int
    pending_by_priority: dict[str, int]
    scheduled: int
    parked: int
    running: int
    retrying: int
    failed: int
    paused: bool
    processed_total: int
    succeeded_total: int
    failed_total: int
    cancelled_total: int
    retried_total: int
    recovered_total: int
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    oldest_wait_ms: int


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: ``status`` is idle, running or stopping; ``running`` holds up to 100 ids of the jobs it runs."""

    id: str
    status: str
    host: str
    pid: int
    started_at: datetime
    queues: tuple[str, ...]
    concurrency: int
    running: tuple[str, ...]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """All queues and workers; the totals are those of the queues."""

    total_processed: int
    total_succeeded: int
    total_failed: int
    queues: list[QueueStats]
    workers: list[WorkerStats]


class TenantQueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to in one queue; the figures mean what they do in ``QueueStats``.

    ``paused``: the tenant is suspended there.
    """

    queue_name: str
    paused: bool
    failed: int
    processed_total: int
    succeeded_total: int
    failed_total: int
    cancelled_total: int
    retried_total: int
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None


class TenantStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to: in all ``queues`` where it has any, or is suspended, and in sum."""

    tenant: str
    failed: int
    processed_total: int
    succeeded_total: int
    failed_total: int
    cancelled_total: int
    retried_total: int
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    queues: list[TenantQueueStats]


_PRIORITY_NAMES = ("critical", "high", "normal", "low")


def queue_stats(figures: QueueFigures) -> QueueStats:
    """Return the statistics of one queue."""
    return QueueStats(
        queue_name=figures.name,
        size=sum(figures.ready) + figures.parked + figures.scheduled,
        pending=sum(figures.ready),
        pending_by_priority=dict(zip(_PRIORITY_NAMES, figures.ready, strict=True)),
        scheduled=figures.scheduled,
        parked=figures.parked,
        running=figures.running,
        # Whoever has tried is remembered until the end; what is dead has tried too.
        retrying=max(0, figures.tried - figures.dead),
        paused=figures.paused,
        recovered_total=figures.recovered,
        oldest_wait_ms=figures.oldest_wait_ms,
        **_ends(figures),
    )


def tenant_stats(tenant: str, figures: Mapping[str, TenantFigures], paused: Container[str]) -> TenantStats:
    """Return the statistics of one tenant; ``figures`` by queue, ``paused``: the queues in which it is suspended."""
    queues = [
        TenantQueueStats(queue_name=queue, paused=queue in paused, **_ends(here))
        for queue, here in figures.items()
        if queue in paused or here != TenantFigures()
    ]
    return TenantStats(tenant=tenant, queues=queues, **_ends(_sum(figures.values())))


def _sum(figures: Iterable[TenantFigures]) -> TenantFigures:
    numbers: Counter[str] = Counter()
    histogram: Counter[int] = Counter()
    for one in figures:
        fields = msgspec.structs.asdict(one)
        histogram.update(fields.pop("histogram"))
        numbers.update(fields)
    return TenantFigures(**numbers, histogram=dict(histogram))


def _ends(figures: QueueFigures | TenantFigures) -> dict[str, Any]:
    """Return what ended jobs came to, under the names that the statistics have for it."""
    return {
        "failed": figures.dead,
        "processed_total": figures.succeeded + figures.failed,
        "succeeded_total": figures.succeeded,
        "failed_total": figures.failed,
        "cancelled_total": figures.cancelled,
        "retried_total": figures.retried,
        "avg_duration_ms": mean_ms(figures.duration_us, figures.succeeded),
        "p50_duration_ms": percentile_ms(figures.histogram, 0.5),
        "p95_duration_ms": percentile_ms(figures.histogram, 0.95),
        "p99_duration_ms": percentile_ms(figures.histogram, 0.99),
    }


def worker_stats(info: WorkerInfo) -> WorkerStats:
    """Return the statistics of one worker."""
    return WorkerStats(
        id=info.id,
        status=info.status,
        host=info.host,
        pid=info.pid,
        started_at=datetime.fromtimestamp(info.started_at_ms / 1000, UTC),
        queues=info.queues,
        concurrency=info.concurrency,
        running=info.running,
    )


def stats(figures: list[QueueFigures], workers: list[WorkerInfo]) -> Stats:
    """Return the statistics of everything."""
    queues = [queue_stats(one) for one in figures]
    return Stats(
        total_processed=sum(queue.processed_total for queue in queues),
        total_succeeded=sum(queue.succeeded_total for queue in queues),
        total_failed=sum(queue.failed_total for queue in queues),
        queues=queues,
        workers=[worker_stats(worker) for worker in workers],
    )
