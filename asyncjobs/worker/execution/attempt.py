"""One attempt to run a job: from its slot to its end, and what its cancellation leads to."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from asyncjobs.core.settlement import Outcome, Settlement
from asyncjobs.jobs.context import JobContext
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.execution.deadlines import Deadline

__all__ = ["LOST", "OVERRUN", "Attempt", "CancelledFor", "Lost", "NotRun"]


class Lost:
    """What a cancellation leads to once the lease is lost: nothing, since the job is no longer this attempt's."""


#: Another worker has the job.
LOST = Lost()

#: The job was settled, as one that took longer than its timeout, while its handler goes on.
OVERRUN = Lost()

#: What a cancellation leads to: an outcome, a failure by timeout, or nothing.
CancelledFor: TypeAlias = Outcome | TimeoutError | Lost


class NotRun(Exception):
    """The attempt ends before its handler is called; ``settlement`` is ``None`` where the lease is left to lapse."""

    def __init__(self, settlement: Settlement | None) -> None:
        super().__init__()
        self.settlement = settlement


class Attempt:
    """A claimed job that has a slot, and the task in which it runs."""

    __slots__ = (
        "claimed",
        "closing_since",
        "context",
        "deadline",
        "is_waiting",
        "leads_to",
        "lease",
        "process_slots",
        "task",
    )

    def __init__(self, claimed: Claimed, lease: Lease) -> None:
        self.claimed = claimed
        self.lease = lease
        self.task: asyncio.Task[None] | None = None
        #: Given to the handler; ``None`` until that may begin.
        self.context: JobContext | None = None
        #: The timeout, where the job has one.
        self.deadline: Deadline | None = None
        #: Whether it waits for a process to be free.
        self.is_waiting = False
        #: Where it has taken a slot, to be released at its end.
        self.process_slots: asyncio.Semaphore | None = None
        #: Why it is being cancelled; ``None`` if it isn't.
        self.leads_to: CancelledFor | None = None
        #: Since when, by the monotonic clock, its cancellation waits for its resources to close.
        self.closing_since: float | None = None
