"""What a broker promises to code that sends jobs and awaits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.job import Job
from asyncjobs.ports.records import EnqueueReply, EventPage, NewJob

__all__ = ["Intake"]


class Intake(Protocol):
    """The verbs for senders: enqueue jobs, and find out what becomes of them. Each verb may be repeated safely."""

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[EnqueueReply]:
        """Accept jobs, to start at once or later; atomic for each queue.

        A job with a unique key is not accepted while another job *holds* the key: one that was accepted with it, and

        - waits for its first attempt;
        - or has begun, and neither ended nor died, unless the rule of the new job holds a key ``until="start"``;
        - or was sent less than ``within_ms`` ago, as the rule of the holder said, unless it was cancelled or deleted,
          or died.

        A holder that waits for its first attempt is given the body of the new job if that one's rule says ``replace``.
        It keeps its id, its place and its priority. If the rule debounces, and the holder has not come due, it is due
        ``wait_ms`` from now, but no later than ``at_most_ms`` after it was sent.

        Args:
            jobs: The jobs, of any queues. A job whose id is known in its queue stays as it is.
            replicated: Return only once the replicas have the jobs too, if the broker has replicas: all that it knows,
                or as many as it is set to wait for.

        Returns:
            For each job, whether it is new, or the id of the holder of its key.

        Raises:
            BrokerUnavailable: The broker can't be reached, or too few replicas confirm in time.
            BrokerRefused: The broker can't take the jobs, as when it is out of memory.
        """
        ...

    async def find(self, queue: str, job_id: str) -> Job | None:
        """Return a job as it stands, or ``None`` if there is no record of it.

        A running job tells its worker, the time of its claim, and the time now (``seen_at_ms``). The result of a
        completed job is left out once it has lapsed, where the record outlives it (``core.record.envelope.Final``).

        Args:
            queue: The queue.
            job_id: The job's id.
        """
        ...

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        """Wait until a job has ended or is dead.

        Args:
            queue: The queue.
            job_id: The job's id.
            timeout: How long to wait, in seconds; ``None`` for ever.

        Returns:
            The job, or ``None``, at once, if there is no record of it.

        Raises:
            ResultTimeout: The job did not end within ``timeout`` seconds.
        """
        ...

    async def forget(self, queue: str, job_id: str) -> bool:
        """Forget a job that has ended, whose result was read: its record, its result and its events.

        A later job of the same id is a new one. Dead jobs are not forgotten. A unique job that has completed holds its
        key until its time is over, as one does whose record expires.

        Args:
            queue: The queue.
            job_id: The job's id.

        Returns:
            Whether there was one that has ended.
        """
        ...

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        """Return the next events of a job; if there are none yet, wait for the first, or for the end of the job.

        Args:
            queue: The queue.
            job_id: The job's id.
            after: The number of the last event that is known already; 0 for all.
            limit: How many events at most.
            timeout: How long to wait, in seconds, until an empty page is returned; ``None`` for ever.

        Returns:
            The events, or ``None`` if neither the job nor events of it are known.
        """
        ...
