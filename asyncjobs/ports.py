"""The ports between what asyncjobs decides and what does the I/O, and the records that pass through them.

A broker is a ``JobQueue``, ``JobStore``, ``JobStats``, ``EventStore`` and ``ScheduleStore`` in one object. What each
verb promises is written here and tested by ``asyncjobs.testing.conformance``, which every broker passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry, Settlement
from asyncjobs.core.tenancy import TenantContext

__all__ = [
    "Broker",
    "CancelReply",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Clock",
    "EditReply",
    "Emission",
    "EventPage",
    "Extension",
    "FireReply",
    "Firing",
    "JobQueue",
    "JobStats",
    "JobStore",
    "Lease",
    "LeaseKeeper",
    "NewJob",
    "Place",
    "QueueFigures",
    "Recovery",
    "ScheduleList",
    "ScheduleStore",
    "StoredSchedule",
    "Suspendable",
    "TenantFigures",
    "TenantResolver",
    "WorkerInfo",
]


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job to enqueue: ``record`` from ``core.record``.

    It starts at once, ``delay_ms`` from now by the broker's clock, or at ``due_at_ms``.
    """

    queue: str
    id: str
    record: bytes
    delay_ms: int = 0
    due_at_ms: int | None = None


class Lease(NamedTuple):
    """The right to run one job: void once the same job has been claimed anew, under a higher ``fence``."""

    queue: str
    id: str
    priority: int
    fence: int


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks for: up to ``limit`` jobs, from ``queues`` in this order.

    ``number`` rises by one a claim of this ``worker``; a request sent again with the same number gets the same jobs.
    ``names``: the job names it can run, ``None`` for any; jobs of other names are parked. ``lowest_first``: serve low
    priority first, once. ``keep_timer_ms``: for how long the worker would be the one that wakes at the next due time.
    """

    worker: str
    number: int
    queues: Sequence[str]
    limit: int
    lease_ms: int
    names: frozenset[str] | None = None
    lowest_first: bool = False
    keep_timer_ms: int = 0


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """One leased job as the broker keeps it; ``tries`` is empty before the first failure."""

    queue: str
    id: str
    fence: int
    tries: bytes
    record: bytes


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim.

    ``now_ms``: the broker's clock. ``next_due_ms``: when the earliest scheduled job is due, if this worker is to keep
    the timer. ``again``: there may be more that this claim did not look at, so claim again without waiting.
    """

    jobs: list[Claimed]
    now_ms: int
    next_due_ms: int | None = None
    again: bool = False


class Extension(NamedTuple):
    """The answer to an extension: the leases that are lost, and those whose job is cancelled, with the reason."""

    lost: list[Lease]
    cancelled: list[tuple[Lease, str]]


class Recovery(NamedTuple):
    """What a recovery did, by job ids: back to ready, to the dead letter queue, cancelled."""

    recovered: list[str]
    dead: list[str]
    cancelled: list[str]


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one queue in numbers; ``histogram`` as in ``core.stats``."""

    name: str
    paused: bool
    ready: tuple[int, int, int, int]
    parked: int
    scheduled: int
    running: int
    dead: int
    tried: int
    oldest_wait_ms: int
    succeeded: int
    failed: int
    cancelled: int
    retried: int
    recovered: int
    duration_us: int
    histogram: dict[int, int]


class TenantFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to in one queue; ``dead`` are in its dead letter queue now.

    The counters and the ``histogram`` (as in ``core.stats``) end 30 days after the last of them has risen.
    """

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    duration_us: int = 0
    histogram: dict[int, int] = {}
    dead: int = 0


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it announces itself."""

    id: str
    host: str
    pid: int
    started_at_ms: int
    queues: tuple[str, ...]
    concurrency: int
    status: str
    running: tuple[str, ...]
    names: tuple[str, ...]


class StoredSchedule(NamedTuple):
    """One schedule as the broker keeps it: ``data`` is the core's, ``next_ms`` ``None`` while it is paused."""

    id: str
    data: bytes
    next_ms: int | None
    last_ms: int | None


class ScheduleList(NamedTuple):
    """The schedules of a queue, sorted by id, and the broker's clock."""

    now_ms: int
    schedules: list[StoredSchedule]


class Firing(msgspec.Struct, frozen=True):
    """Ticks of one schedule to fire: ``jobs`` start at once, if ``expected_ms`` is still its next tick and is due.

    ``next_ms`` is the tick after that, ``last_ms`` the latest of those that fire, ``None`` if they are only left out.
    """

    schedule_id: str
    expected_ms: int
    next_ms: int
    last_ms: int | None
    jobs: Sequence[NewJob]


class FireReply(NamedTuple):
    """The answer to firings: the broker's clock, and for each whether it was this call that fired it."""

    now_ms: int
    fired: list[bool]


class Emission(NamedTuple):
    """Events of one running job: encoded, in order, behind ``skipped`` that were dropped before them.

    ``number`` rises with each of a lease, so that one sent again is known; at most 1,000 events.
    """

    lease: Lease
    number: int
    skipped: int
    events: list[bytes]

    @property
    def queue(self) -> str:
        """The queue of its job."""
        return self.lease.queue


class EventPage(NamedTuple):
    """Events of a job with their numbers, rising from 1; ``is_over``: no more can come after these."""

    events: list[tuple[int, bytes]]
    is_over: bool


Place = Literal["ready", "scheduled", "running", "parked"]
Suspendable = Literal["name", "tenant"]
EditReply = Literal["unknown", "ended", "failed", "running", "edited"]
CancelReply = Literal["unknown", "ended", "failed", "running", "cancelled"]


class Clock(Protocol):
    """Time as the process sees it."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only rise, from an arbitrary start."""
        ...


class TenantResolver(Protocol):
    """Knows the tenants."""

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id, with its schema; raise ``UnknownTenant`` or ``TenantSuspended``."""
        ...


class LeaseKeeper(Protocol):
    """Extends leases from a thread of its own: synchronous, on a connection of its own, for one thread at a time."""

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        """Let ``leases`` last ``lease_ms`` from now, also one that lapsed if nobody has taken it over.

        Raises ``BrokerUnavailable`` if the broker can't be reached.
        """
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class JobQueue(Protocol):
    """The way of a job: in, to a worker, and to its end. Each verb is atomic a queue, and may be sent twice."""

    async def open(self) -> None:
        """Connect and check that the broker can keep its promises; raise ``BrokerUnavailable`` or ``BrokerRefused``."""
        ...

    async def close(self) -> None:
        """Give up every connection; the broker may be opened again."""
        ...

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[bool]:
        """Accept ``jobs``; return for each whether it is new. One whose id is known is left as it is.

        ``replicated``: return only once a replica has them too, where the broker has replicas at all; raises
        ``BrokerUnavailable`` if none confirms in time.
        """
        ...

    async def claim(self, request: ClaimRequest) -> Claim:
        """Promote what is due, then lease up to ``request.limit`` startable jobs to the worker."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End, retry, bury or release leased jobs.

        Return for each whether its lease still held; one whose lease was taken over is ignored.
        """
        ...

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        """Take back jobs whose lease has expired.

        A job under which ``max_deaths`` workers died goes to the dead letter queue. After a time without recovery
        longer than a lease it first waits a quarter of ``lease_ms``, so that the living can extend.
        """
        ...

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> int:
        """Make parked jobs of ``names`` ready, and bury those whose name nobody has known for ``grace_ms``.

        What is suspended stays parked. Return how many jobs of both kinds there were.
        """
        ...

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        """Wait until something may be startable, at most ``timeout`` seconds; say whether the bell rang."""
        ...

    async def ring(self, queues: Sequence[str]) -> None:
        """Wake a worker of each queue that has ready jobs."""
        ...

    def lease_keeper(self) -> LeaseKeeper:
        """Return a new lease keeper for a heartbeat thread."""
        ...

    async def size(self, queue: str) -> int:
        """Return how many jobs wait: ready, parked and scheduled."""
        ...

    async def pause(self, queue: str) -> None:
        """Let no more jobs of ``queue`` be claimed; running ones go on, new ones are accepted."""
        ...

    async def resume(self, queue: str) -> None:
        """Undo ``pause``."""
        ...

    async def suspend(self, queue: str, what: Suspendable, which: str, on: bool) -> bool:
        """Let no more jobs of a name or a tenant be claimed, or let them again; say whether that changed anything.

        Those that come to be claimed meanwhile are parked. After a resumption, ``unpark`` makes them ready.
        """
        ...

    async def suspended(self, queue: str) -> list[tuple[Suspendable, str]]:
        """Return what is suspended, sorted."""
        ...

    async def delete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Forget dead or ended jobs; return for each whether there was one. Waiting and running ones are left alone."""
        ...

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, dead_most: int) -> int:
        """Forget dead jobs older than ``dead_ttl_ms``, and the oldest beyond ``dead_most`` a queue; return how many.

        The work of one call is bounded; what is left is for the next.
        """
        ...


class JobStore(Protocol):
    """Jobs by their id."""

    async def find(self, queue: str, job_id: str) -> Job | None:
        """Return the job as it stands, or ``None`` if there is no record."""
        ...

    async def cancel(self, queue: str, job_id: str, reason: str, keep_ms: int) -> CancelReply:
        """Cancel a waiting job now and keep its record for ``keep_ms``; mark a running one for its worker."""
        ...

    async def cancel_many(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        """Cancel jobs as ``cancel`` does, many in one round trip; an id that is named again has ended."""
        ...

    async def browse(
        self, queue: str, place: Place, offset: int, limit: int, tenant: str = ""
    ) -> tuple[list[Job], int]:
        """Return the jobs of a page in the order in which they will start, and how many entries were looked at.

        With ``tenant``, only its jobs of those entries.
        ``offset`` of the next page is this one's plus that number; the list is over once it is less than ``limit``.
        """
        ...

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        """Give a waiting job another priority (0 critical to 3 low), or another time; ``None`` leaves each as it is."""
        ...

    async def failed(
        self, queue: str, limit: int, before: tuple[int, str] | None = None, tenant: str = ""
    ) -> list[Job]:
        """Return up to ``limit`` jobs of the dead letter queue, latest first; with ``tenant``, of its own.

        ``before``: (``finished_at_ms``, ``id``) of the last job of the page before; what died since isn't in the next.
        """
        ...

    async def retry(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Make dead jobs ready, in this order and with their full retries; return for each whether there was one."""
        ...

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        """Wait until the job has ended or is dead and return it, or ``None`` at once if there is no record.

        Raises ``ResultTimeout`` after ``timeout`` seconds.
        """
        ...


class JobStats(Protocol):
    """Figures, history and presence."""

    async def queues(self) -> list[str]:
        """Return the names of all queues ever used, sorted."""
        ...

    async def figures(self, queue: str) -> QueueFigures:
        """Return the state of ``queue`` in numbers."""
        ...

    async def history(self, queue: str, name: str, limit: int) -> list[HistoryEntry]:
        """Return how the last jobs of ``name`` ended, latest first; 1,000 are kept."""
        ...

    async def tenant_figures(self, queue: str, tenant: str) -> TenantFigures:
        """Return what the jobs of ``tenant`` came to in ``queue``."""
        ...

    async def tenant_history(self, queue: str, tenant: str, limit: int) -> list[HistoryEntry]:
        """Return how the last jobs of ``tenant`` ended, latest first; 100 are kept."""
        ...

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> None:
        """Make a worker known for ``ttl_ms``."""
        ...

    async def withdraw(self, worker_id: str) -> None:
        """Forget a worker."""
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are present, sorted by id."""
        ...


class EventStore(Protocol):
    """What running jobs tell: a stream of numbered events a job, capped, and kept for a time."""

    async def emit(self, emissions: Sequence[Emission], most: int, ttl_ms: int) -> list[bool]:
        """Add events to the streams of running jobs; each keeps its last ``most``, for ``ttl_ms`` after the latest.

        The numbers of a job rise as long as it may run again, also where its earlier events have expired.
        May be sent twice: an emission whose number, or a later one, was added under its lease before adds nothing.
        Return for each job whether its lease still held; one that has lost it adds nothing.
        """
        ...

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        """Return up to ``limit`` events numbered above ``after``; wait for the first, or the job's end, if need be.

        After ``timeout`` seconds the page is empty. ``None`` if neither the job nor events of it are known.
        """
        ...


class ScheduleStore(Protocol):
    """Schedules of a queue; each verb is atomic."""

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        """Make a schedule known, its first tick at ``next_ms``; say whether anything has changed.

        One that is known with the same ``data`` goes on as it was; one that is paused stays so.
        """
        ...

    async def schedules(self, queue: str) -> ScheduleList:
        """Return the schedules of ``queue``."""
        ...

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        """Pause a schedule, or let one that is paused go on at ``next_ms``; say whether there is one."""
        ...

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        """Forget a schedule; say whether there was one. What it has enqueued stays."""
        ...

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        """Enqueue the jobs of ticks that are due, each tick once however many ask."""
        ...


class Broker(JobQueue, JobStore, JobStats, EventStore, ScheduleStore, Protocol):
    """All of them in one."""
