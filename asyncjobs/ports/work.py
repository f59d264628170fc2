"""What a broker promises to workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from asyncjobs.core.settlement import Settlement
from asyncjobs.ports.records import Claim, ClaimRequest, Emission, Extension, Lease, Recovery, Unparking
from asyncjobs.ports.series import GaugeReading, RunCounts

__all__ = ["LeaseKeeper", "Work"]


class LeaseKeeper(Protocol):
    """Extends leases from a thread of its own: synchronous, on a connection of its own, for one thread at a time."""

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        """Let leases last for a time from now on, also a lapsed lease whose job has not been taken back.

        Args:
            leases: The leases.
            lease_ms: How long they last from now, in milliseconds.

        Returns:
            Which of the leases no longer hold, and which of their jobs are to be cancelled.

        Raises:
            BrokerUnavailable: The broker can't be reached.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Work(Protocol):
    """The verbs for workers: claim jobs, settle them, and keep the queues in order.

    Each verb is atomic for each queue, and may be repeated safely.
    """

    async def claim(self, request: ClaimRequest) -> Claim:
        """Make ready the scheduled jobs that are due, then lease startable jobs to a worker.

        Jobs with a line key are leased as ``Limits`` says; of a queue that has some, a claim gets 200 jobs at most.

        Args:
            request: The worker, and what it wants.

        Returns:
            The leased jobs, and when to claim again.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool | None]:
        """End, retry, bury or release leased jobs, as their settlements say.

        Released jobs come before the others of their priority, or of their line if they have a line key, in the order
        of the settlements. A job that runs no longer has no slot of a gate, whatever its settlement says.

        Args:
            settlements: What to do with each job. A settlement whose lease no longer holds has no effect.

        Returns:
            For each settlement, whether its lease still held; ``None`` if its part of the broker can't be reached, so
            that it must be repeated.
        """
        ...

    def lease_keeper(self) -> LeaseKeeper:
        """Return a new lease keeper for a heartbeat thread."""
        ...

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        """Wait until a job may be startable.

        Each queue has a bell, a wake-up token: one ring wakes one worker.

        Args:
            queues: The queues.
            timeout: How long to wait, in seconds.

        Returns:
            Whether a bell rang.
        """
        ...

    async def watch_cancels(self, worker: str, queues: Sequence[str], tell: Callable[[], None]) -> None:
        """Call ``tell`` whenever a job that a worker runs may be to be cancelled, until this call itself is cancelled.

        It may be called more often, and where the connection is lost, too rarely: the worker still extends its leases.

        Args:
            worker: The worker's id.
            queues: The queues that it serves.
            tell: Called from any thread; returns at once.

        Raises:
            BrokerUnavailable: The broker can't be reached at the start.
            BrokerRefused: The broker refuses the subscription.
        """
        ...

    async def emit(self, emissions: Sequence[Emission], max_events: int, ttl_ms: int) -> list[bool]:
        """Add events to the streams of running jobs.

        The numbers of a job's events rise as long as it may run again, even where its earlier events have expired.

        Args:
            emissions: The events, by job. An emission adds nothing if its lease no longer holds, or if its number or a
                later one was added under the lease before.
            max_events: How many events a job keeps, the latest.
            ttl_ms: How long events are kept after the latest of them, in milliseconds.

        Returns:
            For each emission, whether its lease still held.
        """
        ...

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        """Take back jobs whose lease has lapsed; they come, in order, before the others of their priority or line.

        If no call has looked at a queue for longer than a lease, the first one only notes the time, and recovery begins
        a quarter of ``lease_ms`` later. Until then, workers that are alive can extend their leases.

        Args:
            queues: The queues.
            lease_ms: How long a lease lasts, in milliseconds.
            max_deaths: After how many workers that died while they ran it a job goes to the dead letter queue.

        Returns:
            What became of the jobs.
        """
        ...

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> Unparking:
        """Make parked jobs ready that nothing holds back any longer, and bury those whose name stayed unknown.

        Jobs that this version of asyncjobs can't read stay, and those that only an earlier one couldn't become ready.
        The ready jobs come before the others of their priority or line, in the order in which they were parked, also to
        claims that are made meanwhile. A call buries a bounded number of jobs, and leaves the rest to the next call.

        Args:
            queues: The queues.
            names: The job names that the worker knows; jobs that are parked for one of these become ready.
            grace_ms: How long a job waits for a worker that knows its name, in milliseconds.

        Returns:
            How many jobs were made ready or buried, and the names that the worker doesn't know.
        """
        ...

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        """Delete dead jobs that are too old, or too many, and what is left of empty groups and of old deletions.

        It also looks again at the gates for which jobs wait, and at what is counted of gates, and sets that right.

        A call does a bounded amount of work, and leaves the rest to the next call.

        Args:
            queues: The queues.
            dead_ttl_ms: How long a dead job is kept, in milliseconds.
            max_dead: How many dead jobs are kept in each queue, the latest.

        Returns:
            How many dead jobs were deleted.
        """
        ...

    async def count_runs(self, counts: Mapping[str, Sequence[RunCounts]]) -> None:
        """Add what attempts came to, to the figures of the present minute and to those of their names.

        Unlike other verbs, a call that is repeated counts twice.

        Args:
            counts: What attempts came to, by queue.
        """
        ...

    async def begin_gauges(self, queues: Sequence[str]) -> list[str]:
        """Return those of ``queues`` whose gauges the caller is to sample now: each queue once a minute.

        For these queues, the minutes that are over are added to the hours that they belong to.

        Args:
            queues: The queues that the caller serves.
        """
        ...

    async def keep_gauges(self, readings: Sequence[GaugeReading]) -> None:
        """Keep gauges as those of the present minute, and count the jobs that came in since the sample before.

        What came in is not known if that sample is older than five minutes.

        Args:
            readings: The gauges, by queue.
        """
        ...
