"""One job as the memory broker keeps it."""

from __future__ import annotations

from typing import Literal

import msgspec

from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, Place

__all__ = ["Entry"]


class Entry(msgspec.Struct, eq=False, gc=False):
    """A job and the one place where it is. The first fields are those of a ``NewJob``.

    It refers to nothing that could refer back to it, so that Python's collector of cycles need not look at it.
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
    """Where it is; empty between two places."""
    number: int = 0
    """Where it stands in the order of its place, if that has one of its own."""
    at_ms: int = 0
    """When it is due, its lease lapses, it died, or its record expires; by its place."""
    fence: int = 0
    """The number of its last claim, under which it runs."""
    cancel_reason: str | None = None
    """Why its run is to be cancelled, if it is."""
    hold: Hold | None = None
    """What it is parked for."""
    tries: bytes = b""
    """What earlier attempts came to (``core.record.tries``)."""
    last_event: tuple[int, int, int] = (0, 0, 0)
    """The number of its last event, and fence and number of the emission to which that belongs."""
    ended_as: JobState | None = None
    """How it ended."""
