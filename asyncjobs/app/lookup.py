"""Finds, awaits and cancels single jobs, for handles and verbs."""

from __future__ import annotations

import asyncio

from asyncjobs.app.connection import Connection, on_app_loop
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.ports import CancelReply, EventPage

__all__ = ["Lookup"]


class Lookup:
    """The broker's verbs for single jobs, to be awaited on any loop.

    Args:
        connection: The app's connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def keep_ms(self) -> int:
        """How long the record of a cancelled job is kept, in milliseconds."""
        return max(TOMBSTONE_MS, round(self._connection.settings.result_ttl * 1000))

    @on_app_loop
    async def find_job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """Return a job as it stands, or ``None`` if there is no record; without ``queue``, search all queues."""
        broker = self._connection.broker
        checked_text("job_id", job_id)
        if queue is not None:
            return await broker.find(checked_queue(queue), job_id)
        found = await asyncio.gather(*(broker.find(one, job_id) for one in await broker.queues()))
        return next((job for job in found if job is not None), None)

    async def queue_of(self, job_id: str, queue: str | None) -> str | None:
        """Return ``queue``, or the queue in which the job is found; ``None`` if there is no record."""
        if queue is not None:
            checked_text("job_id", job_id)
            return checked_queue(queue)
        job = await self.find_job(job_id)
        return None if job is None else job.queue

    @on_app_loop
    async def cancel_job(
        self, job_id: str, *, queue: str | None = None, reason: str = "cancelled by request"
    ) -> CancelReply:
        """Cancel a job; see ``App.cancel_job``."""
        checked_text("reason", reason)
        where = await self.queue_of(job_id, queue)
        if where is None:
            return "unknown"
        [reply] = await self._connection.broker.cancel(where, [job_id], reason, self.keep_ms)
        return reply

    async def wait_for_end(self, job_id: str, *, queue: str, timeout: float | None) -> Job | None:
        """Wait until a job has ended or is dead; see ``Intake.wait_end``."""
        return await self._connection.call(lambda broker: broker.wait_end(queue, job_id, timeout))

    async def read_events(
        self, job_id: str, *, queue: str, after: int, limit: int, timeout: float | None
    ) -> EventPage | None:
        """Return the next events of a job as they are stored; see ``Intake.events``."""
        return await self._connection.call(lambda broker: broker.events(queue, job_id, after, limit, timeout))
