"""A broker: the ports of all its callers in one object."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.ports.intake import Intake
from asyncjobs.ports.schedules import ScheduleStore
from asyncjobs.ports.stats import JobStats
from asyncjobs.ports.store import JobStore
from asyncjobs.ports.work import Work

__all__ = ["Broker", "JobQueue"]


class JobQueue(Intake, Work, Protocol):
    """The way of a job: in, to a worker, and to its end."""


class Broker(JobQueue, JobStore, JobStats, ScheduleStore, Protocol):
    """All of them in one, opened before its first use and closed after its last."""

    async def open(self) -> None:
        """Connect and check that the broker can keep its promises.

        Raises:
            BrokerUnavailable: It can't be reached.
            BrokerRefused: It can't keep them, as of its version or its policy of eviction.
        """
        ...

    async def close(self) -> None:
        """Give up every connection; the broker may be opened again."""
        ...
