"""The records of figures over time: what jobs came to in each minute and hour, and how runs of each name went."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

__all__ = ["Gauges", "NameHour", "PeriodFigures", "RunCounts", "Runs", "GaugeReading", "Series", "Step"]

Step = Literal["minute", "hour"]
"""How long each period of a series is."""


class Gauges(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of one queue at a moment. In an hour, each number is the highest of its samples."""

    critical: int = 0
    """Startable jobs of the priority ``critical``."""
    high: int = 0
    """Startable jobs of the priority ``high``."""
    normal: int = 0
    """Startable jobs of the priority ``normal``."""
    low: int = 0
    """Startable jobs of the priority ``low``."""
    scheduled: int = 0
    """Jobs that wait for their time."""
    overdue: int = 0
    """Those of the scheduled jobs whose time is past."""
    parked: int = 0
    """Jobs that are set aside."""
    running: int = 0
    """Leased jobs."""
    dead: int = 0
    """Jobs in the dead letter queue."""
    oldest_wait_ms: int = 0
    """For how long the oldest startable job has waited, in milliseconds."""
    slots: int = 0
    """How many jobs the workers of the queue can run at once."""
    workers: int = 0
    """The workers that serve the queue."""

    @property
    def ready(self) -> int:
        """Startable jobs."""
        return self.critical + self.high + self.normal + self.low

    @property
    def depth(self) -> int:
        """Jobs that have not ended: ready, scheduled, parked and running."""
        return self.ready + self.scheduled + self.parked + self.running


class GaugeReading(NamedTuple):
    """The gauges of a queue, to be kept."""

    queue: str
    """The queue."""
    gauges: Gauges
    """Its gauges."""
    arrived_ever: int
    """How many jobs have ever come in: those that have not ended, and those that have."""


class PeriodFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one queue came to in one minute or hour."""

    at_ms: int
    """When the period began, in Unix milliseconds by the broker's clock."""
    succeeded: int = 0
    """Jobs that completed."""
    failed: int = 0
    """Jobs that went to the dead letter queue."""
    cancelled: int = 0
    """Jobs that were cancelled."""
    retried: int = 0
    """Retries."""
    recovered: int = 0
    """Jobs taken back from workers that died."""
    duration_us: int = 0
    """The sum of the durations of completed jobs, in microseconds."""
    arrived: int = 0
    """Jobs that came in, told from two samples: sent, fired by a schedule, or retried from the dead letter queue."""
    runs: dict[int, int] = {}
    """How long attempts ran, as in ``core.histogram``."""
    waits: dict[int, int] = {}
    """How long jobs could have started before their first attempt began, as in ``core.histogram``."""
    gauges: Gauges | None = None
    """The state of the queue, ``None`` where no worker has looked."""


class Series(NamedTuple):
    """The figures of a queue over time."""

    now_ms: int
    """The broker's clock, in Unix milliseconds."""
    periods: list[PeriodFigures]
    """The periods, oldest first, without those of which nothing is known."""


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts at jobs of one name came to."""

    name: str
    """The job name; empty for the names beyond those that are told apart."""
    succeeded: int = 0
    """Attempts after which the job completed."""
    failed: int = 0
    """Attempts after which the job went to the dead letter queue."""
    retried: int = 0
    """Attempts after which the job was to be tried again."""
    cancelled: int = 0
    """Attempts in which the job was cancelled."""
    run_us: int = 0
    """How long they ran together, in microseconds."""
    runs: dict[int, int] = {}
    """How long each ran, as in ``core.histogram``."""
    waits: dict[int, int] = {}
    """How long jobs could have started before their first attempt began, as in ``core.histogram``."""


class NameHour(NamedTuple):
    """What attempts came to in one hour."""

    at_ms: int
    """When the hour began, in Unix milliseconds by the broker's clock."""
    names: list[RunCounts]
    """The counts of each name."""


class Runs(NamedTuple):
    """What attempts came to over time, by job name."""

    now_ms: int
    """The broker's clock, in Unix milliseconds."""
    hours: list[NameHour]
    """The hours, oldest first, without those in which nothing ran."""
