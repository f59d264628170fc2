"""The verbs of an app that change how many jobs of a queue may run, at once and in a time."""

from __future__ import annotations

from asyncjobs.app.acting import actor
from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.limits import NO_LIMIT, Rate, checked_limit
from asyncjobs.core.options import UNSET, UnsetType, checked_queue
from asyncjobs.errors import ArgumentsError

__all__ = ["LimitVerbs"]


class LimitVerbs(Verbs):
    """The verbs that change the limits of queues while workers run."""

    @on_app_loop
    async def set_limit(
        self, queue: str, *, running: int | UnsetType | None = UNSET, rate: Rate | str | UnsetType | None = UNSET
    ) -> None:
        """Limit a queue, whatever its program declares with ``app.queue``, until ``reset_limit``.

        It holds at once, also for jobs that were sent before. Jobs that run already go on. What isn't given stays as it
        is now, and no longer follows what the program declares. ``queue_stats`` shows the limit and who has set it (see
        ``acting``).

        Args:
            queue: The queue.
            running: How many of its jobs may run at once, on all workers together; ``None`` for any number. By default
                it stays as it is.
            rate: How many of its jobs may start in a time, on all workers together: a ``Rate``, a text such as
                ``"50/s"``, or ``None`` for any number. By default it stays as it is.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, a number or a rate is wrong, or neither was given.

        Example:
            ```python
            await app.set_limit("mail", rate="10/s")
            ```
        """
        if running is UNSET and rate is UNSET:
            raise ArgumentsError("set_limit() got neither running nor rate: expected at least one of them")
        wanted = checked_limit(None if running is UNSET else running, None if rate is UNSET else rate)
        [figures] = await self._broker.overview([checked_queue(queue)])
        now = NO_LIMIT if figures.limit is None else figures.limit.limit
        limit = checked_limit(
            now.running if running is UNSET else wanted.running, now.rate if rate is UNSET else wanted.rate
        )
        if await self._broker.set_limit(queue, limit, actor().by):
            await note(self._broker, "set_limit", queue, queue=queue, why=str(limit))

    @on_app_loop
    async def reset_limit(self, queue: str) -> None:
        """Let a queue have the limit again that its program declares with ``app.queue``, or none.

        Args:
            queue: The queue.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue.
        """
        if await self._broker.set_limit(checked_queue(queue), None, ""):
            await note(self._broker, "reset_limit", queue, queue=queue)
