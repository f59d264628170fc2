"""The verbs of an app that end many jobs at once: all of a filter, of a queue, or of a tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, TypedDict, Unpack, get_args

from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.dead import job_filter
from asyncjobs.app.verbs.paging import matching_pages
from asyncjobs.core.bounds import shown
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.options import checked_queue, checked_tenant, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.tenant_scope import tenant_here

__all__ = ["LiveFilter", "LiveState", "SweepVerbs"]

LiveState = Literal["scheduled", "parked", "ready", "running"]
"""The states of jobs that have not ended, in the order in which a job passes them, so that a sweep misses few of the
jobs that move meanwhile."""

# How often a sweep begins anew; jobs that are left after so many passes were sent meanwhile.
_MAX_PASSES = 10


class LiveFilter(TypedDict, total=False):
    """A filter for jobs that wait or run; ``None`` lets every job pass, except for ``tenant``."""

    name: str | None
    """The job name."""
    tenant: str | None
    """The id of the tenant; by default of the tenant that the code around runs for, if there is one."""
    since: datetime | None
    """The earliest time at which the job was sent, by its sender's clock, an aware datetime."""
    until: datetime | None
    """The time before which the job was sent, an aware datetime."""


class SweepVerbs(Verbs):
    """The verbs that end many jobs, in calls of some hundred jobs each, so that others are served between them."""

    @on_app_loop
    async def cancel_jobs(
        self,
        state: LiveState | None = None,
        *,
        queue: str | None = None,
        reason: str = "cancelled by request",
        **which: Unpack[LiveFilter],
    ) -> int:
        """Cancel jobs that wait or run, all that pass a filter.

        Running handlers are cancelled as by ``cancel_job``. Jobs that are sent meanwhile may be cancelled too.

        Args:
            state: Only jobs that are ``scheduled``, ``parked`` (set aside), ``ready`` or ``running``.
            queue: Only jobs of this queue.
            reason: The reason in the ``JobCancelled`` that ``JobHandle.result`` raises.
            **which: Only jobs that pass the filter: ``name``, ``tenant``, and by the time at which they were sent
                ``since`` and ``until`` (aware datetimes, the first included).

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: There is no such ``state``, a time is naive, or ``tenant`` can't be the id of a tenant.

        Example:
            ``await app.cancel_jobs(name="send_email", since=datetime.now(UTC) - timedelta(minutes=5))``
        """
        if state is not None and (not isinstance(state, str) or state not in get_args(LiveState)):
            raise ArgumentsError(f"state={shown(state)}: expected scheduled, parked, ready or running")
        reason = checked_text("reason", reason)
        wanted = job_filter(which, LiveFilter.__annotations__)
        sweeps = [
            _Sweep(self, one, wanted, reason, get_args(LiveState) if state is None else (state,))
            for one in await self._queues(queue)
        ]
        count = sum([await sweep.cancel() for sweep in sweeps])
        which_state = {"state": state, **which}
        await note(self._broker, "cancel_jobs", queue=queue, which=which_state, count=count, why=reason)
        return count

    @on_app_loop
    async def purge_queue(self, queue: str) -> int:
        """Cancel the waiting and running jobs of a queue, and delete its dead ones.

        Running handlers are cancelled as by ``cancel_job``. The queue's schedules stay, and so may jobs that are sent
        meanwhile. For code that runs for a tenant, the queue has the jobs of that tenant alone.

        Args:
            queue: The queue.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue.
        """
        wanted = JobFilter(tenant=tenant_here(None))
        count = await _Sweep(self, checked_queue(queue), wanted, f"the jobs of queue {queue!r} were purged").purge()
        await note(self._broker, "purge_queue", queue, queue=queue, which={"tenant": wanted.tenant}, count=count)
        return count

    @on_app_loop
    async def purge_tenant(self, tenant: str, *, queue: str | None = None) -> int:
        """Cancel the waiting and running jobs of a tenant, and delete its dead ones.

        Running handlers are cancelled as by ``cancel_job``. The tenant's schedules stay, and so may jobs that are sent
        meanwhile. So remove the schedules and stop the senders first.

        Args:
            tenant: The tenant's id.
            queue: Only in this queue.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant.
        """
        wanted = JobFilter(tenant=checked_tenant(tenant))
        reason = f"the jobs of tenant {tenant!r} were purged"
        count = sum([await _Sweep(self, one, wanted, reason).purge() for one in await self._queues(queue)])
        await note(self._broker, "purge_tenant", tenant, queue=queue, count=count)
        return count


class _Sweep:
    """Ends jobs of one queue that pass a filter, in several passes, since jobs move while they are listed."""

    def __init__(
        self,
        verbs: Verbs,
        queue: str,
        wanted: JobFilter,
        reason: str,
        states: tuple[LiveState, ...] = get_args(LiveState),
    ) -> None:
        self._broker = verbs._broker
        self._keep_ms = verbs._lookup.keep_ms
        self._queue = queue
        self._wanted = wanted
        self._reason = reason
        self._states = states
        # Jobs whose handlers are being cancelled, which end later.
        self._marked: set[str] = set()

    async def cancel(self) -> int:
        """Cancel what waits or runs, and return how many jobs there were."""
        return await self._repeat(self._cancel_all)

    async def purge(self) -> int:
        """Cancel what waits or runs, delete what is dead, and return how many jobs there were."""

        async def once() -> int:
            return await self._cancel_all() + await self._delete_dead()

        count = await self._repeat(once)
        # What was deleted before is kept for a while, and can't be brought back after this.
        async for page in matching_pages(self._broker, self._queue, "deleted", self._wanted):
            await self._broker.forget_deleted(self._queue, [job.id for job in page])
        return count

    async def _repeat(self, once: Callable[[], Awaitable[int]]) -> int:
        """Call ``once`` until it finds no job, and return how many it has found."""
        count = 0
        for _ in range(_MAX_PASSES):
            found = await once()
            count += found
            if not found:
                break
        return count

    async def _cancel_all(self) -> int:
        return sum([await self._cancel_in(state) for state in self._states])

    async def _delete_dead(self) -> int:
        count = 0
        async for page in matching_pages(self._broker, self._queue, "dead", self._wanted):
            if page:
                count += sum(await self._broker.delete(self._queue, [job.id for job in page]))
        return count

    async def _cancel_in(self, state: LiveState) -> int:
        """Cancel the jobs of one state, and return how many there were, without those that were marked before."""
        count = 0
        async for page in matching_pages(self._broker, self._queue, state, self._wanted):
            if not page:
                continue
            ids = [job.id for job in page]
            replies = await self._broker.cancel(self._queue, ids, self._reason, self._keep_ms)
            done = dict(zip(ids, replies, strict=True))
            marked = {job_id for job_id, reply in done.items() if reply == "running"}
            cancelled = {job_id for job_id, reply in done.items() if reply == "cancelled"}
            count += len((cancelled | marked) - self._marked)
            self._marked |= marked
        return count
