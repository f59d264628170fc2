"""The verbs of an app that end many jobs at once: all of a filter, of a queue, or of a tenant."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypedDict, Unpack, get_args

import msgspec

from asyncjobs.app.audit import note, said
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.dead import job_filter
from asyncjobs.app.verbs.paging import ENTRIES_A_PAGE
from asyncjobs.core.bounds import shown
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.options import checked_queue, checked_tenant, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.tenant_scope import ids_here, tenant_here
from asyncjobs.ports import ListedPlace

__all__ = ["LiveFilter", "LiveState", "SweepPosition", "SweepVerbs", "cancel_many", "purge_within"]

LiveState = Literal["scheduled", "parked", "ready", "running"]
"""The states of jobs that have not ended, in the order in which a job passes them, so that a sweep misses few of the
jobs that move meanwhile."""

# How often a sweep begins anew; jobs that are left after so many passes were sent meanwhile.
_MAX_PASSES = 10

# What a purge goes through in each pass.
_PURGED: tuple[ListedPlace, ...] = (*get_args(LiveState), "dead")


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
        places = get_args(LiveState) if state is None else (state,)
        queues = await self._queues(queue)
        count = sum([await _Sweep(self, one, wanted, reason, places).run() for one in queues])
        told = {"state": state, **which, "tenant": wanted.tenant}
        await note(self._broker, "cancel_jobs", queue=queue, which=told, count=count, why=said(reason))
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
        queue, wanted = checked_queue(queue), JobFilter(tenant=tenant_here(None))
        count = await _Sweep(self, queue, wanted, f"the jobs of queue {queue!r} were purged", _PURGED).run()
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
        return (await self._purge_tenant(tenant, queue, SweepPosition(), math.inf))[0]

    async def _purge_tenant(
        self, tenant: str, queue: str | None, begin: SweepPosition, ends_at: float
    ) -> tuple[int, SweepPosition | None]:
        """Return how many jobs there were, and where to go on if the time was over before there were no more."""
        wanted = JobFilter(tenant=checked_tenant(tenant))
        reason = f"the jobs of tenant {tenant!r} were purged"
        count, rest = 0, None
        for one in sorted(await self._queues(queue)):
            if one < begin.queue:
                continue
            sweep = _Sweep(self, one, wanted, reason, _PURGED, begin if one == begin.queue else None)
            count += await sweep.run(ends_at)
            rest = sweep.rest
            if rest is not None:
                break
        await note(self._broker, "purge_tenant", tenant, queue=queue, count=count)
        return count, rest


@on_app_loop
async def cancel_many(
    app: SweepVerbs, job_ids: Sequence[str], *, queue: str, reason: str, which: Mapping[str, object] | None = None
) -> int:
    """Cancel jobs of a queue as ``app.cancel_job`` does, in one call and with one entry of the audit.

    Args:
        app: The app, which is open.
        job_ids: The ids of the jobs.
        queue: Their queue.
        reason: The reason.
        which: The filter by which they were found, which the entry tells in place of their ids.

    Returns:
        How many of them waited or ran.
    """
    ids = ids_here(job_ids)
    replies = await app._broker.cancel(queue, ids, reason, app._lookup.keep_ms)
    count = sum(reply in ("cancelled", "running") for reply in replies)
    subject = ids if which is None else ""
    await note(app._broker, "cancel_jobs", subject, queue=queue, which=which, count=count, why=said(reason))
    return count


@on_app_loop
async def purge_within(
    app: SweepVerbs, ends_at: float, tenant: str, *, queue: str | None, begin: SweepPosition
) -> tuple[int, SweepPosition | None]:
    """Purge a tenant as ``app.purge_tenant`` does, until about ``ends_at`` by the clock that never jumps.

    Args:
        app: The app, which is open.
        ends_at: When to end.
        tenant: The tenant's id.
        queue: Only in this queue. Where ``begin`` is of a queue behind it, nothing is left to do.
        begin: What the call before has returned; ``SweepPosition()`` for the first one.

    Returns:
        How many jobs there were, and where the next call goes on; ``None`` if that is not needed.

    Raises:
        ArgumentsError: ``tenant`` can't be the id of a tenant.
    """
    return await app._purge_tenant(tenant, queue, begin, ends_at)


class SweepPosition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a sweep goes on."""

    queue: str = ""
    place: ListedPlace = "scheduled"
    after: str = ""
    """The cursor of the page in this place."""
    passes: Annotated[int, msgspec.Meta(ge=0, le=_MAX_PASSES)] = 0
    """How many passes have ended."""
    has_found: bool = False
    """Whether this pass has found a job before."""


class _Sweep:
    """Ends jobs of one queue that pass a filter, in several passes, since jobs move while they are listed.

    Args:
        verbs: The verbs.
        queue: The queue.
        wanted: The filter.
        reason: The reason of cancellations.
        places: What to go through in each pass. Where it has the dead, these are deleted, and in the end also what was
            deleted before, which can't be brought back after this.
        begin: Where to go on, ``None`` for all.
    """

    def __init__(
        self,
        verbs: Verbs,
        queue: str,
        wanted: JobFilter,
        reason: str,
        places: Sequence[ListedPlace],
        begin: SweepPosition | None = None,
    ) -> None:
        self._broker = verbs._broker
        self._keep_ms = verbs._lookup.keep_ms
        self._queue = queue
        self._wanted = wanted
        self._reason = reason
        self._places = places
        # Jobs whose handlers are being cancelled, which end later. Of those before a begin, none are known.
        self._marked: set[str] = set()
        self._is_resumed = begin is not None
        self.rest: SweepPosition | None = SweepPosition(queue, places[0]) if begin is None else begin
        """Where to go on, ``None`` if it is done."""

    async def run(self, ends_at: float = math.inf) -> int:
        """End jobs until there is none, or the time is over, and return how many there were."""
        count = 0
        while self.rest is not None:
            at, wanted = self.rest, self._wanted
            page = await self._broker.page(self._queue, at.place, at.after, ENTRIES_A_PAGE, wanted.tenant or "")
            ids = [job.id for job in page.jobs if wanted.matches(job)]
            found = await self._end(at, ids) if ids else 0
            count += found
            self.rest = self._behind(at, page.next, has_found=at.has_found or found > 0)
            if time.monotonic() >= ends_at:
                break
        return count

    def _behind(self, at: SweepPosition, after: str, *, has_found: bool) -> SweepPosition | None:
        """Return what comes behind a page, whose cursor is ``after``."""
        if after:
            return msgspec.structs.replace(at, after=after, has_found=has_found)
        if at.place == "deleted":
            return None
        number = self._places.index(at.place) + 1
        if number < len(self._places):
            return msgspec.structs.replace(at, place=self._places[number], after="", has_found=has_found)
        if has_found and at.passes + 1 < _MAX_PASSES:
            return SweepPosition(self._queue, self._places[0], passes=at.passes + 1)
        return SweepPosition(self._queue, "deleted") if "dead" in self._places else None

    async def _end(self, at: SweepPosition, ids: list[str]) -> int:
        """End jobs of one place, and return how many there were, without those that were marked before."""
        if at.place == "deleted":
            await self._broker.forget_deleted(self._queue, ids)
            return 0
        if at.place == "dead":
            return sum(await self._broker.delete(self._queue, ids))
        replies = await self._broker.cancel(self._queue, ids, self._reason, self._keep_ms)
        done = dict(zip(ids, replies, strict=True))
        marked = {job_id for job_id, reply in done.items() if reply == "running"}
        # What runs in a later pass was marked by the first one, of which a sweep that goes on knows nothing.
        fresh = set() if self._is_resumed and at.passes else set(marked)
        fresh |= {job_id for job_id, reply in done.items() if reply == "cancelled"}
        count = len(fresh - self._marked)
        self._marked |= marked
        return count
