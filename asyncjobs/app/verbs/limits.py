"""The verbs of an app that change limits while workers run: of queues, of limits by name, and of their values."""

from __future__ import annotations

from asyncjobs.app.acting import actor
from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.gates import MAX_LOOKED_THROUGH
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.gates import Limit, checked_gate
from asyncjobs.core.limits import NO_LIMIT, QueueLimit, Rate, checked_limit
from asyncjobs.core.lines import rule_in
from asyncjobs.core.options import UNSET, UnsetType, checked_queue
from asyncjobs.errors import ArgumentsError

__all__ = ["LimitVerbs"]


class LimitVerbs(Verbs):
    """The verbs that change limits while workers run."""

    @on_app_loop
    async def set_limit(
        self,
        queue: str,
        limit: Limit | str = "",
        value: object = UNSET,
        *,
        running: int | UnsetType | None = UNSET,
        rate: Rate | str | UnsetType | None = UNSET,
    ) -> None:
        """Limit a queue, or change one of its limits by name, whatever programs declare, until ``reset_limit``.

        It holds at once, also for jobs that were sent before. Jobs that run already go on. What isn't given stays as it
        is now, and no longer follows what programs declare. ``queue_stats`` and ``gates`` show the limits and who has
        set them (see ``acting``).

        Args:
            queue: The queue.
            limit: The limit to change in this queue: a ``Limit``, its name, or the text of a gate as ``gates`` has it,
                such as ``"customer=42"``; empty for that of the queue itself.
            value: The value for which it changes, of a limit by value; with several parameters a tuple. By default it
                changes for all that have no numbers of their own.
            running: How many jobs may run at once, on all workers together; ``None`` for any number. By default it
                stays as it is.
            rate: How many jobs may start in a time, on all workers together: a ``Rate``, a text such as ``"50/s"``, or
                ``None`` for any number. By default it stays as it is.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``limit`` that of a limit, a number or a rate is
                wrong, or neither was given.

        Example:
            ```python
            await app.set_limit("mail", rate="10/s")
            await app.set_limit("mail", customer, running=5)
            await app.set_limit("mail", customer, 42, running=10)
            ```
        """
        if running is UNSET and rate is UNSET:
            raise ArgumentsError("set_limit() got neither running nor rate: expected at least one of them")
        gate = checked_gate(limit, value)
        wanted = checked_limit(None if running is UNSET else running, None if rate is UNSET else rate)
        if running is UNSET or rate is UNSET:
            now = await self._limit_now(checked_queue(queue), gate)
            wanted = QueueLimit(
                now.running if running is UNSET else wanted.running, now.rate if rate is UNSET else wanted.rate
            )
        if await self._broker.set_limit(checked_queue(queue), gate, wanted, actor().by):
            await note(self._broker, "set_limit", queue, queue=queue, why=f"{gate}: {wanted}" if gate else str(wanted))

    async def _limit_now(self, queue: str, gate: str) -> QueueLimit:
        if not gate:
            [figures] = await self._broker.overview([queue])
            return NO_LIMIT if figures.limit is None else figures.limit.limit
        found = {one.gate: one.limit for one in await self._broker.gates(queue, MAX_LOOKED_THROUGH)}
        return found.get(gate, found.get(rule_in(gate), NO_LIMIT))

    @on_app_loop
    async def reset_limit(self, queue: str, limit: Limit | str = "", value: object = UNSET) -> None:
        """Take back what ``set_limit`` has set: the limit is again what the program declares, or that of other values.

        Args:
            queue: The queue.
            limit: As ``set_limit`` takes it.
            value: As ``set_limit`` takes it.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``limit`` that of a limit.
        """
        gate = checked_gate(limit, value)
        if await self._broker.set_limit(checked_queue(queue), gate, None, ""):
            await note(self._broker, "reset_limit", queue, queue=queue, why=gate)
