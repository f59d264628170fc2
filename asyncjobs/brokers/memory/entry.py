"""One job as the memory broker keeps it."""

from __future__ import annotations

from typing import Literal

import msgspec

from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, Place

__all__ = ["Entry"]


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
    line: str = ""
    """The key of the line in which it waits while it is ready (``core.lines``), empty for none."""
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
    unique_key: str = ""
    """The key under which it is unique, empty if it isn't."""
    group: str = ""
    """The group of the dead that it is in."""
