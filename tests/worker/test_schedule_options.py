"""Schedules that must not overlap themselves, that fire at the start, and that each worker runs by itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    DefinitionError,
    Inject,
    JobHandle,
    JobRequest,
    Middleware,
    Retry,
    Worker,
    current_job,
    resource,
)
from asyncjobs.middleware import Send
from tests.servers import Server
from tests.waiting import SOON, Notes, until
from tests.worker import cpu_jobs

pytestmark = pytest.mark.anyio


class Passing(Middleware):
    """Notes which of the jobs that pass it are new."""

    def __init__(self) -> None:
        self.new: list[bool] = []

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        handles = await send(requests)
        self.new += [one.is_new for one in handles]
        return handles


@pytest.fixture(params=["plain", "in middleware"])
def layers(request: pytest.FixtureRequest) -> list[Passing]:
    return [Passing()] if request.param == "in middleware" else []


async def test_a_tick_is_skipped_while_the_job_of_the_tick_before_runs(
    make_app: Callable[..., App], layers: list[Passing]
) -> None:
    app = make_app(middleware=layers, scheduler_interval=0.2)
    released = asyncio.Event()
    ran: Notes[datetime | None] = Notes()

    @app.job(every=1, overlap=False)
    async def work() -> None:
        ran.append(current_job().tick)
        await released.wait()

    async with app, app.worker():
        await ran.reach(1)
        async with asyncio.timeout(SOON):
            while (info := await app.find_schedule("work")).skipped < 2:
                await asyncio.sleep(0.05)
        assert len(ran) == 1
        assert not info.overlap
        assert info.last_skipped_at is not None
        assert info.last_at == ran[0]
        assert info.last_skipped_at - ran[0] >= timedelta(seconds=2)
        released.set()
        await ran.reach(2)
    for layer in layers:
        assert layer.new[0]
        assert layer.new.count(False) >= 2


async def test_a_schedule_of_the_run_time_can_be_one_that_does_not_overlap(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        info = await app.add_schedule("one", work.request(), every=60, overlap=False)
        assert not info.overlap
        assert (info.skipped, info.last_skipped_at) == (0, None)
        assert (await app.add_schedule("two", work.request(), every=60)).overlap
        with pytest.raises(ArgumentsError, match="missed='all' with overlap=False"):
            await app.add_schedule("three", work.request(), every=60, overlap=False, missed="all")


async def test_a_schedule_fires_at_the_start_of_a_worker_unless_its_job_is_live(
    make_app: Callable[..., App], layers: list[Passing]
) -> None:
    app, released = make_app(middleware=layers), asyncio.Event()
    ran: Notes[Any] = Notes()

    @app.job(cron="0 0 1 1 *", at_start=True)
    async def work() -> None:
        ran.append(current_job().schedule)
        await released.wait()

    async with app:
        async with app.worker():
            await ran.reach(1)
            before = await app.find_schedule("work")
            async with app.worker():
                # Its start is over: had it sent a job, that would be here.
                assert await app.jobs("ready") == []
            assert before.last_run is not None
            assert before.skipped == 0
            released.set()
        async with app.worker():
            await ran.reach(2)
        info = await app.find_schedule("work")
        assert info.next_at == before.next_at
    assert ran == ["work", "work"]


async def test_a_worker_starts_on_a_server_that_is_full_and_drains_it(
    redis_server: Server, redis_url: str, layers: list[Passing], caplog: pytest.LogCaptureFixture
) -> None:
    app = App(redis_url, middleware=layers)

    ran: Notes[str] = Notes()

    @app.job(every=3600, at_start=True)
    async def work() -> None:
        ran.append("run")

    with redis_server.client() as client:
        async with app:
            async with app.worker():
                await ran.reach(1)
            waiting = await work.delay()
            client.config_set("maxmemory", 1)
            try:
                async with app.worker():
                    await waiting.result(SOON)
            finally:
                client.config_set("maxmemory", 0)
    assert "the jobs of the start could not be sent: " in caplog.text


async def test_each_worker_runs_the_job_by_itself_at_its_start_and_at_each_tick(app: App) -> None:
    @resource(scope="worker")
    async def cache() -> AsyncIterator[list[str]]:
        yield []

    seen: Notes[tuple[str, datetime]] = Notes()

    @app.job(every=1, every_worker=True, at_start=True)
    async def refresh(own: list[str] = Inject(cache)) -> None:
        job = current_job()
        job.progress(1, 1)
        assert (job.schedule, job.due_at, job.attempt) == ("refresh", job.tick, 1)
        own.append(job.worker)
        assert set(own) == {job.worker}
        assert job.tick is not None
        seen.append((job.worker, job.tick))

    async with app, app.worker(queues=["others"]) as one, app.worker() as two:
        await seen.until(
            lambda: all(sum(worker == each.id for worker, _ in seen) >= 3 for each in (one, two)), "three runs of each"
        )
        assert len(set(seen)) == len(seen)
        assert await app.schedules() == []
        assert await app.jobs("ready") == await app.jobs("scheduled") == await app.jobs("running") == []
    assert {worker for worker, _ in seen} == {one.id, two.id}
    # The ticks are those of all workers.
    ticks = [tick for worker, tick in seen if worker == one.id][1:]
    assert all(tick.microsecond == 0 for tick in ticks)


async def test_a_run_in_every_worker_that_fails_is_logged_and_the_next_tick_runs(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    ran: Notes[str] = Notes()

    @app.job(every=1, every_worker=True, timeout=0.2)
    async def flaky() -> None:
        ran.append("run")
        if len(ran) == 1:
            raise ValueError("by design")
        if len(ran) == 2:
            raise Retry
        if len(ran) == 3:
            await asyncio.sleep(60)

    with caplog.at_level(logging.INFO, "asyncjobs.worker"):
        async with app, app.worker():
            await ran.reach(4)
    told = [one.getMessage() for one in caplog.records if "in this worker" in one.getMessage()]
    assert told[0] == "flaky failed in this worker: ValueError: by design"
    assert told[2].startswith("flaky failed in this worker: TimeoutError: the attempt took longer than its timeout")
    assert [one.exc_info[0] for one in caplog.records if one.exc_info][:1] == [ValueError]


@pytest.mark.parametrize("is_async", [True, False])
async def test_runs_of_every_worker_end_with_it(
    make_app: Callable[..., App], is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app, released, started = make_app(shutdown_timeout=0.1), threading.Event(), threading.Event()

    async def waits() -> None:
        started.set()
        await asyncio.sleep(600)

    def blocks() -> None:
        started.set()
        released.wait(600)

    app.job(every=3600, every_worker=True, at_start=True, overlap=False)(waits if is_async else blocks)
    try:
        async with app, asyncio.timeout(SOON), app.worker():
            await until(started.is_set, "the run has begun")
    finally:
        released.set()
    left = "the run of job blocks does not end and is left"
    assert (left in caplog.text) is not is_async


@pytest.mark.parametrize("how", ["second stop", "cancelled"])
async def test_runs_of_every_worker_are_cancelled_at_once_where_the_worker_is_hurried(
    make_app: Callable[..., App], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, started = make_app(shutdown_timeout=60), asyncio.Event()

    @app.job(every=3600, every_worker=True, at_start=True)
    async def waits() -> None:
        started.set()
        await asyncio.sleep(600)

    async def block() -> None:
        async with app.worker() as worker:
            await started.wait()
            if how == "second stop":
                worker.stop()
                worker.stop()
            else:
                await asyncio.sleep(600)

    caplog.set_level(logging.INFO, "asyncjobs.worker")
    async with app, asyncio.timeout(SOON):
        task = asyncio.create_task(block())
        await until(started, "the run has begun")
        if how == "cancelled":
            task.cancel()
        await asyncio.wait([task])
    assert "waits was ended in this worker: released" in caplog.text
    assert "schedules of every worker did not end" not in caplog.text


async def test_runs_of_every_worker_in_a_process_may_finish(make_app: Callable[..., App], tmp_path: Path) -> None:
    app = make_app(shutdown_timeout=60)
    begun, gate, done = (tmp_path / name for name in ("begun", "gate", "done"))

    app.job(every=3600, every_worker=True, at_start=True, executor="process")(cpu_jobs.step_by_step)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STEPS_IN", str(tmp_path))
        async with app, asyncio.timeout(2 * SOON):
            async with app.worker() as worker:
                await until(begun.exists, "the run has begun")
                worker.stop()
                asyncio.get_running_loop().call_later(0.5, gate.touch)
            assert done.exists()


async def test_a_run_that_has_not_ended_is_not_begun_again_without_overlap(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    released = asyncio.Event()
    ran: Notes[str] = Notes()

    @app.job(every=1, every_worker=True, overlap=False)
    async def slow() -> None:
        ran.append("run")
        await released.wait()

    with caplog.at_level(logging.INFO, "asyncjobs.worker"):
        async with app, app.worker():
            await ran.reach(1)
            await until(lambda: "a tick of slow is skipped: the run before has not ended" in caplog.text, "a skip")
            assert len(ran) == 1
            released.set()
            await ran.reach(2)


async def test_the_running_job_knows_when_it_was_due_and_which_worker_runs_it(app: App) -> None:
    seen: Notes[tuple[str, Any, str]] = Notes()

    @app.job
    def work(how: str) -> None:
        job = current_job()
        seen.append((how, job.due_at, job.worker))

    async with app:
        await work.delay("now")
        when = datetime.now(UTC) + timedelta(seconds=2)
        await work.schedule_at(when, "later")
        async with app.worker() as worker:
            await until(lambda: len(seen) == 2, "both have run")
    due = {how: at for how, at, _ in seen}
    assert due["now"] is None
    assert abs(due["later"] - when) < timedelta(milliseconds=1)
    assert {one for _, _, one in seen} == {worker.id}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"overlap": False}, r"overlap=False: the job has no schedule; give it cron= or every="),
        ({"every_worker": True}, r"every_worker=True: the job has no schedule"),
        ({"at_start": True}, r"at_start=True: the job has no schedule"),
        ({"every": 60, "overlap": "no"}, r"overlap='no': expected True or False"),
        ({"every": 60, "every_worker": 1}, r"every_worker=1: expected True or False"),
        ({"every": 60, "overlap": False, "missed": "all"}, r"missed='all' with overlap=False"),
        ({"every": 60, "every_worker": True, "missed": "skip"}, r"missed='skip' with every_worker=True"),
    ],
)
def test_options_that_say_nothing_are_refused(options: Any, problem: str) -> None:
    async def work() -> None: ...

    with pytest.raises(ArgumentsError, match=problem):
        App("memory://").job(**options)(work)


async def test_a_job_of_every_worker_needs_no_arguments(app: App) -> None:
    @app.job(every=60, every_worker=True)
    async def work(number: int) -> None: ...

    async with app:
        with pytest.raises(DefinitionError, match="number"):
            await Worker(app).run_once(signals=False)
