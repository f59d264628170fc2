"""What a claimed record says: the one place of the worker that reads it."""

from __future__ import annotations

from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import read_live, stand_in
from asyncjobs.ports import Claimed, Lease

__all__ = ["lease_of", "read_claimed", "stand_in_for"]


def lease_of(claimed: Claimed) -> Lease:
    """Return the lease under which ``claimed`` may run."""
    return Lease(claimed.queue, claimed.id, claimed.priority, claimed.fence)


def read_claimed(claimed: Claimed) -> Job:
    """Return the claimed job, not started yet; raise ``EnvelopeError`` if it can't be read."""
    return read_live(claimed, claimed.body, claimed.tries)


def stand_in_for(claimed: Claimed) -> Job:
    """Return a running job in place of one that can't be read, so that it can be settled."""
    return stand_in(claimed, claimed.tries, JobState.RUNNING, fence=claimed.fence)
