"""What running jobs tell, and how one follows it; jobs that wait, edited and held back."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    BrokerUnavailable,
    JobCancelled,
    JobEvent,
    JobState,
    Progress,
    RetryPolicy,
    UnknownJob,
    Worker,
    current_job,
)
from asyncjobs.ports import Emission
from tests.apps import broker_of
from tests.faults.proxy import Proxy
from tests.servers import Server
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


async def _all(app: App, job_id: str, after: int = 0) -> list[JobEvent]:
    async with asyncio.timeout(SOON):
        return [event async for event in app.handle(job_id).events(after)]


async def test_progress_data_and_log_lines_are_followed_to_the_end(app: App) -> None:
    go = asyncio.Event()

    @app.job
    async def work() -> str:
        job = current_job()
        job.progress(1, 3, "first")
        await go.wait()
        job.emit({"rows": [1, 2]})
        job.log.info("half of %d", 3)
        job.log.debug("not told")
        return "done"

    async with app, app.worker():
        handle = await work.delay()
        events: list[JobEvent] = []
        async with asyncio.timeout(SOON):
            async for event in handle.events():
                events.append(event)
                go.set()
        assert await handle.result(SOON) == "done"
        assert [event.number for event in events] == [1, 2, 3]
        assert [event.kind for event in events] == ["progress", "data", "log"]
        assert events[0].progress == Progress(1, 3, "first")
        assert events[1].data == {"rows": [1, 2]}
        assert events[2].data == {"level": "info", "message": "half of 3"}
        assert abs(events[0].at - datetime.now(UTC)) < timedelta(seconds=10)
        assert [event.number for event in await _all(app, handle.id, after=2)] == [3]
        with pytest.raises(UnknownJob):
            await _all(app, "nobody")


@pytest.mark.parametrize("handler", ["async", "thread"])
async def test_a_log_record_names_the_line_of_its_caller_and_keeps_what_is_given_with_it(
    app: App, caplog: pytest.LogCaptureFixture, handler: str
) -> None:
    def say() -> None:
        log = current_job().log
        first = inspect.currentframe()
        assert first is not None
        lines.append(first.f_lineno)
        log.warning("one", extra={"order": 7, "job_id": "of somebody else"})
        log.log(logging.WARNING, "two", extra=None)
        log.warning("three", stacklevel=2)
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("four", extra={"order": 8})

    lines: list[int] = []

    async def on_the_loop() -> None:
        say()

    def in_a_thread() -> None:
        say()

    work: Any = app.job({"async": on_the_loop, "thread": in_a_thread}[handler])
    async with app, app.worker():
        handle = await work.delay()
        await handle.result(SOON)
    records = [record for record in caplog.records if record.name == "asyncjobs.job"]
    assert [record.filename for record in records] == ["test_events.py"] * 4
    assert [record.funcName for record in records] == ["say", "say", work.__name__, "say"]
    assert [record.lineno for record in records[:2]] == [lines[0] + 1, lines[0] + 2]
    assert [vars(record).get("order") for record in records] == [7, None, None, 8]
    assert [vars(record)["job_id"] for record in records] == [handle.id] * 4
    assert records[3].exc_info is not None


async def test_a_log_line_is_told_as_logging_would_write_it_and_never_fails_the_job(app: App) -> None:
    @app.job
    async def work() -> None:
        log = current_job().log
        log.info("%(rows)d rows", {"rows": 3})
        log.info("%d rows", "many")
        log.info("file \udcff")
        log.info("100 %")

    async with app, app.worker():
        handle = await work.delay()
        await handle.result(SOON)
        messages = [event.data["message"] for event in await _all(app, handle.id)]
    assert messages == ["3 rows", "%d rows ('many',)", "file \\udcff", "100 %"]


async def test_a_handler_in_a_thread_tells_too_and_each_event_carries_its_attempt(app: App) -> None:
    @app.job(retry=RetryPolicy(initial=0.01))
    def work() -> None:
        current_job().progress(current_job().attempt)
        if current_job().attempt < 3:
            raise ValueError("no")

    async with app, app.worker():
        handle = await work.delay()
        await handle.result(SOON)
        events = await _all(app, handle.id)
    assert [(event.number, event.attempt, event.data[0]) for event in events] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


async def test_all_events_are_there_once_the_result_is(app: App) -> None:
    @app.job
    async def work() -> None:
        for number in range(50):
            current_job().emit(number)

    async with app, app.worker():
        handles = await app.enqueue_many([work.request() for _ in range(20)])
        for handle in handles:
            await handle.result(SOON)
            assert [event.data for event in await _all(app, handle.id)] == list(range(50))


async def test_who_reads_too_late_is_told_how_many_events_are_lost(make_app: Callable[..., App]) -> None:
    app = make_app(max_events=10)

    @app.job
    async def work() -> None:
        for number in range(1, 101):
            current_job().emit(number)
            if number == 5:
                await asyncio.sleep(0.2)

    async with app, app.worker():
        handle = await work.delay()
        await handle.result(SOON)
        events = await _all(app, handle.id)
    assert [event.data for event in events] == list(range(91, 101))
    assert [event.dropped for event in events] == [90] + [0] * 9


async def test_what_can_not_be_told_is_an_error_where_it_is_told(app: App) -> None:
    problems = []

    @app.job
    async def work() -> None:
        for data in (object(), "x" * 70_000):
            with pytest.raises(ArgumentsError) as caught:
                current_job().emit(data)
            problems.append(str(caught.value))

    async with app, app.worker():
        await (await work.delay()).result(SOON)
    assert "type object can't be encoded" in problems[0]
    assert "at most 65536 fit" in problems[1]


async def test_events_are_told_once_though_replies_to_the_worker_are_lost(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.job
    async def work() -> None:
        for number in range(1, 31):
            current_job().emit(number)
            await asyncio.sleep(0.005)

    async with app:
        emit, calls = broker_of(app).emit, itertools.count(1)

        async def lose_replies(emissions: Sequence[Emission], most: int, ttl_ms: int) -> list[bool]:
            replies = await emit(emissions, most, ttl_ms)
            if next(calls) in (1, 2, 4):
                raise BrokerUnavailable("the reply was lost")
            return replies

        monkeypatch.setattr(broker_of(app), "emit", lose_replies)
        async with app.worker():
            handle = await work.delay()
            await handle.result(SOON)
        assert next(calls) > 5
        assert [(event.number, event.data) for event in await _all(app, handle.id)] == [(n, n) for n in range(1, 31)]


async def test_a_reader_cut_off_ten_times_sees_each_of_a_thousand_events_once_in_order(
    redis_server: Server, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(redis_url, lease=2)

    @app.job
    async def work() -> None:
        for number in range(1, 1_001):
            current_job().emit(number)
            await asyncio.sleep(0.001)

    caplog.set_level(logging.CRITICAL)
    cuts = 0
    async with Proxy(redis_server.port) as proxy, app, app.worker():
        reader = App(f"redis://127.0.0.1:{proxy.port}/0", lease=2)
        async with reader:
            handle = await work.delay()
            seen = []
            async with asyncio.timeout(60):
                async for event in reader.handle(handle.id).events():
                    seen.append((event.number, event.data, event.dropped))
                    if len(seen) % 90 == 0 and cuts < 10:
                        cuts += 1
                        proxy.cut()
    assert cuts == 10
    assert seen == [(number, number, 0) for number in range(1, 1_001)]


async def test_a_waiting_job_is_edited(app: App) -> None:
    order = []

    @app.job
    async def work(name: str) -> None:
        order.append(name)

    async with app:
        handles = {name: await work.delay(name) for name in ("first", "second", "third")}
        later = await work.schedule_in(3600, "later")
        assert await app.edit_job(handles["third"].id, priority="critical") == "edited"
        assert await app.edit_job(handles["first"].id, delay=3600) == "edited"
        assert await app.edit_job(later.id, at=datetime.now(UTC) - timedelta(hours=1)) == "edited"
        with pytest.raises(UnknownJob, match="there is no record of job 'nobody' in any queue"):
            await app.edit_job("nobody", priority="low")
        await Worker(app, concurrency=1).run_until_empty()
        assert order == ["third", "second", "later"]
        assert await app.edit_job(later.id, priority="low") == "ended"
        with pytest.raises(ArgumentsError, match="naive datetime"):
            await app.edit_job(later.id, at=datetime(2026, 1, 1))  # noqa: DTZ001
        with pytest.raises(ArgumentsError, match="not both"):
            await app.edit_job(later.id, at=datetime.now(UTC), delay=1)


async def test_a_job_moves_to_another_queue_with_its_id_and_its_time(make_app: Callable[..., App]) -> None:
    app = make_app(queues=["default", "slow"])
    ran = []

    @app.job
    async def work(name: str) -> str:
        ran.append((name, current_job().queue))
        return name

    async with app:
        handle = await work.delay("now")
        later = await work.schedule_in(3600, "later")
        assert await app.edit_job(handle.id, to_queue="slow", priority="high") == "edited"
        assert await app.edit_job(later.id, to_queue="slow") == "edited"
        await Worker(app).run_until_empty()
        assert ran == [("now", "slow")]
        assert await app.handle(handle.id, queue="slow").result(SOON) == "now"
        with pytest.raises(JobCancelled, match="moved to queue 'slow'"):
            await handle.result(SOON)
        moved = await app.handle(later.id, queue="slow").refresh()
        assert moved.due_at_ms is not None
        assert moved.due_at_ms - moved.created_at_ms > 3_500_000


async def test_a_job_moved_there_and_back_runs_once(make_app: Callable[..., App]) -> None:
    app = make_app(queues=["default", "slow"])
    ran = []

    @app.job
    async def work() -> None:
        ran.append(current_job().queue)

    async with app:
        handle = await work.delay()
        for queue, to_queue in (("default", "slow"), ("slow", "default")) * 2:
            assert await app.edit_job(handle.id, queue=queue, to_queue=to_queue) == "edited"
        await Worker(app).run_until_empty()
        assert ran == ["default"]
        assert await handle.status() is JobState.COMPLETED


async def test_a_suspended_job_waits_while_others_run(app: App) -> None:
    ran = []

    @app.job
    async def good() -> None:
        ran.append("good")

    @app.job
    async def bad() -> None:
        ran.append("bad")

    async with app:
        await bad.delay()
        await app.suspend_name("bad")
        handles = [await good.delay(), await bad.delay()]
        await Worker(app).run_until_empty()
        assert ran == ["good"]
        assert await app.suspended_names() == {"default": ["bad"]}
        assert [job.name for job in await app.jobs("parked")] == ["bad", "bad"]
        assert await handles[1].status() is JobState.PENDING
        await app.resume_name("bad")
        await Worker(app).run_until_empty()
        assert ran == ["good", "bad", "bad"]


async def test_a_job_is_suspended_before_the_first_of_it_is_sent(app: App) -> None:
    ran = []

    @app.job(queue="fresh")
    async def work() -> None:
        ran.append(1)

    async with app:
        await app.suspend_name("work")
        assert (await app.suspended_names())["fresh"] == ["work"]
        await work.delay()
        await Worker(app).run_until_empty()
        assert ran == []
        await app.resume_name("work")
        await Worker(app).run_until_empty()
        assert ran == [1]


async def test_jobs_are_listed_by_where_they_are(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    async with app:
        await app.enqueue_many([work.request(number) for number in range(700)])
        await work.schedule_in(60, 1)
        assert [job.arguments for job in await app.jobs("ready", limit=650)] == [[number] for number in range(650)]
        assert len(await app.jobs("scheduled")) == 1
        assert await app.jobs("running") == await app.jobs("failed") == []
        with pytest.raises(ArgumentsError, match="expected ready"):
            await app.jobs("gone")  # type: ignore[arg-type]
