"""The records that pass through a broker's verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.uniqueness import UniqueRule

__all__ = [
    "CancelReply",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "EditReply",
    "Emission",
    "EnqueueReply",
    "EventPage",
    "Extension",
    "FireReply",
    "Firing",
    "Hold",
    "JobPage",
    "Lease",
    "ListedPlace",
    "NewJob",
    "Place",
    "Recovery",
    "ScheduleList",
    "StoredSchedule",
    "Unparking",
]

Place = Literal["ready", "scheduled", "running", "parked", "dead"]
"""Where a job of a queue is until it ends: startable, waiting for its time, leased, set aside, or in the dead letter
queue."""

ListedPlace = Place | Literal["deleted"]
"""What can be listed: the places, and the jobs whose deletion can be undone."""

EditReply = Literal["unknown", "ended", "failed", "running", "edited"]
"""What became of an edit: ``edited``, or the job ran, was dead (``failed``), had ended, or is unknown."""

CancelReply = Literal["unknown", "ended", "failed", "running", "cancelled"]
"""What became of a cancellation: ``cancelled``; ``running``, which leaves it to the worker; or the job was dead
(``failed``), had ended, or is unknown."""

EnqueueReply = bool | str
"""What became of a job that was sent: whether it is new; or the id of the job that holds its unique key, which is there
in its place."""


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job to enqueue."""

    queue: str
    """The queue to which it goes."""
    id: str
    """Its id, which is unique in the queue."""
    name: str
    """The job name, by which workers know how to run it."""
    body: bytes
    """The encoded ``core.record.envelope.Envelope``; to a broker, bytes."""
    priority: int = Priority.NORMAL.value
    """0 (critical) to 3 (low)."""
    tenant: str = ""
    """The id of its tenant, empty if it has none."""
    acks_early: bool = False
    """Whether it is never run twice: it goes to the dead letter queue if its worker dies."""
    delay_ms: int = 0
    """How long it waits before it may start, in milliseconds by the broker's clock."""
    due_at_ms: int | None = None
    """When it may start, in Unix milliseconds; in place of ``delay_ms``."""
    unique: UniqueRule | None = None
    """Which jobs it must not stand beside; ``None`` for any."""
    line: str = ""
    """The key of the line in which it waits (``core.lines``); empty if it has neither a group nor gates."""

    @property
    def unique_key(self) -> str:
        """The key under which it is unique, empty if it isn't."""
        return "" if self.unique is None else self.unique.key


class Lease(NamedTuple):
    """The right to run one job, until the job is claimed again under a higher ``fence``."""

    queue: str
    """The job's queue."""
    id: str
    """The job's id."""
    priority: int
    """The job's priority at the claim."""
    fence: int
    """The number of the claim (its fence), which rises with each claim of the queue."""


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that a worker makes: from which queues, how many jobs, for how long."""

    worker: str
    """The worker's id, which no other worker has had."""
    number: int
    """The number of the request, from 1 on, which rises by one with each claim of the worker. A request repeated under
    its number gets the same jobs. A request with a number below the last one known gets none: the network held it up,
    and the worker has gone on."""
    queues: Sequence[str]
    """The queues to claim from, in this order."""
    limit: int
    """How many jobs at most; 0 only makes ready the scheduled jobs that are due."""
    ahead: int = 0
    """How many of these the worker has no free slot for yet. Of a queue with a limit, and through gates, they are not
    claimed, since they would use up the limit while they wait."""
    lease_ms: int
    """For how long the jobs belong to the worker, in milliseconds."""
    names: frozenset[str] | None = None
    """The job names that the worker can run, ``None`` for any. Jobs of other names are parked (set aside); for an
    empty set, all jobs are."""
    lowest_first: bool = False
    """Whether this claim serves low priority first."""
    keep_number: bool = False
    """Whether the number is to be known later even if the request gets no jobs. It must be where an earlier request may
    still arrive: after an error, and at the start of a run."""
    sent_at_ms: int = 0
    """When the request was sent by the broker's clock, in Unix milliseconds; 0 if the worker doesn't know. A request
    that arrives later than numbers are kept (``core.retention.CLAIM_KEEP_MS``) gets no jobs."""
    max_suspects: int = 1_000_000_000
    """How many *suspects* at most: jobs under which a worker has died before. The others stay where they are."""
    last_try: bool = True
    """Whether one of them, and then no other, may be a suspect that goes to the dead letter queue with its next
    death."""
    max_deaths: int = 1_000_000_000
    """With how many deaths a job goes to the dead letter queue."""
    keep_timer_ms: int = 0
    """For how long the worker offers to keep the timer, which is to wake at the next due time, in milliseconds; 0 if it
    doesn't."""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """One leased job."""

    queue: str
    """Its queue."""
    id: str
    """Its id."""
    name: str
    """The job name; empty for a record that can't be read, and then ``body`` is the whole record."""
    body: bytes
    """The envelope, as it was enqueued."""
    priority: int
    """0 (critical) to 3 (low)."""
    tenant: str
    """The id of its tenant, empty if it has none."""
    acks_early: bool
    """Whether it is never run twice."""
    fence: int
    """The number of the claim."""
    tries: bytes
    """What earlier attempts came to (``core.record.tries``); empty before the first failure."""
    unique_key: str = ""
    """The key under which it is unique, empty if it isn't."""
    line: str = ""
    """The key of its line (``core.lines``), empty for none."""


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim."""

    jobs: list[Claimed]
    """The jobs, leased to the worker."""
    now_ms: int
    """The broker's clock, in Unix milliseconds."""
    next_due_ms: int | None = None
    """When the earliest scheduled job is due, in Unix milliseconds, if this worker is to keep the timer."""
    again: bool = False
    """Whether to claim again without waiting, because this claim was refused or has not looked at all jobs."""


class Extension(NamedTuple):
    """The answer to an extension of leases."""

    lost: list[Lease]
    """The leases that no longer hold."""
    cancelled: list[tuple[Lease, str]]
    """The leases whose jobs are to be cancelled, each with the reason."""


class Recovery(NamedTuple):
    """What a recovery did, by job ids."""

    recovered: list[str]
    """The jobs that are ready again."""
    dead: list[str]
    """The jobs that went to the dead letter queue."""
    cancelled: list[str]
    """The jobs that ended as cancelled, since their cancellation was under way when the worker died."""


class Unparking(NamedTuple):
    """What an unparking did, and what it left."""

    moved: int
    """How many jobs were made ready or buried."""
    unknown: list[tuple[str, str]]
    """The queues and the names of parked jobs that nothing holds back and that the worker doesn't know: up to 1,000 of
    a queue, also of jobs that were buried."""


class Hold(NamedTuple):
    """What holds jobs back from being claimed: the pause of a queue, or the suspension of a name or a tenant."""

    kind: Literal["queue", "name", "tenant", "version"]
    """What is held. A version is never held: jobs that it can't read are parked by the verdict ``PARK``."""
    which: str = ""
    """The job name, the id of the tenant, or the version; empty for the queue."""


class JobPage(NamedTuple):
    """Some of the jobs in one place."""

    jobs: list[Job]
    """The jobs, in the order of the place. The list may be empty although there is a next page."""
    next: str
    """The cursor of the next page, empty if there is none."""


class StoredSchedule(NamedTuple):
    """One schedule as the broker keeps it."""

    id: str
    """Its id, which is unique in the queue."""
    data: bytes
    """The encoded ``core.schedule.Schedule``; to a broker, bytes."""
    next_ms: int | None
    """Its next tick in Unix milliseconds, ``None`` while it is paused."""
    last_ms: int | None
    """The latest tick that has fired, in Unix milliseconds; ``None`` before the first."""
    last_job: str = ""
    """The id of the job of that tick; empty before the first, and where an earlier version has fired it."""
    skipped: int = 0
    """How many ticks were skipped since the job before was still live."""
    skipped_ms: int | None = None
    """The latest of these ticks, in Unix milliseconds; ``None`` before the first."""


class ScheduleList(NamedTuple):
    """The schedules of a queue."""

    now_ms: int
    """The broker's clock, in Unix milliseconds."""
    schedules: list[StoredSchedule]
    """The schedules, sorted by id."""


class Firing(msgspec.Struct, frozen=True):
    """Ticks of one schedule to fire."""

    schedule_id: str
    """The schedule."""
    expected_ms: int | None
    """Its next tick as the worker knows it, in Unix milliseconds. The firing is refused if the schedule has another
    one, or if the tick isn't due yet. With ``None`` it fires now, in addition to its ticks, unless it is paused."""
    next_ms: int | None
    """The tick after the firing, in Unix milliseconds; ``None`` if that stays as it is."""
    last_ms: int | None
    """The latest of the ticks that fire, in Unix milliseconds; ``None`` if all of them are left out."""
    jobs: Sequence[NewJob]
    """The jobs of the ticks, which start at once."""
    overlaps: bool = True
    """Whether the jobs are enqueued even if the job that the schedule has enqueued last is still live: waits, runs, or
    is to be retried. Otherwise its tick is skipped."""


class FireReply(NamedTuple):
    """The answer to firings."""

    now_ms: int
    """The broker's clock, in Unix milliseconds."""
    fired: list[bool]
    """For each firing, whether this call has fired it, or skipped its tick."""
    skipped: list[bool]
    """For each firing, whether this call has skipped its tick."""


class Emission(NamedTuple):
    """Events of one running job, at most 1,000."""

    lease: Lease
    """The lease under which the job runs."""
    number: int
    """The number of the emission, which rises under a lease, so that a repeated emission is recognised."""
    skipped: int
    """How many events were dropped before these."""
    events: list[bytes]
    """The encoded events, in order."""

    @property
    def queue(self) -> str:
        """The queue of its job."""
        return self.lease.queue


class EventPage(NamedTuple):
    """Some of the events of a job."""

    events: list[tuple[int, bytes]]
    """The events with their numbers, which rise from 1."""
    is_over: bool
    """Whether no event can come after these."""
