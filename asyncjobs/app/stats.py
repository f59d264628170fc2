"""What ``app.stats()``, ``app.queue_stats()`` and ``app.tenant_stats()`` return, made from the broker's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.core.histogram import mean_ms, percentile_ms
from asyncjobs.core.priority import Priority
from asyncjobs.jobs.events import Progress
from asyncjobs.ports import (
    Held,
    Hold,
    ParkedJobs,
    PeriodFigures,
    QueueFigures,
    RunningJob,
    TenantFigures,
    WorkerInfo,
)

__all__ = [
    "HoldStats",
    "MinuteStats",
    "ParkedReason",
    "ParkedStats",
    "QueueStats",
    "Stats",
    "TenantQueueStats",
    "TenantStats",
    "WorkerJob",
    "WorkerStats",
    "has_counts",
    "minute_stats",
    "queue_stats",
    "stats",
    "stats_of",
    "tenant_stats",
    "worker_stats",
]


ParkedReason = Literal["unknown name", "suspended name", "suspended tenant", "newer version"]
"""Why jobs are parked (set aside)."""


class ParkedStats(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one queue that are parked (set aside) for the same reason."""

    reason: ParkedReason
    """Why: no worker has known their name, their name or their tenant is suspended, or a newer asyncjobs has written
    them."""
    which: str
    """The name, the tenant, or the version of the records."""
    size: int
    """How many jobs there are."""
    since: datetime
    """Since when there are any, or when their suspension last ended, in UTC by the broker's clock."""


class HoldStats(msgspec.Struct, frozen=True, kw_only=True):
    """A pause of a queue, or the suspension of a name or a tenant in it."""

    kind: Literal["queue", "name", "tenant"]
    """What is held back: all jobs of the queue, or those of a name or a tenant."""
    which: str
    """The name or the tenant; empty for the queue."""
    since: datetime | None
    """Since when, in UTC by the broker's clock; ``None`` if an earlier version has held it back."""
    by: str
    """Who has held it back: see ``acting``. Empty if that isn't known."""
    why: str
    """The reason that was given; empty if there was none."""


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """One queue in numbers; totals count from its first job."""

    queue_name: str
    """The queue."""
    size: int
    """Jobs that wait: pending, scheduled and parked."""
    pending: int
    """Jobs that may start now."""
    pending_by_priority: dict[str, int]
    """The jobs that may start now, by the name of their priority."""
    scheduled: int
    """Jobs that wait for their time, first runs and retries."""
    parked: int
    """Jobs that wait for a worker that knows their name, or for the end of a suspension."""
    running: int
    """Jobs that workers hold."""
    retrying: int
    """Jobs that wait, and of which an attempt has failed."""
    failed: int
    """Jobs in the dead letter queue."""
    paused: bool
    """Whether the queue is paused."""
    processed_total: int
    """Jobs that ended by success or in the dead letter queue."""
    succeeded_total: int
    """Jobs that completed."""
    failed_total: int
    """Jobs that went to the dead letter queue."""
    cancelled_total: int
    """Jobs that were cancelled."""
    retried_total: int
    """Retries."""
    recovered_total: int
    """Jobs taken back from workers that died."""
    avg_duration_ms: float | None
    """The mean duration of completed jobs in milliseconds, ``None`` before the first."""
    p50_duration_ms: float | None
    """The median duration of completed jobs in milliseconds; percentiles are within 5 %."""
    p95_duration_ms: float | None
    """The duration that 95 % of the completed jobs did not exceed, in milliseconds."""
    p99_duration_ms: float | None
    """The duration that 99 % of the completed jobs did not exceed, in milliseconds."""
    oldest_wait_ms: int
    """How long the first job in line has waited since it was sent, in milliseconds."""
    overdue: int = 0
    """Jobs among the scheduled ones whose time has come: more than a few mean that no worker serves the queue."""
    parked_for: tuple[ParkedStats, ...] = ()
    """The parked jobs by reason, most first, at most 100."""
    holds: tuple[HoldStats, ...] = ()
    """What is held back: the queue if it is paused, and the suspended names and tenants."""

    @property
    def pause(self) -> HoldStats | None:
        """The pause of the queue: since when, by whom and why; ``None`` if it isn't paused."""
        return next((one for one in self.holds if one.kind == "queue"), None)


class MinuteStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one queue came to in one minute."""

    at: datetime
    """When the minute began, in UTC by the broker's clock."""
    succeeded: int
    """Jobs that completed."""
    failed: int
    """Jobs that went to the dead letter queue."""
    cancelled: int
    """Jobs that were cancelled."""
    retried: int
    """Retries."""
    recovered: int
    """Jobs taken back from workers that died."""
    avg_duration_ms: float | None
    """The mean duration of completed jobs in milliseconds, ``None`` if there were none."""


class WorkerJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker runs, as the worker told it last, up to five seconds ago."""

    id: str
    """Its id; with its tenant, as in ``@acme:invoice-7``."""
    queue: str
    """Its queue."""
    name: str
    """The job name."""
    tenant: str | None
    """The tenant's id, if it has one."""
    attempt: int
    """The number of the attempt, from 1 on."""
    started_at: datetime
    """When the attempt began, in UTC by the broker's clock."""
    progress: Progress | None
    """What the handler reported last, with at most 200 characters of its note; ``None`` if it reported nothing, or runs
    in a process of its own."""


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker that is present."""

    id: str
    """Its id."""
    status: str
    """``idle``, ``running`` or ``stopping``."""
    host: str
    """The name of its machine."""
    pid: int
    """Its process."""
    started_at: datetime
    """When it started, in UTC."""
    queues: tuple[str, ...]
    """The queues that it serves."""
    concurrency: int
    """How many jobs it runs at once."""
    running: tuple[str, ...]
    """The ids of the jobs that it runs, at most 100."""
    jobs: tuple[WorkerJob, ...] = ()
    """The jobs that it runs, those that began first, at most 100; none from a worker of an earlier version."""
    version: str = ""
    """The version of asyncjobs that it runs with; empty from an earlier version."""
    deploy: str = ""
    """The setting ``deploy`` of its program: its release or commit."""
    rss: int = 0
    """The memory of its process in bytes, within 10 %; 0 where the system doesn't tell."""
    lag_ms: int = 0
    """How late its event loop ran at most in the last seconds, in milliseconds, in steps of 50."""
    beat_at: datetime | None = None
    """When it gave its last sign of life, in UTC by the broker's clock."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """All queues and workers."""

    total_processed: int
    """Jobs that ended by success or in the dead letter queue, in all queues."""
    total_succeeded: int
    """Jobs that completed, in all queues."""
    total_failed: int
    """Jobs that went to the dead letter queue, in all queues."""
    queues: list[QueueStats]
    """Each queue, sorted by name."""
    workers: list[WorkerStats]
    """Each worker that is present, sorted by id."""


class TenantQueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to in one queue."""

    queue_name: str
    """The queue."""
    paused: bool
    """Whether the tenant is suspended in this queue."""
    failed: int
    """Jobs of the tenant in the dead letter queue."""
    processed_total: int
    """Jobs that ended by success or in the dead letter queue."""
    succeeded_total: int
    """Jobs that completed."""
    failed_total: int
    """Jobs that went to the dead letter queue."""
    cancelled_total: int
    """Jobs that were cancelled."""
    retried_total: int
    """Retries."""
    avg_duration_ms: float | None
    """The mean duration of completed jobs in milliseconds, ``None`` before the first."""
    p50_duration_ms: float | None
    """The median duration of completed jobs in milliseconds; percentiles are within 5 %."""
    p95_duration_ms: float | None
    """The duration that 95 % of the completed jobs did not exceed, in milliseconds."""
    p99_duration_ms: float | None
    """The duration that 99 % of the completed jobs did not exceed, in milliseconds."""


class TenantStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to, in all and queue by queue."""

    tenant: str
    """The tenant's id."""
    failed: int
    """Jobs of the tenant in the dead letter queues."""
    processed_total: int
    """Jobs that ended by success or in the dead letter queue."""
    succeeded_total: int
    """Jobs that completed."""
    failed_total: int
    """Jobs that went to the dead letter queue."""
    cancelled_total: int
    """Jobs that were cancelled."""
    retried_total: int
    """Retries."""
    avg_duration_ms: float | None
    """The mean duration of completed jobs in milliseconds, ``None`` before the first."""
    p50_duration_ms: float | None
    """The median duration of completed jobs in milliseconds; percentiles are within 5 %."""
    p95_duration_ms: float | None
    """The duration that 95 % of the completed jobs did not exceed, in milliseconds."""
    p99_duration_ms: float | None
    """The duration that 99 % of the completed jobs did not exceed, in milliseconds."""
    queues: list[TenantQueueStats]
    """Each queue that has counted jobs of the tenant, or in which the tenant is suspended."""


def queue_stats(figures: QueueFigures) -> QueueStats:
    """Return the statistics of one queue."""
    return QueueStats(
        queue_name=figures.name,
        size=sum(figures.ready) + figures.parked + figures.scheduled,
        pending=sum(figures.ready),
        pending_by_priority={one.label: figures.ready[one] for one in Priority},
        scheduled=figures.scheduled,
        parked=figures.parked,
        running=figures.running,
        # The broker counts a job as tried until it ends, so dead and running jobs are among them.
        retrying=max(0, figures.tried - figures.dead - figures.tried_running),
        paused=figures.paused,
        recovered_total=figures.recovered,
        oldest_wait_ms=figures.oldest_wait_ms,
        overdue=figures.overdue,
        parked_for=tuple(_parked(one, figures.holds) for one in figures.parked_for),
        holds=tuple(map(_hold, figures.held)),
        **_ends(figures),
    )


def _hold(held: Held) -> HoldStats:
    kind, which = held.hold
    # A version is never held.
    assert kind != "version"
    since = utc_time(held.since_ms) if held.since_ms else None
    return HoldStats(kind=kind, which=which, since=since, by=held.by, why=held.why)


def _parked(jobs: ParkedJobs, holds: Container[Hold]) -> ParkedStats:
    kind, which = jobs.hold
    reason: ParkedReason = "suspended tenant" if kind == "tenant" else "newer version"
    if kind == "name":
        reason = "suspended name" if jobs.hold in holds else "unknown name"
    return ParkedStats(reason=reason, which=which, size=jobs.size, since=utc_time(jobs.since_ms))


def has_counts(figures: PeriodFigures) -> bool:
    """Return whether a job has ended or was retried in this period."""
    return bool(figures.succeeded or figures.failed or figures.cancelled or figures.retried or figures.recovered)


def minute_stats(figures: PeriodFigures) -> MinuteStats:
    """Return the statistics of one minute of a queue."""
    return MinuteStats(
        at=utc_time(figures.at_ms),
        succeeded=figures.succeeded,
        failed=figures.failed,
        cancelled=figures.cancelled,
        retried=figures.retried,
        recovered=figures.recovered,
        avg_duration_ms=mean_ms(figures.duration_us, figures.succeeded),
    )


def tenant_stats(tenant: str, figures: Mapping[str, TenantFigures], paused: Container[str]) -> TenantStats:
    """Return the statistics of one tenant.

    Args:
        tenant: The tenant's id.
        figures: Its figures by queue.
        paused: The queues in which it is suspended.
    """
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
    """Return the figures of ended jobs, under the names of the statistics."""
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
        started_at=utc_time(info.started_at_ms),
        queues=info.queues,
        concurrency=info.concurrency,
        running=info.running,
        jobs=tuple(map(_worker_job, info.jobs)),
        version=info.version,
        deploy=info.deploy,
        rss=info.rss,
        lag_ms=info.lag_ms,
        beat_at=utc_time(info.beat_at_ms) if info.beat_at_ms else None,
    )


def _worker_job(job: RunningJob) -> WorkerJob:
    return WorkerJob(
        id=job.id,
        queue=job.queue,
        name=job.name,
        tenant=job.tenant or None,
        attempt=job.attempt,
        started_at=utc_time(job.started_at_ms),
        progress=None if job.progress is None else Progress(*job.progress),
    )


def stats(figures: list[QueueFigures], workers: list[WorkerInfo]) -> Stats:
    """Return the statistics of all queues and workers."""
    return stats_of([queue_stats(one) for one in figures], [worker_stats(worker) for worker in workers])


def stats_of(queues: list[QueueStats], workers: list[WorkerStats]) -> Stats:
    """Return the statistics of these queues and workers, with the totals of the queues."""
    return Stats(
        total_processed=sum(queue.processed_total for queue in queues),
        total_succeeded=sum(queue.succeeded_total for queue in queues),
        total_failed=sum(queue.failed_total for queue in queues),
        queues=queues,
        workers=workers,
    )
