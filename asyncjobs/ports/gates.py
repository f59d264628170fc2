"""What a broker tells of gates, and of turns."""

from __future__ import annotations

import msgspec

from asyncjobs.core.limits import QueueLimit

__all__ = ["GateFigures", "TurnFigures"]


class GateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, or one of its gates: its limit, what of it is used up, and what waits for it."""

    gate: str
    """The name of the rule, or the gate (``core.lines``)."""
    limit: QueueLimit
    """The limit that holds; of a rule that has values, the one of each value without numbers of its own."""
    is_set: bool = False
    """Whether ``limit`` was set by hand for just this rule or gate."""
    set_by: str = ""
    """By whom, as the caller has said."""
    running: int = 0
    """How many of its jobs run; of a rule, those of all its gates."""
    booked: int = 0
    """How many slots are kept for lines that need several gates, beside those that run."""
    lines: int = 0
    """How many lines wait for it; of a rule, for all its gates."""
    jobs: int = 0
    """How many jobs are in these lines; where very many lines wait, at least so many."""
    oldest_wait_ms: int = 0
    """For how long the oldest of these jobs has waited, in milliseconds; 0 for none."""
    opens_at_ms: int | None = None
    """When the next jobs may start, in Unix milliseconds, if its rate is used up."""
    holders: tuple[str, ...] = ()
    """The ids of jobs that run through it, at most 10."""


class TurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A group that has jobs in turn."""

    group: str
    """The group (``core.lines``), empty for jobs that have gates and no group."""
    priority: int
    """The priority of these jobs, 0 for the highest: a group has turns in each."""
    weight: float
    """Its weight."""
    jobs: int
    """How many of its jobs wait, in the first 100 of its lines in turn. Where the groups have very many lines, one that
    isn't looked at counts as one job."""
