"""A broker: the ports of all its callers in one object."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.ports.intake import Intake
from asyncjobs.ports.limits import Limits
from asyncjobs.ports.operations import Operations
from asyncjobs.ports.schedules import ScheduleStore
from asyncjobs.ports.stats import JobStats
from asyncjobs.ports.store import JobStore
from asyncjobs.ports.work import Work

__all__ = ["Broker", "JobQueue"]


class JobQueue(Intake, Work, Protocol):
    """The ports on the way of a job: in, to a worker, and to its end."""


class Broker(JobQueue, JobStore, JobStats, ScheduleStore, Operations, Limits, Protocol):
    """All seven ports in one object, opened before its first use and closed after its last.

    Any verb may raise ``BrokerUnavailable`` if the broker can't be reached, and ``BrokerRefused`` if it refuses.
    """

    async def open(self) -> None:
        """Connect and check that the broker can keep its promises.

        Raises:
            BrokerUnavailable: The broker can't be reached.
            BrokerRefused: The broker can't keep its promises, as with an old version or an unsafe eviction policy.
        """
        ...

    async def close(self) -> None:
        """Close every connection; the broker may be opened again."""
        ...
