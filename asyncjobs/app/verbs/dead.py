"""What operators do with an open app: the dead letter queue, queues, figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

from asyncjobs.app.sender import Client, at_home
from asyncjobs.app.stats import QueueStats, Stats, queue_stats, stats
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_queue, checked_tenant
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.errors import ArgumentsError, UnknownJob
from asyncjobs.ports import Place, Suspendable

__all__ = ["Operations"]

_PAGE = 500

# How many ends of a tenant's jobs a broker keeps a queue.
_KEPT_A_TENANT = 100

#: Where jobs can be listed.
JobPlace = Literal["ready", "scheduled", "running", "parked", "failed"]


class Operations(Client):
    """The verbs of an app beside sending and single jobs."""

    # -- the dead letter queue

    @at_home
    async def failed_jobs(
        self,
        limit: int = 100,
        *,
        queue: str | None = None,
        name: str | None = None,
        error: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Job]:
        """Return up to ``limit`` jobs of the dead letter queues, or of one queue's, latest first.

        Only those with this job ``name``, ``tenant`` and ``error`` (the type of their last error, with or without its
        module), that died from ``since`` on and before ``until`` (aware datetimes).
        """
        wanted = _filter(name, error, tenant, since, until)
        found: list[Job] = []
        for one in await self._queues(queue):
            here: list[Job] = []
            async for page in self._dead(one, wanted):
                here += page
                if len(here) >= limit:
                    break
            found += here
        return sorted(found, key=lambda job: (job.finished_at_ms or 0, job.id), reverse=True)[:limit]

    @at_home
    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Make a job of the dead letter queue ready again, with all its retries; return whether it was in there.

        Raises ``UnknownJob`` if there is no record of it.
        """
        where = await self._queue_of(job_id, queue)
        if where is None:
            raise UnknownJob(f"no queue has a record of job {job_id!r}")
        return (await self.broker.retry(where, [job_id]))[0]

    @at_home
    async def retry_failed(
        self,
        *,
        queue: str | None = None,
        name: str | None = None,
        error: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Make all jobs of the dead letter queues ready again that ``failed_jobs`` would list; return how many.

        The earliest to die comes first in each batch of 500. What fails again meanwhile isn't retried twice.
        """
        wanted = _filter(name, error, tenant, since, until)
        count = 0
        for one in await self._queues(queue):
            async for page in self._dead(one, wanted):
                count += sum(await self.broker.retry(one, [job.id for job in reversed(page)]))
        return count

    @at_home
    async def discard_failed(
        self,
        *,
        queue: str | None = None,
        name: str | None = None,
        error: str | None = None,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Forget all jobs of the dead letter queues that ``failed_jobs`` would list; return how many."""
        wanted = _filter(name, error, tenant, since, until)
        count = 0
        for one in await self._queues(queue):
            async for page in self._dead(one, wanted):
                count += sum(await self.broker.delete(one, [job.id for job in page]))
        return count

    async def _queues(self, queue: str | None) -> list[str]:
        return await self.broker.queues() if queue is None else [checked_queue(queue)]

    async def _dead(self, queue: str, wanted: JobFilter) -> AsyncIterator[list[Job]]:
        """Yield the wanted jobs of a dead letter queue as it is now, latest first, in pages."""
        before: tuple[int, str] | None = None
        while page := await self.broker.failed(queue, _PAGE, before, wanted.tenant or ""):
            last = page[-1]
            before = (last.finished_at_ms or 0, last.id)
            found = [job for job in page if wanted.matches(job)]
            if found:
                yield found
            if wanted.since_ms is not None and before[0] < wanted.since_ms:
                return

    # -- looking at jobs, and holding them back

    @at_home
    async def jobs(
        self, state: JobPlace, *, queue: str | None = None, tenant: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Return up to ``limit`` jobs that are ``ready``, ``scheduled``, ``running``, ``parked`` or ``failed``.

        Of one ``queue`` or of all, of one ``tenant`` or of all. In the order in which they will start, queue by queue;
        the dead, latest first. Raises ``ArgumentsError`` for another ``state``, or what can't be a tenant's id.
        """
        of_tenant = "" if tenant is None else checked_tenant(tenant)
        if state == "failed":
            return await self.failed_jobs(limit, queue=queue, tenant=tenant)
        if state not in ("ready", "scheduled", "running", "parked"):
            raise ArgumentsError(f"state={state!r}: expected ready, scheduled, running, parked or failed")
        found: list[Job] = []
        for one in await self._queues(queue):
            async for page in self._waiting_jobs(one, state, of_tenant):
                found += page
                if len(found) >= limit:
                    return found[:limit]
        return found

    async def _waiting_jobs(self, queue: str, place: Place, tenant: str) -> AsyncIterator[list[Job]]:
        offset = 0
        while True:
            page, looked_at = await self.broker.browse(queue, place, offset, _PAGE, tenant)
            yield page
            offset += looked_at
            if looked_at < _PAGE:
                return

    @at_home
    async def suspend_job(self, name: str, *, queue: str | None = None) -> None:
        """Let no more jobs of this name start, in all queues there are or in one; they wait, and running ones go on.

        All are those that were ever used, and the one to which the job goes if the app knows it. An alias is a name of
        its own. No worker needs to be restarted. Raises ``ArgumentsError`` for an empty name.
        """
        await self._suspend("name", name, queue, on=True)

    @at_home
    async def resume_job(self, name: str, *, queue: str | None = None) -> None:
        """Undo ``suspend_job``."""
        await self._suspend("name", name, queue, on=False)

    def _queues_in_code(self, name: str | None) -> set[str]:
        """Return the queues to which jobs of this name, or of any, go by their code, as far as that is known."""
        return set()

    @at_home
    async def suspended_jobs(self) -> dict[str, list[str]]:
        """Return the suspended job names of each queue that has any."""
        return await self._suspended("name")

    async def _suspended(self, what: Suspendable) -> dict[str, list[str]]:
        entries = {one: await self.broker.suspended(one) for one in await self._queues(None)}
        found = {queue: [which for kind, which in here if kind == what] for queue, here in entries.items()}
        return {queue: here for queue, here in found.items() if here}

    async def _suspend(self, what: Suspendable, which: str, queue: str | None, *, on: bool) -> None:
        if not which:
            raise ArgumentsError(f"the {what} is empty; expected which {what} to suspend or resume")
        grace_ms = round(self.settings.unknown_job_grace * 1000)
        queues = set(await self._queues(queue))
        if queue is None:
            # One to which nothing has been sent yet is none that the broker knows.
            queues |= self._queues_in_code(which if what == "name" else None)
        for one in sorted(queues):
            await self.broker.suspend(one, what, which, on)
            if not on:
                # Workers look every few seconds too; this is at once.
                await self.broker.unpark([one], frozenset({which} if what == "name" else ()), grace_ms)

    # -- queues and figures

    @at_home
    async def pause(self, queue: str) -> None:
        """Let no more jobs of ``queue`` start; running ones go on, and new ones are accepted."""
        await self.broker.pause(checked_queue(queue))

    @at_home
    async def resume(self, queue: str) -> None:
        """Undo ``pause``."""
        await self.broker.resume(checked_queue(queue))

    @at_home
    async def stats(self) -> Stats:
        """Return the figures of all queues and the workers that are present."""
        broker = self.broker
        figures = [await broker.figures(name) for name in await broker.queues()]
        return stats(figures, await broker.workers())

    @at_home
    async def queue_stats(self, queue: str) -> QueueStats:
        """Return the figures of one queue."""
        return queue_stats(await self.broker.figures(checked_queue(queue)))

    @at_home
    async def job_history(
        self, name: str | None = None, limit: int = 100, *, tenant: str | None = None
    ) -> list[HistoryEntry]:
        """Return how the last jobs of ``name``, of ``tenant`` or of both ended, latest first.

        Of each queue the last 1,000 of a name are kept, and the last 100 of a tenant. Raises ``ArgumentsError`` if
        neither is given, or ``tenant`` can't be an id.
        """
        if tenant is not None:
            checked_tenant(tenant)
        elif name is None:
            raise ArgumentsError("job_history() needs a name, tenant=…, or both")
        found: list[HistoryEntry] = []
        for one in await self._queues(None):
            found += await self._history(one, name, tenant, limit)
        return sorted(found, key=lambda entry: entry.finished_at_ms, reverse=True)[:limit]

    async def _history(self, queue: str, name: str | None, tenant: str | None, limit: int) -> list[HistoryEntry]:
        if tenant is None:
            return await self.broker.history(queue, name or "", limit)
        entries = await self.broker.tenant_history(queue, tenant, _KEPT_A_TENANT)
        return [entry for entry in entries if name is None or entry.name == name]


def _filter(
    name: str | None, error: str | None, tenant: str | None, since: datetime | None, until: datetime | None
) -> JobFilter:
    for what, when in (("since", since), ("until", until)):
        if when is not None and when.tzinfo is None:
            raise ArgumentsError(f"{what}={when!r}: expected an aware datetime, as in datetime.now(UTC)")
    return JobFilter(
        name=name,
        error=error,
        tenant=tenant,
        since_ms=None if since is None else round(since.timestamp() * 1000),
        until_ms=None if until is None else round(until.timestamp() * 1000),
    )
