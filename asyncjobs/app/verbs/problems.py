"""The verb of an app that tells what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.load import TARGET_S, QueueLoad, QueueReading, queue_load
from asyncjobs.app.series import NameStats, QueueSeries, queue_series, span_of
from asyncjobs.app.stats import Stats, stats
from asyncjobs.app.triage.finding import Facts, Finding, ProblemLimits, ScheduleFacts
from asyncjobs.app.triage.triage import findings
from asyncjobs.app.verbs.figures import FigureVerbs
from asyncjobs.app.verbs.groups import GroupVerbs
from asyncjobs.app.verbs.operations import OperationVerbs
from asyncjobs.app.verbs.schedules import ScheduleInfo, ScheduleVerbs
from asyncjobs.app.verbs.series import SeriesVerbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.states import JobState
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import DeadGroup, Series, WorkerInfo

__all__ = ["ProblemVerbs", "Situation", "situation_of"]

_HOUR_S, _DAY_S = 3_600, 86_400
# With how many days before the deaths of this hour are compared.
_DAYS = 3


class Situation(NamedTuple):
    """What is wrong, and the figures that tell it."""

    stats: Stats
    """The queues, and the workers that serve one of them."""
    loads: Mapping[str, QueueLoad]
    """The load of each queue."""
    minutes: Mapping[str, Series]
    """The last hour of each queue, by minute."""
    problems: list[Finding]
    """What is wrong now, the worst first."""

    @property
    def hour(self) -> QueueSeries:
        """The last hour of all these queues together."""
        return queue_series(self.minutes, span_of(_HOUR_S, 60, 0))


class ProblemVerbs(GroupVerbs, FigureVerbs, SeriesVerbs, ScheduleVerbs, OperationVerbs):
    """The verb that asks all the others."""

    @on_app_loop
    async def problems(
        self, *, queue: str | Collection[str] | None = None, limits: ProblemLimits | None = None
    ) -> list[Finding]:
        """Tell what is wrong now, the worst first.

        It looks at what is paused, set aside or not served, at deaths and new errors, at queues that grow, at jobs that
        run for long, at workers, schedules, and at the server.

        Args:
            queue: Only what is about this queue, or about these queues; by default all queues, and the server.
            limits: From which numbers on something is wrong.

        Returns:
            The findings; none if all is well.

        Raises:
            ArgumentsError: ``limits`` is no ``ProblemLimits``, or ``queue`` can't be the name of a queue.

        Example:
            ```python
            for problem in await app.problems():
                print(problem.level, problem)
            ```
        """
        if limits is not None and not isinstance(limits, ProblemLimits):
            raise ArgumentsError(f"limits={shown(limits)}: expected a ProblemLimits")
        return (await self._situation(queue, ProblemLimits() if limits is None else limits)).problems

    async def _situation(self, queue: str | Collection[str] | None, limits: ProblemLimits) -> Situation:
        now = datetime.now(UTC)
        names = None if queue is None else set(await self._queues(queue))
        # At once, so that they share round trips.
        (queues, workers), schedules, server = await asyncio.gather(
            self._readings_of(names), self.schedules(), _nothing() if names is not None else self.server()
        )
        found = stats(
            [one.figures for one in queues], [one for one in workers if names is None or names.intersection(one.queues)]
        )
        loads = {one.figures.name: queue_load(one, workers, TARGET_S) for one in queues}
        surges = [name for name, load in loads.items() if load.died_last_hour >= limits.deaths]
        closed = [one.queue_name for one in found.queues if one.closed_lines]
        groups, usual, runs, gates = await asyncio.gather(
            self._groups(found),
            asyncio.gather(*map(self._usual_deaths, surges)),
            self._runs(found, limits, now),
            asyncio.gather(*map(self.gates, closed)),
        )
        told = findings(
            Facts(
                now=now,
                limits=limits,
                queues=found.queues,
                workers=found.workers,
                loads=loads,
                gates=dict(zip(closed, gates, strict=True)),
                groups=groups,
                usual_deaths=dict(zip(surges, usual, strict=True)),
                recovered={one.figures.name: _recovered(one.series) for one in queues if one.figures.recovered},
                names={one.name: one for one in runs},
                schedules=[_schedule(one) for one in schedules if names is None or one.queue in names],
                server=server,
                unknown_job_grace_s=self._connection.settings.unknown_job_grace,
                max_dead=self._connection.settings.max_dead,
            )
        )
        # A worker of these queues may run jobs of others.
        problems = [one for one in told if names is None or not one.queue or one.queue in names]
        return Situation(found, loads, {one.figures.name: one.series for one in queues}, problems)

    async def _readings_of(self, names: Collection[str] | None) -> tuple[list[QueueReading], list[WorkerInfo]]:
        """Return what is known of those of the queues that are in use; ``None`` for all."""
        return await self._readings(
            None if names is None else [one for one in await self._broker.queues() if one in names]
        )

    async def _groups(self, found: Stats) -> list[DeadGroup]:
        with_dead = [one.queue_name for one in found.queues if one.failed]
        return await self.failed_groups(queue=with_dead) if with_dead else []

    async def _usual_deaths(self, queue: str) -> float:
        """Return how many jobs of a queue died in the same hour of the days before, on average."""
        days = await asyncio.gather(
            *(self.queue_series(queue, _HOUR_S, step=_HOUR_S, before=day * _DAY_S) for day in range(1, _DAYS + 1))
        )
        return sum(sum(one.failed) for one in days) / _DAYS

    async def _runs(self, found: Stats, limits: ProblemLimits, now: datetime) -> list[NameStats]:
        """Return how long jobs take of the names of which one runs for long."""
        long = {
            job.queue
            for worker in found.workers
            for job in worker.jobs
            if (now - job.started_at).total_seconds() >= limits.run_s
        }
        return await self.names(sorted(long)) if long else []


@on_app_loop
async def situation_of(app: ProblemVerbs, queue: str | Collection[str] | None) -> Situation:
    """Return what is wrong as ``app.problems`` does, and with it the figures that were read for that."""
    return await app._situation(queue, ProblemLimits())


async def _nothing() -> None:
    return None


def _recovered(series: Series) -> int:
    """Return how many jobs of a queue were taken back from dead workers in the last hour."""
    since_ms = series.now_ms - _HOUR_S * 1_000
    return sum(one.recovered for one in series.periods if one.at_ms > since_ms)


def _schedule(one: ScheduleInfo) -> ScheduleFacts:
    last = one.last_run if one.last_run is not None and one.last_run.state is JobState.FAILED else None
    return ScheduleFacts(
        id=one.id,
        queue=one.queue,
        next_at=None if one.paused else one.next_at,
        failed_at=None if last is None else last.finished_at,
        error="" if last is None else last.error,
        problem=one.problem,
    )
