"""The verbs of an app for figures over time, by queue and by job name, and for the load of queues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.load import LOOK_BACK, TARGET_S, Load, QueueLoad, QueueReading, load_of, queue_load
from asyncjobs.app.series import (
    NameSeries,
    NameStats,
    QueueSeries,
    name_series,
    name_span,
    name_stats,
    queue_series,
    span_of,
)
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.lines import rule_in
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import QueueFigures, WorkerInfo

__all__ = ["SeriesVerbs"]

_HOUR_S, _DAY_S = 3_600, 86_400


class SeriesVerbs(Verbs):
    """The verbs for figures over time."""

    @on_app_loop
    async def queue_series(
        self,
        queues: str | Collection[str] | None = None,
        since: Duration = _HOUR_S,
        *,
        step: Duration | None = None,
        before: Duration = 0,
    ) -> QueueSeries:
        """Return the figures of a queue, or of several together, over time, as columns.

        Figures are kept by minute for six hours, and by hour for 90 days.

        Args:
            queues: The queue, or the queues; by default all.
            since: How far to look back, in seconds or as a ``timedelta``.
            step: How long each step is, in seconds or as a ``timedelta``: whole minutes, or whole hours where figures
                are kept by hour. By default a minute up to six hours, else an hour.
            before: How long before now the series ends, such as a day to see the same time yesterday.

        Raises:
            ArgumentsError: ``queues`` are no names of queues, or a duration is none, or reaches beyond what is kept.
        """
        span, broker = span_of(since, step, before), self._broker
        names = await self._known([queues] if isinstance(queues, str) else queues)
        found = await asyncio.gather(*(broker.series(one, span.period, span.to_read, span.skip) for one in names))
        return queue_series(dict(zip(names, found, strict=True)), span)

    @on_app_loop
    async def names(
        self, queues: Collection[str] | None = None, since: Duration = _DAY_S, *, before: Duration = 0
    ) -> list[NameStats]:
        """Return what attempts came to by job name, the names that took the most time first.

        Whole hours are counted, and kept for 14 days. Jobs that ended without a run, as those cancelled while they
        waited, are not among them.

        Args:
            queues: Only these queues; by default all.
            since: How far to look back, in seconds or as a ``timedelta``.
            before: How long before now the span ends.

        Raises:
            ArgumentsError: ``queues`` are no names of queues, or a duration is none, or reaches beyond what is kept.
        """
        span = name_span(since, before)
        names = await self._known(queues)
        runs = await asyncio.gather(*(self._broker.runs(one, span.steps, span.steps_before) for one in names))
        return name_stats({one: found.hours for one, found in zip(names, runs, strict=True)})

    @on_app_loop
    async def name_series(
        self,
        name: str,
        since: Duration = _DAY_S,
        *,
        queues: Collection[str] | None = None,
        before: Duration = 0,
    ) -> NameSeries:
        """Return the figures of one job name, hour by hour.

        Args:
            name: The job name.
            since: How far to look back, in seconds or as a ``timedelta``; 14 days are kept.
            queues: Only these queues; by default all.
            before: How long before now the series ends.

        Raises:
            ArgumentsError: ``name`` is no text, ``queues`` are no names of queues, or a duration is none, or reaches
                beyond what is kept.
        """
        name, span = checked_text("name", name), name_span(since, before)
        names, broker = await self._known(queues), self._broker
        runs = await asyncio.gather(*(broker.runs(one, span.to_read, span.skip, name) for one in names))
        now_ms = max((found.now_ms for found in runs), default=time.time_ns() // 1_000_000)
        return name_series(name, [found.hours for found in runs], span, now_ms)

    @on_app_loop
    async def queue_loads(
        self, queues: Collection[str] | None = None, *, target: Duration = TARGET_S
    ) -> list[QueueLoad]:
        """Return the load of each queue: what comes in, what is served, and in what time it is empty.

        Args:
            queues: The queues; by default all.
            target: Within what time ``wanted_slots`` are to run the backlog, in seconds or as a ``timedelta``.

        Raises:
            ArgumentsError: ``queues`` are no names of queues, or ``target`` is no duration.
        """
        target_s = to_ms("target", target, least_ms=1_000) / 1000
        found, workers = await self._readings(queues)
        return [queue_load(one, workers, target_s) for one in found]

    @on_app_loop
    async def load(self, queues: Collection[str] | None = None, *, target: Duration = TARGET_S) -> Load:
        """Return the load of queues together, for an autoscaler of the workers that serve them.

        Args:
            queues: The queues; by default all.
            target: Within what time ``wanted_slots`` are to run the backlog, in seconds or as a ``timedelta``.

        Raises:
            ArgumentsError: ``queues`` are no names of queues, or ``target`` is no duration.
        """
        target_s = to_ms("target", target, least_ms=1_000) / 1000
        return load_of(*await self._readings(queues), target_s)

    async def _readings(self, queues: Collection[str] | None) -> tuple[list[QueueReading], list[WorkerInfo]]:
        """Return what the load of each queue follows from, and the workers that are present."""
        names, broker = await self._known(queues), self._broker
        each = asyncio.gather(*(broker.series(one, "minute", LOOK_BACK) for one in names))
        figures, series, workers = await asyncio.gather(broker.overview(names), each, broker.workers())
        held_back = await asyncio.gather(*map(self._held_back, figures))
        return [QueueReading(*one) for one in zip(figures, series, held_back, strict=True)], workers

    async def _held_back(self, queue: QueueFigures) -> int:
        """Return how many jobs of a queue wait for a limit by name, each of them for one."""
        if not queue.closed_lines:
            return 0
        # The figures of a limit add up those of its values.
        return sum(one.jobs for one in await self._broker.gates(queue.name, 1) if one.gate == rule_in(one.gate))

    async def _known(self, queues: Collection[str] | None) -> list[str]:
        """Return the given queues; for ``None``, all queues in use."""
        return await self._broker.queues() if queues is None else _checked(queues)


def _checked(queues: object) -> list[str]:
    """Return ``queues``, each once; raise ``ArgumentsError`` unless they are several names of queues."""
    if isinstance(queues, str) or not isinstance(queues, Collection):
        raise ArgumentsError(f"queues={shown(queues)}: expected several names, as in ['default']")
    return list(dict.fromkeys(checked_queue(one) for one in queues))
