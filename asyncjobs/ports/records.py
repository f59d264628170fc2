"""The records that pass through a broker's verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

__all__ = [
    "CancelReply",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "EditReply",
    "Emission",
    "EventPage",
    "Extension",
    "FireReply",
    "Firing",
    "Lease",
    "NewJob",
    "Place",
    "QueueFigures",
    "Recovery",
    "ScheduleList",
    "StoredSchedule",
    "Suspendable",
    "TenantFigures",
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
