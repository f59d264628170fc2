"""The verbs of an app for jobs: sending many, and finding, listing, cancelling, editing and deleting them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.bounds import checked_count
from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.job import Job
from asyncjobs.core.options import DEFAULT_QUEUE, checked_queue, checked_tenant
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.envelope import encode
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest
from asyncjobs.ports import CancelReply, EditReply, NewJob, Place

__all__ = ["JobVerbs"]

R = TypeVar("R")

ListedState = Literal["ready", "scheduled", "running", "parked", "failed"]
"""The states by which jobs are listed; ``failed`` jobs are in the dead letter queue."""

# How long a job that is on its way to another queue is held back in its old one.
_HELD_BACK_MS = 60_000

# What the reason of its cancellation in the old queue begins with.
_MOVED = "moved to queue"


class JobVerbs(Verbs):
    """The verbs for jobs. Without ``queue``, they search all queues."""

    # -- sending

    @on_app_loop
    async def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs, 1,000 a round trip.

        Args:
            requests: The calls, each made by ``job.request(…)``. A request without a tenant is sent for the tenant of
                the ``tenant_scope`` around this call.

        Returns:
            Their handles, in order.

        Raises:
            ArgumentsError: A job can't be sent; nothing was sent.
            PayloadTooLarge: A job is larger than the setting ``max_payload``; nothing was sent.
            PartlySent: The broker failed on the way. The error holds the handles of the accepted jobs, and the requests
                of the others.

        Example:
            ``await app.enqueue_many([send_email.request(user) for user in users])``
        """
        return await self._sender.send_many(requests)

    async def enqueue_for_tenant(self, tenant: str, request: JobRequest[R]) -> JobHandle[R]:
        """Send one job for a tenant, whatever tenant the code around it runs for.

        For many jobs at once, use ``enqueue_many`` inside a ``tenant_scope``.

        Args:
            tenant: The tenant's id.
            request: The call, made by ``job.request(…)``.

        Returns:
            The handle of the job.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant.
        """
        [handle] = await self.enqueue_many([request.with_options(tenant=checked_tenant(tenant))])
        return handle

    # -- jobs by id

    def handle(self, job_id: str, *, queue: str = DEFAULT_QUEUE) -> JobHandle[Any]:
        """Return a handle of a job that was sent before, perhaps by another process.

        Args:
            job_id: The job's id.
            queue: Its queue.
        """
        return JobHandle(self._lookup, checked_queue(queue), job_id)

    @on_app_loop
    async def find_job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """Return a job as it stands, or ``None`` if there is no record of it.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.
        """
        return await self._lookup.find_job(job_id, queue=queue)

    @on_app_loop
    async def cancel_job(
        self, job_id: str, *, queue: str | None = None, reason: str = "cancelled by request"
    ) -> CancelReply:
        """Cancel a job that waits or runs.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.
            reason: The reason in the ``JobCancelled`` that ``JobHandle.result`` raises.

        Returns:
            ``cancelled``, or ``running`` if the worker is to cancel its handler. It was too late if the job is
            ``failed`` (in the dead letter queue) or ``ended``. ``unknown`` means that there is no record of the job.
        """
        return await self._lookup.cancel_job(job_id, queue=queue, reason=reason)

    @on_app_loop
    async def edit_job(
        self,
        job_id: str,
        *,
        queue: str | None = None,
        priority: Priority | PriorityName | None = None,
        at: datetime | None = None,
        delay: Duration | None = None,
        to_queue: str | None = None,
    ) -> EditReply:
        """Give a job that waits another priority, another time, or another queue.

        In another queue the job keeps its id and its time, and has all its retries again. In its old queue it is
        cancelled, and the reason names the new queue. If this process dies meanwhile, the job may run in both.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.
            priority: Its new priority.
            at: When it may start, an aware datetime.
            delay: How long it waits from now, in place of ``at``: seconds or ``timedelta``, 0 to start at once.
            to_queue: The queue to which it moves.

        Returns:
            ``edited``. It was too late if the job is ``running``, ``failed`` (in the dead letter queue) or ``ended``.
            ``unknown`` means that there is no record of the job.

        Raises:
            ArgumentsError: A value is wrong, or both ``at`` and ``delay`` are given.
        """
        if at is not None and delay is not None:
            raise ArgumentsError("edit_job takes at=… or delay=…, not both")
        level = None if priority is None else Priority.parse(priority).value
        due_at_ms = None if at is None else due_ms(at, "edit_job", "delay=", time.time_ns() // 1_000_000)
        delay_ms = None if delay is None else to_ms("delay", delay)
        where = await self._lookup.queue_of(job_id, queue)
        if where is None:
            return "unknown"
        if to_queue is not None and checked_queue(to_queue) != where:
            return await self._move(job_id, where, to_queue, level, delay_ms, due_at_ms)
        return await self._broker.edit(where, job_id, priority=level, delay_ms=delay_ms, due_at_ms=due_at_ms)

    async def _move(
        self, job_id: str, queue: str, to_queue: str, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        broker = self._broker
        job = await broker.find(queue, job_id)
        if job is None:
            return "unknown"
        # Held back, so that it doesn't start in both queues. If this process dies now, it starts in the old one, later.
        reply = await broker.edit(queue, job_id, priority=None, delay_ms=_HELD_BACK_MS, due_at_ms=None)
        if reply != "edited":
            return reply
        if delay_ms is None and due_at_ms is None:
            due_at_ms = job.due_at_ms
        before = await broker.find(to_queue, job_id)
        if before is not None and before.reason.startswith(_MOVED):
            # The job was in that queue before and was moved away, so the queue still knows its id.
            await broker.delete(to_queue, [job_id])
        moved = NewJob(
            to_queue,
            job_id,
            job.name,
            encode(job.envelope),
            job.priority.value if priority is None else priority,
            job.tenant,
            job.acks_early,
            delay_ms or 0,
            due_at_ms,
        )
        await self._sender.send_new(moved)
        await broker.cancel(queue, [job_id], f"{_MOVED} {to_queue!r}", TOMBSTONE_MS)
        return "edited"

    @on_app_loop
    async def delete_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Delete a job that has ended or is in the dead letter queue.

        A job that waits or runs must be cancelled first.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.

        Returns:
            Whether a job was deleted.
        """
        where = await self._lookup.queue_of(job_id, queue)
        return where is not None and (await self._broker.delete(where, [job_id]))[0]

    # -- lists

    @on_app_loop
    async def jobs(
        self, state: ListedState, *, queue: str | None = None, tenant: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Return jobs of one state, queue by queue.

        In a queue they are in the order in which they will start. Failed jobs are latest first, over all queues.

        Args:
            state: ``ready``, ``scheduled``, ``running``, ``parked`` (set aside until a worker knows its name or a
                suspension ends) or ``failed`` (in the dead letter queue).
            queue: Only jobs of this queue.
            tenant: Only jobs of this tenant.
            limit: How many jobs at most.

        Raises:
            ArgumentsError: There is no such ``state``, ``tenant`` can't be the id of a tenant, or ``limit`` isn't a
                count.
        """
        checked_count("limit", limit)
        of_tenant = "" if tenant is None else checked_tenant(tenant)
        if state not in get_args(ListedState):
            raise ArgumentsError(f"state={state!r}: expected ready, scheduled, running, parked or failed")
        place: Place = "dead" if state == "failed" else state
        found: list[Job] = []
        for one in await self._queues(queue):
            here: list[Job] = []
            async for page in pages(self._broker, one, place, of_tenant):
                here += page
                if len(here) >= limit:
                    break
            found += here
            if place != "dead" and len(found) >= limit:
                break
        if place == "dead":
            found.sort(key=lambda job: (job.finished_at_ms or 0, job.id), reverse=True)
        return found[:limit]
