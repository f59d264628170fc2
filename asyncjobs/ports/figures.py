"""The records of the figures of queues and tenants, and of the workers that are present."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from asyncjobs.core.limits import QueueLimit
from asyncjobs.ports.records import Hold

__all__ = [
    "Held",
    "LimitFigures",
    "ParkedJobs",
    "QueueFigures",
    "RunningJob",
    "TenantEnd",
    "TenantFigures",
    "WorkerInfo",
]


class Held(NamedTuple):
    """A hold that is in force: since when, by whom and why."""

    hold: Hold
    """What is held back."""
    since_ms: int = 0
    """Since when, in Unix milliseconds by the broker's clock; 0 if that isn't known, as where an earlier version has
    held it."""
    by: str = ""
    """Who holds it back, as the caller has said."""
    why: str = ""
    """Why, as the caller has said."""


class ParkedJobs(NamedTuple):
    """The jobs that are parked (set aside) for one thing."""

    hold: Hold
    """What they are parked for: a name, a tenant, or a version of asyncjobs. Jobs of a name that isn't held wait for a
    worker that knows it."""
    size: int
    """How many there are."""
    since_ms: int
    """Since when there are any, or when the hold last ended, in Unix milliseconds by the broker's clock."""


class LimitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of a queue, and what of it is used up."""

    limit: QueueLimit
    """The limit that holds."""
    declared: QueueLimit
    """What the program declares."""
    is_set: bool
    """Whether ``limit`` was set by hand."""
    set_by: str = ""
    """By whom, as the caller has said."""
    opens_at_ms: int | None = None
    """When the next jobs may start, in Unix milliseconds, if the rate is used up."""


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one queue in numbers."""

    name: str
    """The queue."""
    held: tuple[Held, ...]
    """What is held back, sorted."""
    ready: tuple[int, int, int, int]
    """Startable jobs by priority, critical first."""
    parked: int
    """Jobs that wait for a worker that knows their name, or for the end of a suspension."""
    parked_for: tuple[ParkedJobs, ...] = ()
    """The parked jobs by what they are parked for, most first, at most 100. Where very many parked jobs were cancelled,
    the counts may include some of these for a while."""
    scheduled: int
    """Jobs that wait for their time."""
    overdue: int = 0
    """Those of the scheduled jobs whose time has come, and that no claim has made ready yet."""
    running: int
    """Leased jobs."""
    dead: int
    """Jobs in the dead letter queue."""
    tried: int
    """Jobs that have not ended, dead ones included, of which an attempt has failed or a worker has died."""
    tried_running: int = 0
    """Those of the tried jobs that are leased."""
    oldest_wait_ms: int
    """For how long the oldest startable job has waited, in milliseconds."""
    succeeded: int
    """Jobs that completed, ever."""
    failed: int
    """Jobs that went to the dead letter queue, ever."""
    cancelled: int
    """Jobs that were cancelled, ever."""
    retried: int
    """Retries, ever."""
    recovered: int
    """Jobs taken back from workers that died, ever."""
    duration_us: int
    """The sum of the durations of completed jobs, in microseconds."""
    histogram: dict[int, int]
    """The durations of completed jobs, as in ``core.histogram``."""
    limit: LimitFigures | None = None
    """The limit of the queue, ``None`` if it has none."""
    lined: int = 0
    """Those of the ready jobs that wait in lines with a key (``core.lines``)."""
    closed_lines: int = 0
    """How many of these lines wait for a gate."""
    repaired: int = 0
    """How many slots of gates were counted wrongly, and set right, ever. It is to be 0."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What is held back, without the reasons."""
        return tuple(one.hold for one in self.held)

    @property
    def paused(self) -> bool:
        """Whether the queue is paused."""
        return Hold("queue") in self.holds


class TenantFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one tenant came to in one queue.

    The counters begin anew if none has risen for 30 days.
    """

    succeeded: int = 0
    """Jobs that completed."""
    failed: int = 0
    """Jobs that went to the dead letter queue."""
    cancelled: int = 0
    """Jobs that were cancelled."""
    retried: int = 0
    """Retries."""
    duration_us: int = 0
    """The sum of the durations of completed jobs, in microseconds."""
    histogram: dict[int, int] = {}
    """The durations of completed jobs, as in ``core.histogram``."""
    dead: int = 0
    """Jobs in the dead letter queue now."""


class TenantEnd(NamedTuple):
    """A tenant of whom a job in one queue has ended, or was retried."""

    tenant: str
    """The id of the tenant."""
    at_ms: int
    """The minute in which that was last: when it began, in Unix milliseconds by the broker's clock."""


class RunningJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker runs, as the worker announces it."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    name: str
    """The job name."""
    attempt: int
    """The number of the attempt, from 1 on."""
    started_at_ms: int
    """When the attempt began, in Unix milliseconds by the broker's clock."""
    tenant: str = ""
    """The id of its tenant, empty if it has none."""
    progress: tuple[float, float | None, str] | None = None
    """What the handler has told last of its progress: how much is done, of how much, and a note of at most 200
    characters. ``None`` if it has told nothing, or runs in a process of its own."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it announces itself.

    Older workers announce less, and newer ones more: fields are added with defaults, and unknown ones are skipped.
    """

    id: str
    """Its id."""
    host: str
    """The name of its machine."""
    pid: int
    """Its process."""
    started_at_ms: int
    """When it started, in Unix milliseconds."""
    queues: tuple[str, ...]
    """The queues that it serves."""
    concurrency: int
    """How many jobs it runs at once."""
    status: str
    """``idle``, ``running`` or ``stopping``."""
    running: tuple[str, ...]
    """The ids of jobs that it runs, at most 100."""
    handlers: dict[str, tuple[str, ...]] = {}
    """The names of the jobs that it can run, by the module of their handlers."""
    jobs: tuple[RunningJob, ...] = ()
    """The jobs that it runs, those that began first, at most 100."""
    version: str = ""
    """The version of asyncjobs that it runs with."""
    deploy: str = ""
    """What the setting ``deploy`` says of its program, as a release or a commit."""
    rss: int = 0
    """The memory of its process in bytes (resident set size), about; 0 where the system doesn't tell."""
    lag_ms: int = 0
    """How late its event loop ran at most since the announcement before, in milliseconds, in steps of 50."""
    ended_a_minute: int = 0
    """How many attempts ended in the last minute."""
    beat_at_ms: int = 0
    """When it announced itself last, in Unix milliseconds by the broker's clock; set by the broker."""
