"""One job as the memory broker keeps it, and as it is told."""

from __future__ import annotations

from typing import Literal

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import NO_SITUATION, Situation, read_kept
from asyncjobs.ports import Hold, Place

__all__ = ["Entry", "job_of"]


class Entry(msgspec.Struct, eq=False, gc=False):
    """A job, and the one place where it is. The first fields are those of a ``NewJob``.

    No field can refer back to the entry, so Python's garbage collector need not track it (``gc=False``).
    """

    queue: str
    id: str
    name: str
    body: bytes
    """The envelope; of an ended job, the final body around it."""
    priority: int
    tenant: str
    acks_early: bool
    place: Place | Literal["", "ended"] = ""
    """Its place, empty between two places."""
    number: int = 0
    """Its number in the line of its place, if the place has lines."""
    at_ms: int = 0
    """When it is due, its lease lapses, it died, or its record expires; depends on its place."""
    fence: int = 0
    """The number of its last claim."""
    claimed: tuple[int, str] = (0, "")
    """The time of its last claim, and the worker."""
    cancel_reason: str | None = None
    """Why its run is to be cancelled, ``None`` if it isn't."""
    hold: Hold | None = None
    """The hold for which it is parked."""
    tries: bytes = b""
    """What earlier attempts came to (``core.record.tries``)."""
    last_event: tuple[int, int, int] = (0, 0, 0)
    """The number of its last event, and the fence and the number of that event's emission."""
    ended_as: JobState | None = None
    """The state in which it ended."""


def job_of(entry: Entry, now_ms: int) -> Job:
    """Return the job of ``entry`` as it stands, or a stand-in if it can't be read."""
    state, situation, left_ms = entry.ended_as, NO_SITUATION, -1
    if entry.place == "running":
        started_at_ms, worker = entry.claimed
        state = JobState.RUNNING
        situation = Situation(fence=entry.fence, started_at_ms=started_at_ms, worker=worker, seen_at_ms=now_ms)
    elif entry.place == "scheduled":
        situation = Situation(due_at_ms=entry.at_ms)
    elif entry.place == "dead":
        state, situation = JobState.FAILED, Situation(finished_at_ms=entry.at_ms)
    elif entry.place == "ended":
        left_ms = max(0, entry.at_ms - now_ms)
    return read_kept(entry, entry.body, entry.tries, state=state, situation=situation, left_ms=left_ms)
