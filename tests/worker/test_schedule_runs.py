"""What became of the last job of a schedule: did it work, how late did it begin, how long did it run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncjobs import App, Discard, JobState, ScheduleRun
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


async def run_where(app: App, enough: Callable[[ScheduleRun], object]) -> ScheduleRun:
    """Return the last run of the only schedule of ``app`` once ``enough`` is true of it."""
    async with asyncio.timeout(SOON):
        while True:
            [schedule] = await app.schedules()
            if schedule.last_run is not None and enough(schedule.last_run):
                return schedule.last_run
            await asyncio.sleep(0.02)


async def test_a_schedule_tells_that_its_last_job_worked(app: App) -> None:
    @app.job(every=1)
    async def tidy() -> None:
        await asyncio.sleep(0.05)

    async with app, app.worker():
        run = await run_where(app, lambda run: run.state is JobState.COMPLETED)
        assert run.late_ms is not None
        assert 0 <= run.late_ms < 5_000
        assert run.duration_ms is not None
        assert run.duration_ms >= 40
        assert run.finished_at is not None
        assert run.error == ""


async def test_a_schedule_tells_why_its_last_job_died(app: App) -> None:
    @app.job(every=1)
    async def tidy() -> None:
        raise Discard("the disk is full")

    async with app, app.worker():
        run = await run_where(app, lambda run: run.state is JobState.FAILED)
        assert "the disk is full" in run.error


async def test_the_end_of_a_job_without_a_record_is_in_the_history_of_its_name(app: App) -> None:
    @app.job(every=1)
    async def tidy() -> None: ...

    async with app:
        async with app.worker():
            await run_where(app, lambda run: run.state is JobState.COMPLETED)
        run = await run_where(app, lambda run: run.state is JobState.COMPLETED)
        assert await app.delete_job(run.job_id)
        [schedule] = await app.schedules()
        assert schedule.last_run is not None
        assert (schedule.last_run.job_id, schedule.last_run.state) == (run.job_id, JobState.COMPLETED)
        assert schedule.last_run.duration_ms is not None
