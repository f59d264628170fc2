"""Reading a claimed job: the one module of the worker that knows its record."""

from __future__ import annotations

from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.header import priority_of, tenant_in
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import read_job, unreadable_job
from asyncjobs.ports import Claimed, Lease

__all__ = ["lease_of", "read_claimed", "stand_in_for"]


def lease_of(claimed: Claimed) -> Lease:
    """Return the lease under which ``claimed`` may run."""
    return Lease(claimed.queue, claimed.id, priority_of(claimed.record), claimed.fence)


def read_claimed(claimed: Claimed) -> Job:
    """Return the claimed job, not started yet; raise ``EnvelopeError`` if it can't be read."""
    return read_job(claimed.id, claimed.queue, claimed.record, claimed.tries)


def stand_in_for(claimed: Claimed) -> Job:
    """Return a running job in place of one that can't be read, so that it can be settled."""
    return unreadable_job(
        claimed.id,
        claimed.queue,
        Priority(priority_of(claimed.record)),
        claimed.tries,
        JobState.RUNNING,
        fence=claimed.fence,
        tenant=tenant_in(claimed.record),
    )
