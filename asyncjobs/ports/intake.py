"""What a broker promises to code that sends jobs and follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.job import Job
from asyncjobs.ports.records import EventPage, NewJob

__all__ = ["Intake"]


class Intake(Protocol):
    """Jobs on their way in, and what becomes of them. Each verb may be sent twice."""

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[bool]:
        """Accept ``jobs``, to start at once or later; atomic for each queue.

        Args:
            jobs: The jobs. One whose id is known in its queue is left as it is.
            replicated: Return only once a replica has the jobs too, where the broker has replicas at all.

        Returns:
            For each job, whether it is new.

        Raises:
            BrokerUnavailable: The broker can't be reached, or no replica confirms in time.
            BrokerRefused: The broker can't take the jobs, as when it is out of memory.
        """
        ...

    async def find(self, queue: str, job_id: str) -> Job | None:
        """Return the job as it stands, or ``None`` if there is no record."""
        ...

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        """Wait until the job has ended or is dead and return it, or ``None`` at once if there is no record.

        Raises:
            ResultTimeout: The job did not end within ``timeout`` seconds.
        """
        ...

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        """Return up to ``limit`` events numbered above ``after``; wait for the first, or the job's end, if need be.

        After ``timeout`` seconds the page is empty. ``None`` if neither the job nor events of it are known.
        """
        ...
