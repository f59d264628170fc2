"""What a broker tells of the dead jobs of a queue as a whole."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["DeadGroup", "GroupState"]

GroupState = Literal["new", "back", "seen"]
"""What is known of a group of dead jobs: that it is new, that it had become empty and is back, or that someone has seen
it."""


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead jobs of one queue that died of the same."""

    queue: str
    """The queue."""
    id: str = ""
    """The id of the group: ``other`` if the queue had too many groups, empty for jobs that are in none, since an
    earlier asyncjobs has buried them."""
    name: str = ""
    """The job name."""
    error: str = ""
    """The type of the last error."""
    message: str = ""
    """Its message, with placeholders for ids, numbers, times and the like."""
    frame: str = ""
    """Where it was raised: the last frame of the traceback outside installed packages, empty without a traceback."""
    count: int
    """How many jobs there are."""
    first_ms: int = 0
    """When the first job of the group died, also if it is no longer dead, in Unix milliseconds."""
    last_ms: int = 0
    """When the latest job died that is still dead, in Unix milliseconds."""
    hour: int = 0
    """How many of the jobs died within the last hour."""
    day: int = 0
    """How many of the jobs died within the last 24 hours."""
    hours: tuple[int, ...] = ()
    """How many of the jobs died in each of the last 24 hours, the earliest first; empty if none did."""
    sample_id: str = ""
    """The id of the job that died last."""
    state: GroupState = "new"
    """``new``; ``back`` if there were none left for a while; ``seen`` if it was marked so."""
    note: str = ""
    """What was noted when it was marked."""
