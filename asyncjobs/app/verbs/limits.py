"""The verbs of an app that change limits while workers run: of queues, of limits by name, and of their values."""

from __future__ import annotations

from asyncjobs.app.acting import actor
from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.gates import told_of
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.gates import Limit, checked_gate
from asyncjobs.core.limits import LimitPart, Rate, checked_limit
from asyncjobs.core.lines import rule_in
from asyncjobs.core.options import UNSET, UnsetType, checked_queue
from asyncjobs.errors import ArgumentsError, closest
from asyncjobs.jobs.registry import rules_elsewhere

__all__ = ["LimitVerbs"]

_MAX_SHOWN = 20
"""How many limits an error names."""


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
        set them (see ``acting``). For a deployment to come, it can be set by an app that has its code, or, in a queue
        that is known, by the ``Limit`` itself.

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
            ArgumentsError: Neither the broker nor the app's code knows the queue, or a limit of this name in it; a
                number or a rate is wrong; or neither was given.

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
        keep: LimitPart | None = "running" if running is UNSET else "rate" if rate is UNSET else None
        await self._check_limit(checked_queue(queue), gate, limit)
        held = await self._broker.set_limit(queue, gate, wanted, actor().by, keep)
        if held is not None:
            await note(self._broker, "set_limit", queue, queue=queue, why=f"{gate}: {held}" if gate else str(held))

    @on_app_loop
    async def reset_limit(self, queue: str, limit: Limit | str = "", value: object = UNSET) -> None:
        """Take back what ``set_limit`` has set: the limit is again what the program declares, or that of other values.

        Args:
            queue: The queue.
            limit: As ``set_limit`` takes it.
            value: As ``set_limit`` takes it.

        Raises:
            ArgumentsError: Neither the broker nor the app's code knows the queue, or a limit of this name in it.
        """
        gate = checked_gate(limit, value)
        await self._check_limit(checked_queue(queue), gate, limit)
        if await self._broker.set_limit(queue, gate, None, "") is not None:
            await note(self._broker, "reset_limit", queue, queue=queue, why=gate)

    async def _check_limit(self, queue: str, gate: str, given: Limit | str) -> None:
        """Raise ``ArgumentsError`` for a queue, or a limit of it, that neither the broker nor the app's code knows."""
        queues = self._declared.names()
        if queue not in queues:
            queues |= {*await self._broker.queues()}
        if queue not in queues:
            raise ArgumentsError(
                f"there is no queue {queue!r} on {self._connection.settings.server}: no job was sent to it, no worker "
                f"serves it, and no code of this app names it.{closest(queue, queues)} To limit it "
                f"ahead of its workers, use an app that names it, by a job or by app.queue()."
            )
        rule = rule_in(gate)
        # A ``Limit`` is no typing error: some code has it.
        known = self._declared.limits(queue)
        if not rule or isinstance(given, Limit) or rule in known:
            return
        # Workers declare the limits of all their jobs, whatever the queue.
        told = told_of(await self._broker.gates(queue, 1), rules_elsewhere(self.registry, queue))
        known |= {rule_in(one.gate) for one in told}
        if rule not in known:
            shown = ", ".join(sorted(known)[:_MAX_SHOWN]) + (", …" if len(known) > _MAX_SHOWN else "")
            raise ArgumentsError(
                f"the queue {queue!r} has no limit {rule!r}: its workers and jobs have {shown or 'none by name'}."
                f"{closest(rule, known)} To set one ahead of its workers, give its Limit, or use an "
                f"app in which a job of this queue has it."
            )
