"""What a broker promises to workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.settlement import Settlement
from asyncjobs.ports.records import Claim, ClaimRequest, Emission, Extension, Lease, Recovery

__all__ = ["LeaseKeeper", "Work"]


class LeaseKeeper(Protocol):
    """Extends leases from a thread of its own: synchronous, on a connection of its own, for one thread at a time."""

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        """Let ``leases`` last ``lease_ms`` from now, also one that lapsed if no other worker has taken it over.

        Raises:
            BrokerUnavailable: The broker can't be reached.
        """
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class Work(Protocol):
    """The way of a job to a worker and to its end. Each verb is atomic for each queue, and may be sent twice."""

    async def claim(self, request: ClaimRequest) -> Claim:
        """Promote what is due, then lease up to ``request.limit`` startable jobs to the worker."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End, retry, bury or release leased jobs; those released come before the others of their priority, in order.

        Returns:
            For each, whether its lease still held; one whose lease was taken over is ignored.
        """
        ...

    def lease_keeper(self) -> LeaseKeeper:
        """Return a new lease keeper for a heartbeat thread."""
        ...

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        """Wait until something may be startable, at most ``timeout`` seconds; return whether the bell rang.

        The bell is the wake-up token of a queue: one ring wakes one worker.
        """
        ...

    async def emit(self, emissions: Sequence[Emission], max_events: int, ttl_ms: int) -> list[bool]:
        """Add events to the streams of running jobs.

        The numbers of a job's events rise as long as it may run again, also where its earlier events have expired. An
        emission whose number, or a later one, was added under its lease before adds nothing.

        Args:
            emissions: The events, by job.
            max_events: How many of its latest events a job keeps.
            ttl_ms: For how long after the latest, in milliseconds.

        Returns:
            For each emission, whether its lease still held; one that has lost it adds nothing.
        """
        ...

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        """Take back jobs whose lease has expired; they come before the others of their priority.

        A job under which ``max_deaths`` workers died goes to the dead letter queue. After a time without recovery
        longer than a lease it first waits a quarter of ``lease_ms``, so that living workers can extend.
        """
        ...

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> int:
        """Make parked jobs of ``names`` ready, and bury those whose name no worker has known for ``grace_ms``.

        They come before the others of their priority, in the order in which they were parked. Jobs that are held stay
        parked. A call does a bounded amount of work; what is left is for the next.

        Returns:
            How many jobs were made ready or buried.
        """
        ...

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        """Forget dead jobs older than ``dead_ttl_ms``, and the oldest beyond ``max_dead`` a queue.

        A call does a bounded amount of work; what is left is for the next.

        Returns:
            How many jobs were forgotten.
        """
        ...
