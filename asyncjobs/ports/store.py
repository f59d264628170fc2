"""What a broker promises to operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.ports.dead import DeadGroup, GroupState
from asyncjobs.ports.records import CancelReply, EditReply, Hold, JobPage, ListedPlace, Place
from asyncjobs.ports.search import JobLocation, Sample, ScanPage, ScanRequest

__all__ = ["JobStore"]


class JobStore(Protocol):
    """The verbs for operators: list, cancel, retry, delete, edit and hold back jobs. Each is atomic for each job."""

    async def page(
        self,
        queue: str,
        place: ListedPlace,
        after: str,
        limit: int,
        tenant: str = "",
        until_ms: int = 0,
        group: str | None = None,
    ) -> JobPage:
        """Return some of the jobs in one place.

        A job that stays while pages are read comes once. A job that moves may be missed, or come twice. A cursor
        that is none begins anew, or anywhere.

        Args:
            queue: The queue.
            place: ``ready`` and ``parked`` are in the order in which the jobs will start, but ``ready`` jobs with a
                line key come behind the others, line by line, by priority and key; ``scheduled`` by due time,
                ``running`` in any order, ``dead`` latest first, those of one millisecond by id, the highest first,
                and ``deleted`` jobs by their deletion, the highest number first.
            after: The cursor of this page, from the page before; empty for the first page.
            limit: How many entries to look at, 1 or more.
            tenant: Only jobs of this tenant; empty for the jobs of all.
            until_ms: Of dead jobs, only those that died before this Unix time in milliseconds; 0 for all. It counts
                for the first page, behind which the others follow.
            group: Of dead jobs, only those of this group; empty for those in no group, ``None`` for all.
        """
        ...

    async def count_dead(
        self, queue: str, *, tenant: str = "", group: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> int:
        """Return how many jobs are dead: all, those of a tenant, or those of a group.

        Args:
            queue: The queue.
            tenant: Only jobs of this tenant; empty for the jobs of all.
            group: Only jobs of this group, in place of a tenant; empty for the jobs of all.
            since_ms: Only jobs that died at this Unix time in milliseconds or later.
            until_ms: Only jobs that died before this Unix time in milliseconds; 0 for all.
        """
        ...

    async def scan(self, queue: str, request: ScanRequest) -> ScanPage:
        """Return the jobs of a name, of a tenant, or with a text, among the next entries of one place.

        A scan takes no more time than a page, so it may look at fewer entries than are asked for: where records are
        large, or where what it finds is. It always looks at one, if there is one.

        Args:
            queue: The queue.
            request: Which jobs, among which entries.
        """
        ...

    async def sample(self, queue: str, place: Place, limit: int) -> Sample:
        """Return the names of some of the jobs in one place, taken evenly from all parts of it.

        Args:
            queue: The queue.
            place: The place, as for ``page``.
            limit: How many jobs to look at, 1 or more; a few more may be. If there are no more, all are.
        """
        ...

    async def locate(self, queue: str, job_id: str) -> JobLocation | None:
        """Return where a job waits or runs; ``None`` if there is no record.

        Args:
            queue: The queue.
            job_id: The job's id.
        """
        ...

    async def cancel(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        """Cancel waiting jobs now, and mark running jobs for their workers to cancel.

        Args:
            queue: The queue.
            job_ids: The ids of the jobs.
            reason: Why, for the records of the jobs.
            keep_ms: How long the records of waiting jobs are kept, in milliseconds.

        Returns:
            For each id: ``cancelled``, or ``running`` if the job is marked; ``failed`` if it is dead, ``ended``, or
            ``unknown`` if there is no record. An id that is repeated in one call has ended.
        """
        ...

    async def dead_groups(self, queue: str) -> list[DeadGroup]:
        """Return the groups of the dead jobs of a queue, those with the latest death first.

        A job that dies joins the group that its settlement names. There are at most ``core.retention.MAX_GROUPS``; the
        jobs of further ones are together in one more, called ``OTHER_GROUP``. Dead jobs that are in no group come last,
        as one with an empty id. So the counts add up to the number of dead jobs.
        """
        ...

    async def mark_group(self, queue: str, group: str, state: GroupState, note: str) -> bool:
        """Mark a group of dead jobs.

        A group that has become empty keeps its mark for a while. Once a job dies of it again it is ``back``, with the
        same note.

        Args:
            queue: The queue.
            group: The id of the group.
            state: What is known of it.
            note: A note for the others who look at it.

        Returns:
            Whether there is such a group.
        """
        ...

    async def retry(self, queue: str, job_ids: Sequence[str], *, delay_ms: int = 0, spread_ms: int = 0) -> list[bool]:
        """Make dead jobs ready again, with all their retries; or scheduled, one after the other.

        Args:
            queue: The queue.
            job_ids: The ids of the jobs, in the order in which they are to start.
            delay_ms: When the first of them is to start, in milliseconds from now.
            spread_ms: Within how many milliseconds from then on the others start, at equal intervals.

        Returns:
            For each id, whether it was that of a dead job.
        """
        ...

    async def delete(self, queue: str, job_ids: Sequence[str], *, keep_ms: int = 0, deletion: int = 0) -> list[bool]:
        """Delete dead or ended jobs; waiting and running ones must be cancelled first.

        To all other verbs, a deleted job is unknown at once.

        Args:
            queue: The queue.
            job_ids: The ids of the jobs.
            keep_ms: For how long the deletion can be undone, in milliseconds; with 0 it can't be.
            deletion: A number for this deletion, and for further calls that belong to it, which rises from one
                deletion to the next; as the time in Unix milliseconds does.

        Returns:
            For each id, whether a job was deleted.
        """
        ...

    async def forget_deleted(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Delete jobs for good that were deleted before, so that they can't be brought back.

        Args:
            queue: The queue.
            job_ids: The ids of the jobs.

        Returns:
            For each id, whether a job was kept.
        """
        ...

    async def undelete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        """Bring deleted jobs back: dead ones into the dead letter queue and their group, with the time of their death.

        Args:
            queue: The queue.
            job_ids: The ids of the jobs.

        Returns:
            For each id, whether the job is back: not if it isn't kept any more, or its id was sent again.
        """
        ...

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        """Give a waiting job another priority, or another time; ``None`` leaves either as it is.

        Args:
            queue: The queue.
            job_id: The job's id.
            priority: 0 (critical) to 3 (low).
            delay_ms: How long it waits from now, in milliseconds.
            due_at_ms: When it may start, in Unix milliseconds; in place of ``delay_ms``.

        Returns:
            ``edited``, or what the job is instead: ``running``, ``failed`` (dead), ``ended``, or ``unknown`` if there
            is no record.
        """
        ...

    async def hold(self, queue: str, hold: Hold, on: bool, *, by: str = "", why: str = "") -> bool:
        """Hold back the jobs of a queue, a name or a tenant from being claimed, or end that.

        Running jobs go on, and new ones are accepted. A claim that comes to jobs of a held name or tenant parks them
        (sets them aside). Once the hold has ended, ``unpark`` makes them ready. If no worker knows their name, their
        grace period begins anew at the end of the hold.

        Args:
            queue: The queue.
            hold: What to hold back.
            on: Whether the hold begins or ends.
            by: Who begins it, for those who see it.
            why: Why. What is held already gets another reason, and who gave it, if this one isn't empty.

        Returns:
            Whether that changed anything.
        """
        ...
