"""What a broker promises, verb by verb; ``asyncjobs.testing.conformance`` tests it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry, Settlement
from asyncjobs.ports.records import (
    CancelReply,
    Claim,
    ClaimRequest,
    EditReply,
    Emission,
    EventPage,
    Extension,
    FireReply,
    Firing,
    Lease,
    NewJob,
    Place,
    QueueFigures,
    Recovery,
    ScheduleList,
    Suspendable,
    TenantFigures,
    WorkerInfo,
)

__all__ = ["Broker", "EventStore", "JobQueue", "JobStats", "JobStore", "LeaseKeeper", "ScheduleStore"]


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

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        """Forget dead jobs older than ``dead_ttl_ms``, and the oldest beyond ``max_dead`` a queue; return how many.

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
