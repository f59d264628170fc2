"""What ``app.stats()`` and ``app.queue_stats()`` return, made from the broker's figures."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any, Literal

import msgspec

from asyncjobs.app.worker_stats import WorkerStats, worker_stats
from asyncjobs.core.duration import utc_time
from asyncjobs.core.histogram import mean_ms, percentile_ms
from asyncjobs.core.limits import checked_limit
from asyncjobs.core.priority import Priority
from asyncjobs.ports import (
    Held,
    Hold,
    LimitFigures,
    ParkedJobs,
    PeriodFigures,
    QueueFigures,
    TenantFigures,
    WorkerInfo,
)

__all__ = [
    "HoldStats",
    "LimitStats",
    "MinuteStats",
    "ParkedReason",
    "ParkedStats",
    "QueueStats",
    "Stats",
    "ends_of",
    "has_counts",
    "minute_stats",
    "queue_stats",
    "stats",
    "stats_of",
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


class LimitStats(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of a queue may run, at once and in a time, on all workers together."""

    running: int | None
    """How many may run at once; ``None`` for any number."""
    rate: str | None
    """How many may start in a time, such as ``"50/s"``; ``None`` for any number."""
    burst: int | None
    """How many of the rate may start at the same moment; ``None`` without a rate."""
    is_set: bool
    """Whether this was set by hand, in place of what the program declares."""
    set_by: str
    """Who has set it: see ``acting``. Empty if it is as declared."""
    declared: str
    """What the program declares, as text."""
    opens_at: datetime | None
    """When the next jobs may start, in UTC, if the rate is used up; ``None`` if it isn't."""

    def __str__(self) -> str:
        return str(checked_limit(self.running, self.rate))


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
    limit: LimitStats | None = None
    """How many of its jobs may run, at once and in a time; ``None`` if there is no limit."""
    lined: int = 0
    """Jobs among the pending ones that have a group or gates, and wait in lines of their own."""
    closed_lines: int = 0
    """How many of these lines wait for a gate: see ``app.gates``."""
    repaired_total: int = 0
    """Slots of gates that were counted wrongly and set right: to be 0, see ``asyncjobs doctor``."""

    @property
    def pause(self) -> HoldStats | None:
        """The pause of the queue: since when, by whom and why; ``None`` if it isn't paused."""
        return next((one for one in self.holds if one.kind == "queue"), None)

    @property
    def by_state(self) -> dict[str, int]:
        """How many jobs are in each state that has no end yet, dead ones included, as metrics name the states."""
        return {state: getattr(self, state) for state in ("pending", "scheduled", "parked", "running", "failed")}


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
        limit=None if figures.limit is None else _limit(figures.limit),
        lined=figures.lined,
        closed_lines=figures.closed_lines,
        repaired_total=figures.repaired,
        **ends_of(figures),
    )


def _hold(held: Held) -> HoldStats:
    kind, which = held.hold
    # A version is never held.
    assert kind != "version"
    since = utc_time(held.since_ms) if held.since_ms else None
    return HoldStats(kind=kind, which=which, since=since, by=held.by, why=held.why)


def _limit(figures: LimitFigures) -> LimitStats:
    rate = figures.limit.rate
    return LimitStats(
        running=figures.limit.running,
        rate=None if rate is None else str(rate),
        burst=None if rate is None else rate.burst,
        is_set=figures.is_set,
        set_by=figures.set_by,
        declared=str(figures.declared),
        opens_at=utc_time(figures.opens_at_ms),
    )


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


def ends_of(figures: QueueFigures | TenantFigures) -> dict[str, Any]:
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
