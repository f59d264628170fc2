"""What a finding is, from which numbers on something is one, and what all rules look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from asyncjobs.app.gates import GateStats
from asyncjobs.app.load import QueueLoad
from asyncjobs.app.series import NameStats
from asyncjobs.app.stats import QueueStats
from asyncjobs.app.worker_stats import WorkerStats
from asyncjobs.ports import DeadGroup, ServerState

__all__ = ["Evidence", "Facts", "Finding", "FindingKind", "ProblemLimits", "ScheduleFacts", "jobs", "span"]

FindingKind = Literal[
    "paused",
    "no worker",
    "set aside",
    "deaths",
    "new error",
    "error is back",
    "dead",
    "dead letter queue full",
    "backlog grows",
    "slow",
    "waits for a limit",
    "overdue",
    "runs long",
    "recovered",
    "loop lags",
    "several deploys",
    "schedule late",
    "schedule failed",
    "schedule unreadable",
    "memory",
    "eviction",
    "persistence",
    "replica",
    "clock",
    "refused command",
]
"""What is wrong. Later versions may know more kinds."""

Evidence = Literal["queue", "limits", "dead", "group", "workers", "parked", "job", "schedules", "server"]
"""Where to look."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. As text, it is a sentence."""

    kind: FindingKind
    """What is wrong."""
    level: Literal["bad", "warn"]
    """``bad`` where jobs don't run or may be lost, ``warn`` where somebody should look."""
    queue: str
    """The queue that it is about, empty for what is about no single queue."""
    subject: str = ""
    """What it is about in there: a job name, the id of a job, a group, a worker or a schedule, or a server."""
    since: datetime | None = None
    """Since when, in UTC; ``None`` where that isn't known."""
    count: int = 0
    """How many jobs it is about, 0 if it is about none."""
    sentence: str
    """What is wrong, in words."""
    evidence: Evidence
    """Where to look."""
    action: Literal["", "resume", "cancel", "retry"] = ""
    """What may be done about it that harms nothing else; empty if nothing can be done here."""

    def __str__(self) -> str:
        return f"{self.queue}: {self.sentence}" if self.queue else self.sentence


class ProblemLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From which numbers on ``app.problems()`` finds something wrong."""

    deaths: int = 5
    """So many jobs of a queue died in the last hour, and …"""
    deaths_ratio: float = 3.0
    """… so many times as many as in the same hour of the days before."""
    full: float = 0.9
    """The share of the setting ``max_dead`` that a dead letter queue has."""
    backlog: int = 100
    """So many jobs can start, and …"""
    drain_s: float = 3600.0
    """… it takes so many seconds until there are none, or for ever."""
    wait_s: float = 60.0
    """The first job in line has waited for so many seconds, and …"""
    wait_ratio: float = 10.0
    """… for so many times the time that 95 % of the jobs have waited in the last hour."""
    limit_wait_s: float = 3600.0
    """The first job that waits for a limit by name has waited for so many seconds."""
    overdue: int = 10
    """So many scheduled jobs are past their time, though workers serve the queue."""
    run_s: float = 600.0
    """A job runs for so many seconds, and …"""
    run_ratio: float = 10.0
    """… for so many times the time that 99 % of the jobs of its name take."""
    recovered: int = 1
    """So many jobs of a queue were taken back from dead workers in the last hour."""
    lag_ms: int = 1000
    """The event loop of a worker runs so many milliseconds late."""
    deploys_s: float = 1800.0
    """Workers of several deploys are there for so many seconds."""
    late_s: float = 60.0
    """A tick of a schedule is so many seconds late."""
    memory: float = 0.85
    """The share of its memory that the server uses."""
    clock_ms: int = 1000
    """The server's clock and that of this process are so many milliseconds apart."""


class ScheduleFacts(NamedTuple):
    """What the rules look at of one schedule."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    next_at: datetime | None
    """Its next tick, ``None`` while it is paused."""
    failed_at: datetime | None
    """When its last job died, ``None`` if it didn't."""
    error: str
    """What that job died of."""
    problem: str
    """Why it can't be read, empty if it can."""


class Facts(NamedTuple):
    """What the rules look at."""

    now: datetime
    """The time, in UTC."""
    limits: ProblemLimits
    """From which numbers on something is wrong."""
    queues: Sequence[QueueStats]
    """The queues."""
    workers: Collection[WorkerStats]
    """The workers that are present."""
    loads: Mapping[str, QueueLoad] = {}
    """How the last hour of each queue was."""
    gates: Mapping[str, Sequence[GateStats]] = {}
    """The limits by name of the queues in which jobs wait for one."""
    groups: Collection[DeadGroup] = ()
    """The dead, by what they died of."""
    usual_deaths: Mapping[str, float] = {}
    """How many jobs died in the same hour of the days before, by queue, where that was asked."""
    recovered: Mapping[str, int] = {}
    """How many jobs were taken back from dead workers in the last hour, by queue, where that was asked."""
    names: Mapping[str, NameStats] = {}
    """How long the jobs of each name take."""
    schedules: Collection[ScheduleFacts] = ()
    """The schedules."""
    server: ServerState | None = None
    """The server, ``None`` if it was not asked."""
    unknown_job_grace_s: float = 3600.0
    """After how many seconds jobs die whose name no worker knows."""
    max_dead: int = 100_000
    """How many dead jobs of a queue are kept."""

    @property
    def served(self) -> set[str]:
        """The queues that a worker serves which isn't about to stop."""
        return {name for worker in self.workers if worker.status != "stopping" for name in worker.queues}


def jobs(count: int, *, one: str = "", more: str = "") -> str:
    """Return a number of jobs in words, with the verb for ``one`` of them or for ``more``, if they are given."""
    what, verb = ("1 job", one) if count == 1 else (f"{count:,} jobs", more)
    return f"{what} {verb}" if verb else what


def span(seconds: float) -> str:
    """Return a duration in words, in the unit that fits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
