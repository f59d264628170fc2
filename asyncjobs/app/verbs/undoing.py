"""The verbs of an app that undo a deletion."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable

from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.bounds import shown
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.tenant_scope import ids_here, tenant_here

__all__ = ["KEEP_MS", "UndoVerbs", "deletion_of", "new_deletion", "undelete_within"]

#: For how long a deletion can be undone.
KEEP_MS = 24 * 3_600_000

# What scripts hold exactly.
_MAX_NUMBER = 99_999_999_999_998


# The last number of this process.
_numbers = [0]
_lock = threading.Lock()


def deletion_of(deletion: int | None, purge: bool) -> tuple[int, int]:
    """Return for how long deleted jobs are kept, in milliseconds, and the number of their deletion.

    Args:
        deletion: The number that the caller gives, ``None`` for a new one.
        purge: Whether they aren't kept.

    Raises:
        ArgumentsError: ``deletion`` is no number, or ``purge`` is neither true nor false.
    """
    if not isinstance(purge, bool):
        raise ArgumentsError(f"purge={shown(purge)}: expected True or False")
    return 0 if purge else KEEP_MS, new_deletion() if deletion is None else _checked_number(deletion)


def new_deletion() -> int:
    """Return the number of a new deletion: the time in Unix milliseconds, or more where there was one at this time."""
    with _lock:
        number = _numbers[0] = max(time.time_ns() // 1_000_000, _numbers[0] + 1)
    return number


def _checked_number(deletion: object) -> int:
    if not isinstance(deletion, int) or isinstance(deletion, bool) or not 0 < deletion <= _MAX_NUMBER:
        raise ArgumentsError(f"deletion={shown(deletion)}: expected a time in Unix milliseconds, as a whole number")
    # Of an enum, too, the number alone.
    return int(deletion)


class UndoVerbs(Verbs):
    """The verbs for jobs that were deleted within the last 24 hours."""

    @on_app_loop
    async def undelete_jobs(self, job_ids: Iterable[str], *, queue: str | None = None) -> list[bool]:
        """Bring deleted jobs back to where they were; dead ones are in the dead letter queue again.

        Jobs that were cancelled, or deleted with ``purge``, can't be brought back.

        Args:
            job_ids: The ids of the jobs.
            queue: Their queue; by default all queues are searched.

        Returns:
            For each id, whether its job is back: not if it was deleted more than 24 hours ago, or its id was sent
            again.

        Example:
            ``[is_back] = await app.undelete_jobs(["01JD..."])``
        """
        ids = ids_here(job_ids)
        done = [False] * len(ids)
        for one in await self._queues(queue):
            replies = await self._broker.undelete(one, ids)
            done = [before or now for before, now in zip(done, replies, strict=True)]
        await note(self._broker, "undelete_jobs", ids, queue=queue, count=sum(done))
        return done

    @on_app_loop
    async def undelete_failed(self, deletion: int | None = None, *, queue: str | None = None) -> int:
        """Bring back the jobs of a deletion: by default of the last one, however it was made.

        Args:
            deletion: The number of the deletion.
            queue: Only jobs of this queue.

        Returns:
            How many jobs are back.

        Raises:
            ArgumentsError: ``deletion`` is no number.

        Example:
            ```python
            await app.delete_failed(name="charge")
            await app.undelete_failed()
            ```
        """
        return (await self._undelete_failed(deletion, queue, math.inf))[0]

    async def _undelete_failed(self, deletion: int | None, queue: str | None, ends_at: float) -> tuple[int, int | None]:
        """Return how many jobs are back, and the deletion if the time was over before all of them were."""
        wanted = None if deletion is None else _checked_number(deletion)
        queues = await self._queues(queue)
        number = await self._last_deletion(queues) if wanted is None else wanted
        count, is_whole = 0, True
        for one in queues if number else []:
            done, is_whole = await self._undo(one, number, ends_at)
            count += done
            if not is_whole:
                break
        which = {"tenant": tenant_here(None)}
        await note(self._broker, "undelete_failed", str(number), queue=queue, which=which, count=count)
        return count, None if is_whole else number

    async def _last_deletion(self, queues: Iterable[str]) -> int:
        """Return the number of the last deletion of which a job can be brought back, 0 if there is none."""
        last = 0
        for queue in queues:
            async for page in pages(self._broker, queue, "deleted", tenant_here(None) or ""):
                if page:
                    last = max(last, page[0].deletion or 0)
                    break
        return last

    async def _undo(self, queue: str, number: int, ends_at: float) -> tuple[int, bool]:
        """Return how many jobs of a queue are back, and whether these are all of the deletion."""
        count = 0
        # Those of later deletions come first.
        async for page in pages(self._broker, queue, "deleted", tenant_here(None) or ""):
            ids = [job.id for job in page if job.deletion == number]
            count += sum(await self._broker.undelete(queue, ids)) if ids else 0
            if page and (page[-1].deletion or 0) < number:
                break
            if page and time.monotonic() >= ends_at:
                return count, False
        return count, True


@on_app_loop
async def undelete_within(
    app: UndoVerbs, ends_at: float, deletion: int | None, *, queue: str | None
) -> tuple[int, int | None]:
    """Bring back jobs as ``app.undelete_failed`` does, until about ``ends_at`` by the clock that never jumps.

    Returns:
        How many jobs are back, and the number of the deletion if there may be more.
    """
    return await app._undelete_failed(deletion, queue, ends_at)
