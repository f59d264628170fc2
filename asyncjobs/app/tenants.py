"""What ``app.tenants()`` and ``app.tenant_stats()`` return, made from the broker's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from asyncjobs.app.stats import ends_of
from asyncjobs.core.duration import utc_time
from asyncjobs.ports import Place, QueueFigures, Sample, TenantEnd, TenantFigures

__all__ = ["Census", "Part", "TenantList", "TenantQueueStats", "TenantStats", "TenantSummary", "tenant_stats"]


class TenantSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant in numbers, over all queues that are looked at."""

    tenant: str
    """The tenant's id."""
    suspended_in: tuple[str, ...]
    """The queues in which the tenant is suspended, sorted."""
    waiting: int
    """Jobs that wait: ready, scheduled and parked. About that many where there are too many jobs to look at each."""
    running: int
    """Jobs that workers hold, in the same way."""
    failed: int
    """Jobs in the dead letter queues."""
    processed_total: int
    """Jobs that ended by success or in the dead letter queue. Totals of a queue begin anew if no job of the tenant has
    ended there for 30 days."""
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
    run_ms: float
    """How long the completed jobs ran together, in milliseconds."""
    ended_at: datetime | None
    """The minute in which a job of the tenant last ended or was retried: when it began, in UTC; ``None`` if that isn't
    known any more."""


class TenantList(msgspec.Struct, frozen=True, kw_only=True):
    """Some tenants, and how exact their numbers are."""

    tenants: list[TenantSummary]
    """The tenants: those with the most waiting jobs first, then those with the most running ones, then those of whom a
    job ended last."""
    waiting: int
    """Jobs that wait in all these queues, also those of no tenant."""
    running: int
    """Jobs that run in all these queues, also those of no tenant."""
    looked_at: int
    """At how many of these jobs was looked."""
    is_exact: bool
    """Whether that was each of them. Else ``waiting`` and ``running`` of a tenant are told from a sample, in which a
    tenant with few jobs may be missing."""


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


class Part(NamedTuple):
    """The jobs in one place of a queue, and some of them that were looked at."""

    place: Place
    """The place."""
    size: int
    """How many jobs there are."""
    sample: Sample
    """Those that were looked at."""


class Census:
    """What is known of each tenant before its figures are read.

    Args:
        queues: The figures of the queues.
        ends: For each queue, the tenants of whom a job ended last.
        parts: The jobs that haven't ended, place by place.
    """

    def __init__(
        self, queues: Sequence[QueueFigures], ends: Sequence[Sequence[TenantEnd]], parts: Iterable[Part]
    ) -> None:
        self._waiting: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._ended_at_ms: dict[str, int] = {}
        self._suspended_in: dict[str, list[str]] = {}
        for part in parts:
            counts = self._running if part.place == "running" else self._waiting
            for tenant, count in part.sample.tenants.items():
                counts[tenant] += max(count, round(count * part.size / part.sample.looked_at))
        for one, listed in zip(queues, ends, strict=True):
            for tenant, at_ms in listed:
                self._ended_at_ms[tenant] = max(at_ms, self._ended_at_ms.get(tenant, 0))
            for hold in one.holds:
                if hold.kind == "tenant":
                    self._suspended_in.setdefault(hold.which, []).append(one.name)

    def first(self, limit: int) -> list[str]:
        """Return the tenants that are listed first."""
        seen = {*self._waiting, *self._running, *self._ended_at_ms, *self._suspended_in}
        return sorted(seen, key=self._rank)[:limit]

    def _rank(self, tenant: str) -> tuple[int, int, int, str]:
        return -self._waiting[tenant], -self._running[tenant], -self._ended_at_ms.get(tenant, 0), tenant

    def summary(self, tenant: str, figures: Iterable[TenantFigures]) -> TenantSummary | None:
        """Return what is known of a tenant; ``None`` if that is nothing any more.

        Args:
            tenant: The tenant's id.
            figures: Its figures, queue by queue.
        """
        total, ended_at_ms = _sum(figures), self._ended_at_ms.get(tenant)
        waiting, running, suspended_in = self._waiting[tenant], self._running[tenant], self._suspended_in.get(tenant)
        if total == TenantFigures() and not (waiting or running or suspended_in):
            return None
        return TenantSummary(
            tenant=tenant,
            suspended_in=tuple(sorted(suspended_in or ())),
            waiting=waiting,
            running=running,
            run_ms=total.duration_us / 1000,
            ended_at=None if ended_at_ms is None else utc_time(ended_at_ms),
            **ends_of(total),
        )


def tenant_stats(tenant: str, figures: Mapping[str, TenantFigures], paused: Container[str]) -> TenantStats:
    """Return the statistics of one tenant.

    Args:
        tenant: The tenant's id.
        figures: Its figures by queue.
        paused: The queues in which it is suspended.
    """
    queues = [
        TenantQueueStats(queue_name=queue, paused=queue in paused, **ends_of(here))
        for queue, here in figures.items()
        if queue in paused or here != TenantFigures()
    ]
    return TenantStats(tenant=tenant, queues=queues, **ends_of(_sum(figures.values())))


def _sum(figures: Iterable[TenantFigures]) -> TenantFigures:
    numbers: Counter[str] = Counter()
    histogram: Counter[int] = Counter()
    for one in figures:
        fields = msgspec.structs.asdict(one)
        histogram.update(fields.pop("histogram"))
        numbers.update(fields)
    return TenantFigures(**numbers, histogram=dict(histogram))
