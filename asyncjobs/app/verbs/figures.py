"""The verbs of an app for figures and history."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.gates import GateStats, gate_stats, told_of
from asyncjobs.app.stats import MinuteStats, QueueStats, Stats, has_counts, minute_stats, queue_stats, stats
from asyncjobs.app.turns import MAX_TURNS, TurnStats, turn_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import checked_count
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.core.retention import MAX_TENANT_HISTORY
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.registry import rules_elsewhere
from asyncjobs.jobs.tenant_scope import tenant_here
from asyncjobs.ports import QueueFigures

__all__ = ["FigureVerbs"]


class FigureVerbs(Verbs):
    """The verbs for figures and history."""

    @on_app_loop
    async def stats(self) -> Stats:
        """Return the statistics of all queues, and of the workers that are present."""
        return stats(*await asyncio.gather(self._overview(), self._broker.workers()))

    async def _overview(self) -> list[QueueFigures]:
        """Return the figures of all queues in use."""
        return await self._broker.overview(await self._broker.queues())

    @on_app_loop
    async def queue_stats(self, queue: str) -> QueueStats:
        """Return the statistics of one queue."""
        [figures] = await self._broker.overview([checked_queue(queue)])
        return queue_stats(figures)

    @on_app_loop
    async def gates(self, queue: str, *, limit: int = 100) -> list[GateStats]:
        """Return the limits by name that jobs of a queue have, each followed by its gates of single values.

        Of a limit by value, these are the values of which jobs run or wait, whose rate is used up, or that have numbers
        of their own. Those for which most lines wait come first. ``queue_stats`` tells the limit of the whole queue.
        Limits that only jobs of other queues have are left out, unless one of them is used here.

        Args:
            queue: The queue.
            limit: How many gates of each limit at most, 1 or more.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``limit`` is no count.

        Example:
            ```python
            for gate in await app.gates("mail"):
                print(gate)  # customer=42: 3 of 3 in use; 117 jobs in 1 line wait
            ```
        """
        limit = checked_count("limit", limit, least=1)
        figures = await self._broker.gates(checked_queue(queue), limit)
        return gate_stats(told_of(figures, rules_elsewhere(self.registry, queue)), datetime.now(UTC))

    @on_app_loop
    async def turns(self, queue: str, *, limit: int = 20) -> list[TurnStats]:
        """Return the groups of a queue with fair turns that have jobs waiting, those that start next first.

        Groups of a higher priority come first. A group is left out while all its jobs wait for limits.

        Args:
            queue: The queue.
            limit: How many groups at most, 1 to 500.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``limit`` is no such number.

        Example:
            ```python
            for turn in await app.turns("imports"):
                print(turn.group, turn.waiting, turn.weight)
            ```
        """
        limit = checked_count("limit", limit, least=1)
        if limit > MAX_TURNS:
            raise ArgumentsError(f"limit={limit}: expected at most {MAX_TURNS}")
        return [turn_stats(one) for one in await self._broker.turns(checked_queue(queue), limit)]

    @on_app_loop
    async def queue_minutes(self, queue: str, limit: int = 60) -> list[MinuteStats]:
        """Return what the jobs of a queue came to in each of the last minutes, oldest first.

        Minutes in which no job ended or was retried are left out.

        Args:
            queue: The queue.
            limit: How many minutes to look back, the current one included; six hours are kept.

        Raises:
            ArgumentsError: ``limit`` is no count, or ``queue`` can't be the name of a queue.
        """
        limit = checked_count("limit", limit)
        periods = (await self._broker.series(checked_queue(queue), "minute", limit)).periods
        return [minute_stats(one) for one in periods if has_counts(one)]

    @on_app_loop
    async def job_history(
        self,
        name: str | None = None,
        limit: int = 100,
        *,
        tenant: str | None = None,
        queue: str | Collection[str] | None = None,
    ) -> list[HistoryEntry]:
        """Return how the last jobs of a name, of a tenant or of both ended, latest first.

        In each queue, the ends of the last 1,000 jobs of a name and of the last 100 jobs of a tenant are kept.

        Args:
            name: The job name.
            limit: How many jobs at most.
            tenant: The tenant's id; by default of the tenant that the code around runs for, if there is one.
            queue: Only in this queue, or in these queues.

        Raises:
            ArgumentsError: Neither ``name`` nor ``tenant`` is given, ``tenant`` can't be the id of a tenant, or
                ``limit`` isn't a count.
        """
        limit = checked_count("limit", limit)
        tenant = tenant_here(tenant)
        if name is None and tenant is None:
            raise ArgumentsError("job_history() needs a name, tenant=…, or both")
        if name is not None:
            checked_text("name", name)
        queues, history = await self._queues(queue), self._broker.history
        if tenant is None:
            each = await asyncio.gather(*(history(one, limit, name=name or "") for one in queues))
        else:
            each = await asyncio.gather(*(history(one, MAX_TENANT_HISTORY, tenant=tenant) for one in queues))
        found = [entry for entries in each for entry in entries if tenant is None or name in (None, entry.name)]
        return sorted(found, key=lambda entry: entry.finished_at_ms, reverse=True)[:limit]
