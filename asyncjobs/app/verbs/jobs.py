"""The verbs of an app for jobs: sending many, and finding, listing, cancelling, editing and deleting them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar

from asyncjobs.app.audit import note, said
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.latest import latest
from asyncjobs.app.verbs.moving import MoveReply, move
from asyncjobs.app.verbs.paging import ENTRIES_A_PAGE, ListedState, pages, place_of
from asyncjobs.app.verbs.undoing import deletion_of
from asyncjobs.core.bounds import checked_count
from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.options import DEFAULT_QUEUE, checked_queue, checked_tenant, checked_text
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.handle import JobHandle, unknown_job
from asyncjobs.jobs.request import JobRequest, checked_request
from asyncjobs.jobs.tenant_scope import id_here, tenant_here

__all__ = ["JobVerbs"]

R = TypeVar("R")

CancelResult = Literal["cancelled", "running", "failed", "ended"]
"""What became of a cancellation: ``cancelled``, or ``running`` if the worker is to cancel the handler. It was too late
for a job that is ``failed`` (in the dead letter queue) or has ``ended``."""

EditResult = Literal["edited", "running", "failed", "ended", "known"]
"""What became of an edit: ``edited``, or nothing, as the job is ``running``, ``failed`` (in the dead letter queue) or
has ``ended``, or as another job of its id is ``known`` to the queue to which it was to move."""


class JobVerbs(Verbs):
    """The verbs for jobs. Without ``queue``, they search all queues."""

    # -- sending

    @on_app_loop
    async def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs, 1,000 a round trip.

        Args:
            requests: The calls, each made by ``job.request(…)``, of one job or several. A request without a tenant is
                sent for the tenant of the ``tenant_scope`` around this call.

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
        [handle] = await self.enqueue_many([checked_request(request).with_options(tenant=checked_tenant(tenant))])
        return handle

    # -- jobs by id

    def handle(self, job_id: str, *, queue: str = DEFAULT_QUEUE) -> JobHandle[Any]:
        """Return a handle of a job that was sent before, perhaps by another process.

        Its result is plain data. ``job.handle(id)`` knows the queue of the job, and the type of its result.

        Args:
            job_id: The job's id.
            queue: Its queue.
        """
        return JobHandle(self._lookup, checked_queue(queue), id_here(job_id))

    @on_app_loop
    async def find_job(self, job_id: str, *, queue: str | None = None) -> Job:
        """Return a job as it stands.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.

        Raises:
            UnknownJob: There is no record of the job.
        """
        return await self._lookup.known(id_here(job_id), queue)

    @on_app_loop
    async def cancel_job(
        self, job_id: str, *, queue: str | None = None, reason: str = "cancelled by request"
    ) -> CancelResult:
        """Cancel a job that waits or runs.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.
            reason: The reason in the ``JobCancelled`` that ``JobHandle.result`` raises.

        Returns:
            ``cancelled``, or ``running`` if the worker is to cancel its handler. It was too late if the job is
            ``failed`` (in the dead letter queue) or ``ended``.

        Raises:
            UnknownJob: There is no record of the job.
        """
        checked_text("reason", reason)
        job_id = id_here(job_id)
        where = await self._lookup.queue_of(job_id, queue)
        reply = await self._lookup.cancel(job_id, queue=where, reason=reason)
        if reply == "unknown":
            raise unknown_job(job_id, queue)
        is_done = reply in ("cancelled", "running")
        await note(self._broker, "cancel_job", job_id, queue=where, count=is_done, why=said(reason), of_one=True)
        return reply

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
    ) -> EditResult:
        """Give a job that waits another priority, another time, or another queue.

        In another queue the job keeps its id and its time, and has all its retries again. In its old queue it is
        cancelled, and the reason names the new queue. If this process dies or loses the broker meanwhile, the job may
        run in both.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.
            priority: Its new priority.
            at: When it may start, an aware datetime.
            delay: How long it waits from now, in place of ``at``: seconds or ``timedelta``, 0 to start at once.
            to_queue: The queue to which it moves.

        Returns:
            ``edited``. It was too late if the job is ``running``, ``failed`` (in the dead letter queue) or ``ended``.
            ``known`` means that the other queue knows another job of this id, so this one stays where it is.

        Raises:
            ArgumentsError: A value is wrong, or both ``at`` and ``delay`` are given.
            UnknownJob: There is no record of the job.
            EnvelopeError: The job can't be moved to another queue, since a newer asyncjobs has written its record, the
                record is damaged, or (``EncryptionError``) its arguments can't be decrypted here.
            BrokerUnavailable: The broker can't be reached. A job on its way to another queue stays in its own.
            BrokerRefused: The broker refused the job, which stays as it was.
        """
        if at is not None and delay is not None:
            raise ArgumentsError("edit_job takes at=… or delay=…, not both")
        level = None if priority is None else Priority.parse(priority).value
        due_at_ms = None if at is None else due_ms(at, "edit_job", "delay=", time.time_ns() // 1_000_000)
        delay_ms = None if delay is None else to_ms("delay", delay)
        job_id = id_here(job_id)
        where = await self._lookup.queue_of(job_id, queue)
        changes = {"priority": level, "delay_ms": delay_ms, "due_at_ms": due_at_ms}
        reply: MoveReply
        if to_queue is not None and checked_queue(to_queue) != where:
            reply = await move(self._broker, self._sender, job_id, where, to_queue, **changes)
        else:
            reply = await self._broker.edit(where, job_id, **changes)
        if reply == "unknown":
            raise unknown_job(job_id, queue)
        told = {"priority": priority, "at": at, "delay": delay, "to_queue": to_queue}
        await note(self._broker, "edit_job", job_id, queue=where, which=told, count=reply == "edited", of_one=True)
        return reply

    @on_app_loop
    async def delete_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Delete a job that has ended or is in the dead letter queue; for 24 hours, ``undelete_jobs`` undoes that.

        A job that waits or runs must be cancelled first.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.

        Returns:
            Whether it was deleted: ``False`` if it waits or runs.

        Raises:
            UnknownJob: There is no record of the job.
        """
        job_id = id_here(job_id)
        where = await self._lookup.queue_of(job_id, queue)
        keep_ms, deletion = deletion_of(None, purge=False)
        [is_deleted] = await self._broker.delete(where, [job_id], keep_ms=keep_ms, deletion=deletion)
        if not is_deleted:
            await self._lookup.known(job_id, where)
        await note(self._broker, "delete_job", job_id, queue=where, count=is_deleted, of_one=True)
        return is_deleted

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
            tenant: Only jobs of this tenant; by default of the tenant that the code around runs for, if there is one.
            limit: How many jobs at most.

        Raises:
            ArgumentsError: There is no such ``state``, ``tenant`` can't be the id of a tenant, or ``limit`` isn't a
                count.
        """
        limit = checked_count("limit", limit)
        of_tenant = tenant_here(tenant) or ""
        place, queues, naming = place_of(state), await self._queues(queue), self._lookup.naming
        if place == "dead":
            wanted = JobFilter(tenant=of_tenant or None)
            return (await latest(self._broker, naming, limit, queues, wanted)).jobs[:limit]
        # Where a tenant leaves jobs out, more are looked at in one call.
        size = ENTRIES_A_PAGE if of_tenant else max(1, min(limit, ENTRIES_A_PAGE))
        found: list[Job] = []
        for one in queues:
            if len(found) >= limit:
                break
            async for page in pages(self._broker, one, place, of_tenant, size=size):
                found += page
                if len(found) >= limit:
                    break
        return await naming.all_named(found[:limit])
