"""Schedules as users meet them: in the code, at run time, and over many workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from asyncjobs import App, ArgumentsError, DefinitionError, JobState, UnknownSchedule, Worker, current_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.schedule import Schedule, Timing
from asyncjobs.core.stored import read_live
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of
from asyncjobs.ports import ScheduleList
from tests.apps import broker_of, prepared
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


async def test_a_job_with_an_interval_runs_at_each_tick_and_knows_which(app: App) -> None:
    ran: Notes[tuple[datetime | None, str | None, float]] = Notes()

    @app.job(every=1)
    async def work(size: int = 3) -> None:
        job = current_job()
        assert job.tick is not None
        ran.append((job.tick, job.schedule, (datetime.now(UTC) - job.tick).total_seconds()))

    async with app, app.worker():
        await ran.reach(3)
    ticks = [tick for tick, _, _ in ran if tick is not None]
    assert all(after - before == timedelta(seconds=1) for before, after in itertools.pairwise(ticks))
    assert {schedule for _, schedule, _ in ran} == {"work"}
    late = sorted(late for _, _, late in ran)
    # A busy machine may be late once.
    assert -0.01 <= late[0] <= late[1] < 0.5


async def test_many_workers_fire_each_tick_once(make_app: Callable[..., App]) -> None:
    apps = [make_app() for _ in range(5)]
    ran: Notes[datetime | None] = Notes()

    async def work() -> None:
        ran.append(current_job().tick)

    for app in apps:
        app.job(cron="* * * * * *", name="work")(work)
    async with contextlib.AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app)
            for _ in range(2):
                await stack.enter_async_context(app.worker())
        await ran.until(lambda: len(set(ran)) >= 3, "three ticks")
    assert set(Counter(ran).values()) == {1}


async def test_a_schedule_added_at_run_time_sends_its_arguments_and_options(app: App) -> None:
    seen: Notes[tuple[Any, ...]] = Notes()

    @app.job(queue="reports")
    async def report(customer: str, pages: int) -> None:
        seen.append((customer, pages, current_job().tenant, current_job().metadata, current_job().priority))

    async with app:
        request = report.request("acme", pages=2).with_options(tenant="t1", metadata={"by": "me"}, priority="high")
        with pytest.raises(ArgumentsError, match="without white space"):
            await app.add_schedule("acme report", request, every=1)
        info = await app.add_schedule("acme-report", request, every=timedelta(seconds=1))
        assert (info.queue, info.name, info.every, info.arguments, info.tenant) == (
            "reports",
            "report",
            1.0,
            ["acme", 2],
            "t1",
        )
        async with app.worker():
            await seen.reach(2)
        assert set(map(str, seen)) == {str(("acme", 2, "t1", {"by": "me"}, "high"))}
        [listed] = await app.schedules()
        assert listed.last_at is not None
        assert listed.next_at is not None
        assert listed.next_at > listed.last_at


async def test_a_job_of_a_schedule_expires_so_long_after_its_tick(app: App) -> None:
    seen: Notes[tuple[str | None, int]] = Notes()

    @app.job(every=1, expires=5)
    async def work() -> None:
        job = current_job()
        assert job.tick is not None
        seen.append((job.schedule, job.record.envelope.expires_at_ms - round(job.tick.timestamp() * 1000)))

    async with app:
        await app.add_schedule("added", work.request().with_options(expires=7), every=1)
        async with app.worker():
            await seen.reach(4)
    assert set(seen) == {("work", 5_000), ("added", 7_000)}


@pytest.mark.parametrize("missed", ["once", "skip"])
async def test_a_schedule_added_while_workers_run_misses_none_of_its_first_ticks(
    make_app: Callable[..., App], missed: Literal["once", "skip"]
) -> None:
    app = make_app(scheduler_interval=3)
    ticks: Notes[datetime | None] = Notes()

    @app.job
    async def work() -> None:
        ticks.append(current_job().tick)

    async with app, app.worker():
        # Right after the worker has looked, so that it looks again in three seconds.
        await _until_looked(app)
        first = (await app.add_schedule("new", work.request(), every=1, missed=missed)).next_at
        assert first is not None
        await ticks.reach(5)
    assert ticks[:5] == [first + timedelta(seconds=n) for n in range(5)]


async def _until_looked(app: App) -> None:
    looked, schedules = asyncio.Event(), broker_of(app).schedules

    async def look(queue: str) -> ScheduleList:
        looked.set()
        return await schedules(queue)

    broker_of(app).schedules = look  # type: ignore[method-assign]
    try:
        await until(looked, "the worker has looked for schedules")
    finally:
        broker_of(app).schedules = schedules  # type: ignore[method-assign]


async def test_a_schedule_is_paused_resumed_triggered_and_removed(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        await app.add_schedule("nightly", work.request(), cron="0 3 * * *", timezone="Europe/Berlin")
        assert (await app.find_schedule("nightly")).upcoming(2)[0].hour == 3
        await app.pause_schedule("nightly")
        paused = await app.find_schedule("nightly")
        assert (paused.paused, paused.next_at) == (True, None)
        handle = await app.trigger_schedule("nightly")
        await Worker(app).run_until_empty()
        assert await handle.status() is JobState.COMPLETED
        await app.resume_schedule("nightly")
        next_at = (await app.find_schedule("nightly")).next_at
        assert next_at is not None
        assert next_at > datetime.now(UTC)
        await app.remove_schedule("nightly")
        assert await app.schedules() == []
        with pytest.raises(UnknownSchedule, match="there is no schedule 'nightly'"):
            await app.pause_schedule("nightly")


async def test_schedules_of_the_code_come_change_and_go_with_it(make_app: Callable[..., App]) -> None:
    async def work() -> None: ...

    async def start(**options: str) -> list[str | None]:
        app = make_app()
        app.job(name="work", **options)(work)  # type: ignore[call-overload]
        async with app:
            async with app.worker():
                pass
            return [info.cron for info in await app.schedules()]

    assert await start(cron="0 3 * * *") == ["0 3 * * *"]
    assert await start(cron="0 4 * * *") == ["0 4 * * *"]
    assert await start() == []


async def test_the_job_of_a_tick_expires_so_long_after_its_tick(app: App) -> None:
    ran: Notes[str] = Notes()

    @app.job(expires=60)
    async def work() -> None:
        ran.append(current_job().id)

    async with app:
        await app.add_schedule("soon", work.request(), every=1)
        async with app.worker():
            await ran.reach(1)
            await app.handle(ran[0]).result(SOON)
        assert (await app.find_schedule("soon")).last_at is not None
        handle = await app.trigger_schedule("soon")
        triggered = await handle.refresh()
        [entry, *_] = await app.job_history("work")
        fired = await app.find_job(entry.id)
    assert entry.state == "completed"
    for job in (triggered, fired):
        assert job is not None
        assert job.envelope.expires_at_ms - job.created_at_ms == 60_000


async def test_a_schedule_of_the_code_is_the_same_at_each_start(app: App) -> None:
    @app.job(cron="@daily", expires=60)
    async def work() -> None: ...

    async with app:
        stored = []
        for _ in range(2):
            async with app.worker():
                stored += (await broker_of(app).schedules("default")).schedules
            await asyncio.sleep(0.002)
    # What has changed is counted from now, so that its missed ticks would be lost.
    assert stored[0].data == stored[1].data


async def test_ticks_missed_during_a_deploy_fire_though_the_job_has_changed(make_app: Callable[..., App]) -> None:
    ran: Notes[tuple[datetime | None, int]] = Notes()

    def deploy(size: int, **timing: object) -> App:
        app = make_app()

        @app.job(name="work", **timing)  # type: ignore[call-overload]
        async def work(number: int = size) -> None:
            ran.append((current_job().tick, number))

        return app

    old = deploy(1, every=3600)
    async with old:
        async with old.worker():
            pass
        # As after a night without a worker.
        now_ms = (await broker_of(old).schedules("default")).now_ms
        missed_ms = now_ms - now_ms % 3_600_000 - 5 * 3_600_000
        await broker_of(old).move_schedule("default", "work", None)
        await broker_of(old).move_schedule("default", "work", missed_ms)
    new = deploy(2, every=3600)
    async with new, new.worker():
        await ran.reach(1)
        assert ran == [(datetime.fromtimestamp((missed_ms + 5 * 3_600_000) / 1000, UTC), 2)]
    newer = deploy(3, every=1800)
    async with newer:
        await broker_of(newer).move_schedule("default", "work", None)
        await broker_of(newer).move_schedule("default", "work", missed_ms)
        async with newer.worker():
            next_at = (await newer.find_schedule("work")).next_at
        assert next_at is not None
        assert next_at > datetime.now(UTC)


async def test_a_schedule_that_can_not_fire_leaves_the_others_alone(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(scheduler_interval=0.5)
    ran: Notes[str | None] = Notes()

    @app.job(every=1)
    async def work() -> None:
        ran.append(current_job().schedule)

    async with app:
        now_ms = (await broker_of(app).schedules("default")).now_ms
        nowhere = Timing(cron="* * * * * *", timezone="Mars/Olympus")
        for broken in (
            Schedule(id="nowhere", name="work", timing=nowhere, body=b""),
            Schedule(id="no-job", name="work", timing=Timing(every_ms=1_000), body=b"no record"),
        ):
            await broker_of(app).put_schedule("default", broken.id, encode_schedule(broken), now_ms)
        await broker_of(app).put_schedule("default", "nothing", b"no schedule", now_ms)
        async with app.worker():
            await ran.reach(3)
    told = [record.message for record in caplog.records if "left alone" in record.message]
    assert sorted(message.split(" and ")[0] for message in told) == [
        "a schedule can't be read",
        "the schedule no-job can't fire here",
        "the schedule nowhere can't fire here",
    ]


async def test_a_schedule_whose_job_nobody_knows_does_not_fire(make_app: Callable[..., App]) -> None:
    app, other = make_app(), make_app()

    @app.job
    async def work() -> None: ...

    @other.job
    async def something_else() -> None: ...

    async with app, other:
        await app.add_schedule("soon", work.request(), every=1)
        async with other.worker():
            await asyncio.sleep(1.5)
        assert (await app.queue_stats("default")).size == 0
        assert (await app.find_schedule("soon")).last_at is None


async def test_a_scheduled_job_without_defaults_is_an_error_at_start(app: App) -> None:
    @app.job(cron="@daily")
    async def work(number: int) -> None: ...

    async with app:
        with pytest.raises(DefinitionError, match="all its parameters need defaults"):
            await Worker(app).run_until_empty()


def test_a_wrong_schedule_is_refused_where_it_is_written(app: App) -> None:
    async def work() -> None: ...

    with pytest.raises(ArgumentsError, match="Bad hour"):
        app.job(cron="0 25 * * *")(work)
    with pytest.raises(ArgumentsError, match="at least 1 s"):
        app.job(every=0.1)(work)
    with pytest.raises(ArgumentsError, match="either cron"):
        app.job(every=1, cron="@daily")(work)


async def test_the_job_of_a_tick_has_all_that_its_schedule_was_given(app: App) -> None:
    @app.job(expires=60)
    async def work(number: int, *, text: str) -> None: ...

    options: dict[str, Any] = {"max_retries": 1, "timeout": 5, "result_ttl": 0, "metadata": {"a": 1}}
    tick = 1_700_000_000_000
    async with app:
        request = work.with_options(tenant="acme", priority="low", acks="early", **options).request(1, text="a")
        await app.add_schedule("full", request, every=60)
        [stored] = (await broker_of(app).schedules("default")).schedules
        new = prepared(app, request_of(decode_schedule(stored.data), "default", tick), sent_at_ms=tick)
    job = read_live(new, new.body)
    assert (job.id, job.name, job.priority, job.tenant, job.acks_early) == (
        f"@acme:full@{tick}",
        "work",
        Priority.LOW,
        "acme",
        True,
    )
    envelope = job.envelope
    assert (job.arguments, envelope.keywords, job.metadata, job.created_at_ms) == ([1, "a"], ("text",), {"a": 1}, tick)
    assert (envelope.max_retries, envelope.timeout_ms, envelope.result_ttl_ms) == (1, 5_000, 0)
    assert envelope.expires_at_ms == tick + 60_000
    assert envelope.headers == {"schedule": "@acme:full", "tick": str(tick)}
