"""The verbs of an app that hold jobs back: they pause queues, and suspend job names and tenants."""

from __future__ import annotations

from typing import Literal

from asyncjobs.app.acting import NOTE_CHARS, actor
from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.options import DEFAULT_QUEUE, checked_queue, checked_tenant, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import Hold

__all__ = ["HoldVerbs"]

_Suspendable = Literal["name", "tenant"]


class HoldVerbs(Verbs):
    """The verbs that hold jobs back. Running jobs go on, and new ones are accepted; no worker needs a restart."""

    @on_app_loop
    async def pause(self, queue: str, *, why: str = "") -> None:
        """Let no more jobs of a queue start, until ``resume``.

        Running jobs go on, and new ones are accepted. ``queue_stats`` shows since when, by whom (see ``acting``) and
        why.

        Args:
            queue: The queue.
            why: The reason, for those who see the pause: one line of at most 500 characters. For a queue that is paused
                already, another reason takes its place.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``why`` is no text, or too long.
        """
        why = _checked_why(why)
        if await self._broker.hold(checked_queue(queue), Hold("queue"), True, by=actor().by, why=why):
            await note(self._broker, "pause", queue, queue=queue, why=why)

    @on_app_loop
    async def resume(self, queue: str) -> None:
        """Let the jobs of a paused queue start again."""
        if await self._broker.hold(checked_queue(queue), Hold("queue"), False):
            await note(self._broker, "resume", queue, queue=queue)

    @on_app_loop
    async def suspend_name(self, name: str, *, queue: str | None = None, why: str = "") -> None:
        """Let no more jobs of a name start, until ``resume_name``.

        Running jobs go on, and new ones are accepted.

        Args:
            name: The job name; an alias is a name of its own.
            queue: Only in this queue. By default in each queue that is in use, and in the queue of the job's
                definition.
            why: The reason, as of ``pause``.

        Raises:
            ArgumentsError: ``name`` is empty, or ``why`` is no text, or too long.
        """
        await self._suspend("name", name, queue, why)

    @on_app_loop
    async def resume_name(self, name: str, *, queue: str | None = None) -> None:
        """Let the jobs of a suspended name start again, before jobs that were sent later.

        Args:
            name: The job name.
            queue: Only in this queue; by default in the queues of ``suspend_name``.

        Raises:
            ArgumentsError: ``name`` is empty.
        """
        await self._resume("name", name, queue)

    @on_app_loop
    async def suspended_names(self) -> dict[str, list[str]]:
        """Return the suspended job names by queue, without queues that have none."""
        return await self._suspended("name")

    @on_app_loop
    async def suspend_tenant(self, tenant: str, *, queue: str | None = None, why: str = "") -> None:
        """Let no more jobs of a tenant start, until ``resume_tenant``.

        Running jobs go on, and new ones are accepted.

        Args:
            tenant: The tenant's id.
            queue: Only in this queue. By default in each queue that is in use, and in the queues of all job
                definitions.
            why: The reason, as of ``pause``.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant, or ``why`` is no text, or too long.
        """
        await self._suspend("tenant", checked_tenant(tenant), queue, why)

    @on_app_loop
    async def resume_tenant(self, tenant: str, *, queue: str | None = None) -> None:
        """Let the jobs of a suspended tenant start again, before jobs that were sent later.

        Args:
            tenant: The tenant's id.
            queue: Only in this queue; by default in the queues of ``suspend_tenant``.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant.
        """
        await self._resume("tenant", checked_tenant(tenant), queue)

    @on_app_loop
    async def suspended_tenants(self) -> dict[str, list[str]]:
        """Return the ids of the suspended tenants by queue, without queues that have none."""
        return await self._suspended("tenant")

    # -- both kinds

    async def _suspend(self, kind: _Suspendable, which: str, queue: str | None, why: str) -> None:
        why, by = _checked_why(why), actor().by
        queues = await self._queues_of(kind, which, queue)
        changed = [await self._broker.hold(one, Hold(kind, which), True, by=by, why=why) for one in queues]
        if any(changed):
            await note(self._broker, f"suspend_{kind}", which, queue=queue, why=why)

    async def _resume(self, kind: _Suspendable, which: str, queue: str | None) -> None:
        grace_ms = round(self._connection.settings.unknown_job_grace * 1000)
        changed = False
        for one in await self._queues_of(kind, which, queue):
            changed = await self._broker.hold(one, Hold(kind, which), False) or changed
            # Workers do this every few seconds; here, the jobs need not wait for that.
            await self._broker.unpark([one], frozenset({which} if kind == "name" else ()), grace_ms)
        if changed:
            await note(self._broker, f"resume_{kind}", which, queue=queue)

    async def _suspended(self, kind: _Suspendable) -> dict[str, list[str]]:
        figures = await self._broker.overview(await self._queues(None))
        found = {one.name: [hold.which for hold in one.holds if hold.kind == kind] for one in figures}
        return {queue: here for queue, here in found.items() if here}

    async def _queues_of(self, kind: _Suspendable, which: str, queue: str | None) -> list[str]:
        if not checked_text(kind, which):
            raise ArgumentsError(f"the {kind} is empty; expected which {kind} to suspend or resume")
        queues = set(await self._queues(queue))
        if queue is None:
            # The broker doesn't know a queue before the first job is sent to it.
            names = self.registry.names()
            in_code = names & {which} if kind == "name" else names
            queues |= {self.registry.get(name).options.queue or DEFAULT_QUEUE for name in in_code}
        return sorted(queues)


def _checked_why(why: str) -> str:
    if len(checked_text("why", why)) > NOTE_CHARS:
        raise ArgumentsError(f"why has {len(why)} characters; expected at most {NOTE_CHARS}")
    return why
