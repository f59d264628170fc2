"""What a broker promises to operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.ports.records import CancelReply, EditReply, Hold, JobPage, Place

__all__ = ["JobStore"]


class JobStore(Protocol):
    """Jobs by their place and their id, and what is held back. Each verb is atomic for each job."""

    async def page(self, queue: str, place: Place, after: str, limit: int, tenant: str = "") -> JobPage:
        """Return some of the jobs in one place.

        Jobs that move while pages are read may be missed or come twice; those that stay come once.

        Args:
            queue: The queue.
            place: ``ready`` and ``parked`` in the order in which they will start, ``scheduled`` by due time,
                ``running`` in any order, ``dead`` latest first.
            after: The cursor of this page, from the page before; empty for the first.
            limit: How many entries to look at, 1 or more.
            tenant: Only jobs of this tenant; empty for those of all.
        """
        ...

    async def cancel(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        """Cancel waiting jobs now and keep their records for ``keep_ms``; mark running ones for their workers.

        Returns:
            For each id: ``cancelled``; ``running`` where it is marked; ``ended`` and ``failed`` (dead) were too late,
            and ``unknown`` has no record. An id that is named again has ended.
        """
        ...

    async def retry(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Make dead jobs ready, in this order and with all their retries; return for each whether there was one."""
        ...

    async def delete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Forget dead or ended jobs; return for each whether there was one.

        Waiting and running jobs are left alone: cancel them first.
        """
        ...

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        """Give a waiting job another priority (0 critical to 3 low), or another time; ``None`` leaves each as it is.

        Returns:
            ``edited``; ``running``, ``ended`` and ``failed`` (dead) were too late, and ``unknown`` has no record.
        """
        ...

    async def hold(self, queue: str, hold: Hold, on: bool) -> bool:
        """Let no more jobs be claimed of a queue, a name or a tenant (``on``), or let them again.

        Running jobs go on, and new ones are accepted. Jobs of a held name or tenant are parked when they come to be
        claimed; once the hold has ended, ``unpark`` makes them ready. The time for which an unknown name is waited for
        then begins anew.

        Returns:
            Whether that changed anything.
        """
        ...
