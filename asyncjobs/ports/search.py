"""The records of a search through the jobs of a place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.ports.gates import GateFigures
from asyncjobs.ports.records import Hold, Place

__all__ = ["JobLocation", "Sample", "ScanPage", "ScanRequest"]


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a scan looks for, and among which."""

    place: Place
    """The place, which also says the order, as for ``page``."""
    after: str = ""
    """The cursor from which to go on, from the scan before; empty to begin."""
    limit: int
    """How many entries to look at, 1 or more."""
    most: int
    """With how many jobs to end, 1 or more."""
    name: str = ""
    """Only jobs of this name; empty for the jobs of all."""
    tenant: str = ""
    """Only jobs of this tenant; empty for the jobs of all."""
    needles: Sequence[bytes] = ()
    """Only jobs in which one of these stands: in the id, the name, the body, or what earlier attempts came to.
    A broker may find one in other parts of what it stores for the job, too. None for all jobs."""


class ScanPage(NamedTuple):
    """The jobs that a scan has found."""

    jobs: list[Job]
    """The jobs, in the order of the place."""
    next: str
    """The cursor from which the scan goes on, empty if it has come to the end."""
    looked_at: int
    """How many entries of the place it has looked at."""


class Sample(NamedTuple):
    """The names and the tenants of some of the jobs in one place."""

    looked_at: int
    """How many jobs were looked at."""
    names: dict[str, int]
    """How many of them have each name; the empty name stands for those that can't be read."""
    tenants: dict[str, int]
    """How many of them are of each tenant; the others are of none."""


class JobLocation(NamedTuple):
    """Where a job waits or runs."""

    place: Literal["ready", "parked", "running", "other"]
    """``ready``, ``parked`` (set aside), ``running``, or ``other``: it is scheduled, is dead or has ended."""
    hold: Hold | None = None
    """What a parked job is parked for, ``None`` if only a newer asyncjobs knows it."""
    ahead: int | None = None
    """How many jobs stand before a ready job, those of higher priorities included; cancelled ones may be among them.
    ``None`` too where a broker doesn't look so far. Of a job in a line with a key, how many stand before it there."""
    leased_until_ms: int | None = None
    """When the lease of a running job lapses unless it is extended, in Unix milliseconds by the broker's clock."""
    line: str = ""
    """The key of its line (``core.lines``), empty for none."""
    gate: GateFigures | None = None
    """The first gate of its line that lets nothing start now, as it is full, its rate is used up, or it is closed."""
    groups_ahead: int | None = None
    """How many groups of its priority are before its group, of a job in a line that is in turn."""
    lines_ahead: int | None = None
    """How many lines are before its line at ``gate``, of a job whose line waits for one."""
