"""What ``app.tenants()`` and ``app.tenant_stats()`` return, made from the broker's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from asyncjobs.app.stats import ends_of
from asyncjobs.core.duration import utc_time
from asyncjobs.ports import Place, QueueFigures, Sample, TenantFigures

__all__ = ["Census", "Part", "Rank", "TenantList", "TenantQueueStats", "TenantStats", "TenantSummary", "tenant_stats"]


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
    """The tenants: those with the most waiting jobs first, then those with the most running ones, then those that are
    suspended, then those of whom a job ended last. Where ``is_exact`` is false, only the first page goes by what waits
    and runs, with 100 of them at most; behind these come all others, those of whom a job ended last first. The list may
    be empty although there is a next page."""
    next: str
    """What asks for the next page as ``after``; empty if there is none."""
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


class Rank(NamedTuple):
    """Where a tenant stands among those of whom jobs wait or run, or that are suspended."""

    waiting: int
    """How many of its jobs wait."""
    running: int
    """How many run."""
    tenant: str
    """Its id."""


def _order(rank: Rank) -> tuple[int, int, str]:
    return -rank.waiting, -rank.running, rank.tenant


class Census:
    """The tenants of whom jobs wait or run, and those that are suspended.

    Args:
        queues: The figures of the queues.
        parts: The jobs that haven't ended, place by place.
        is_exact: Whether each of these jobs was looked at.
    """

    def __init__(self, queues: Iterable[QueueFigures], parts: Iterable[Part], *, is_exact: bool) -> None:
        self.is_exact = is_exact
        self._waiting: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._suspended_in: dict[str, list[str]] = {}
        for part in parts:
            counts = self._running if part.place == "running" else self._waiting
            for tenant, count in part.sample.tenants.items():
                counts[tenant] += max(count, round(count * part.size / part.sample.looked_at))
        for one in queues:
            for hold in one.holds:
                if hold.kind == "tenant":
                    self._suspended_in.setdefault(hold.which, []).append(one.name)

    def __contains__(self, tenant: object) -> bool:
        return tenant in self._waiting or tenant in self._running or tenant in self._suspended_in

    def __iter__(self) -> Iterator[str]:
        return iter({*self._waiting, *self._running, *self._suspended_in})

    def ranks(self, after: Rank | None) -> list[Rank]:
        """Return where each stands, those that come first first, and behind ``after``."""
        ranks = (Rank(self._waiting[one], self._running[one], one) for one in self)
        return sorted((one for one in ranks if after is None or _order(one) > _order(after)), key=_order)

    def summary(self, tenant: str, figures: Iterable[TenantFigures], ended_at_ms: int | None) -> TenantSummary | None:
        """Return what is known of a tenant, who may be another one; ``None`` if that is nothing any more.

        Args:
            tenant: The tenant's id.
            figures: Its figures, queue by queue.
            ended_at_ms: When a job of it ended last, in Unix milliseconds, if that is known.
        """
        total = _sum(figures)
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
