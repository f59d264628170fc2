"""One attempt to run a job, from its start to its end, and what its cancellation leads to."""

from __future__ import annotations

import asyncio

from asyncjobs.core.settlement import Outcome
from asyncjobs.jobs.context import JobContext
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.execution.deadlines import Deadline

__all__ = ["LOST", "Attempt", "Lost"]


class Lost:
    """What a cancellation leads to once the lease is lost: nothing, another worker decides."""


LOST = Lost()


class Attempt:
    """A claimed job that has a slot, and the task in which it runs.

    ``context``: ``None`` until its handler may begin; ``is_waiting``: for one of the ``turns`` that it takes before.
    ``leads_to``: why it is being cancelled, ``None`` if it isn't; ``held_since``: since when that waits for its
    resources to close.
    """

    __slots__ = ("claimed", "context", "deadline", "held_since", "is_waiting", "leads_to", "lease", "task", "turns")

    def __init__(self, claimed: Claimed, lease: Lease) -> None:
        self.claimed = claimed
        self.lease = lease
        self.task: asyncio.Task[None] | None = None
        self.context: JobContext | None = None
        self.deadline: Deadline | None = None
        self.held_since: float | None = None
        self.is_waiting = False
        self.turns: asyncio.Semaphore | None = None
        self.leads_to: Outcome | TimeoutError | Lost | None = None
