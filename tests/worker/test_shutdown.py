"""How a worker ends: handlers finish, or their jobs go back, with nothing counted and nothing lost."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from asyncjobs import App, BrokerUnavailable, Inject, JobState, Worker, current_job, resource
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import Claim, ClaimRequest
from asyncjobs.worker import claimer
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.resources.opening import WorkerResources
from asyncjobs.worker.schedules.scheduler import Scheduler
from tests.apps import broker_of
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


async def test_a_worker_that_is_stopped_while_it_starts_is_not_shown_any_more(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = asyncio.Event()

    async def hang(*_: object) -> None:
        hangs.set()
        await asyncio.sleep(60)

    async with app:
        monkeypatch.setattr(broker_of(app), "unpark", hang)
        worker = Worker(app, queues=["default"])
        running = asyncio.create_task(worker.run(signals=False))
        await until(hangs, "the worker has announced itself")
        assert [one.id for one in (await app.stats()).workers] == [worker.id]
        worker.stop()
        await running
        assert (await app.stats()).workers == []


async def test_handlers_finish_after_the_worker_was_told_to_stop(app: App) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @app.job
    async def work() -> str:
        started.set()
        await release.wait()
        return "finished"

    async with app:
        handle = await work.delay()
        async with app.worker() as worker:
            await until(started, "the handler has started")
            worker.stop()
            untouched = await work.delay()
            release.set()
        assert await handle.status() is JobState.COMPLETED
        assert await untouched.status() is JobState.PENDING


async def test_a_handler_that_does_not_finish_in_time_is_cancelled_and_its_job_goes_back_uncounted(
    make_app: Callable[..., App],
) -> None:
    app = make_app(shutdown_timeout=0.05)
    started = asyncio.Event()

    @app.job
    async def hang() -> int:
        if started.is_set():
            return current_job().attempt
        started.set()
        await asyncio.sleep(60)
        return 0

    async with app:
        handle = await hang.delay()
        async with app.worker():
            await until(started, "the handler has started")
        assert await handle.status() is JobState.PENDING
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == 1


async def test_a_second_stop_cancels_at_once(make_app: Callable[..., App]) -> None:
    app = make_app(shutdown_timeout=60)
    started = asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        await asyncio.sleep(60)

    async with app:
        handle = await hang.delay()
        with anyio.fail_after(5):
            async with app.worker() as worker:
                await started.wait()
                worker.stop()
                worker.stop()
        assert await handle.status() is JobState.PENDING


async def test_what_a_handler_sends_during_the_shutdown_still_goes_out(app: App) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @app.job
    async def child() -> None: ...

    @app.job
    async def parent() -> str:
        started.set()
        await release.wait()
        return (await child.delay()).id

    async with app:
        handle = await parent.delay()
        async with app.worker() as worker:
            await until(started, "the handler has started")
            worker.stop()
            release.set()
        sent = await app.find_job(await handle.result(SOON))
    assert sent is not None
    assert sent.state is JobState.PENDING


async def test_jobs_claimed_ahead_go_back_in_their_order(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    # However slow the quick jobs are on a busy machine, one is claimed ahead.
    monkeypatch.setattr(claimer, "_AHEAD_S", 1.0)
    started, gone_back, release = asyncio.Event(), asyncio.Event(), asyncio.Event()
    order: list[int] = []

    @app.job
    async def quick(number: int) -> None:
        order.append(number)

    @app.job
    async def slow() -> None:
        started.set()
        await release.wait()

    async with app:
        settle = broker_of(app).settle

        async def note_releases(settlements: list[Settlement]) -> list[bool]:
            replies = await settle(settlements)
            if started.is_set() and Verdict.RELEASE in [one.verdict for one in settlements]:
                gone_back.set()
            return replies

        monkeypatch.setattr(broker_of(app), "settle", note_releases)
        await app.enqueue_many([quick.request(-1) for _ in range(500)])
        await app.enqueue_many([slow.request()] + [quick.request(n) for n in range(20)])
        async with Worker(app, concurrency=1).running() as worker:
            # The buffer is given back while the slot stays taken, so that others can run the jobs.
            await until(gone_back, "a job that was claimed ahead has gone back")
            await Worker(app).run_until_empty()
            worker.stop()
            release.set()
    assert order[500:] == list(range(20))


async def test_a_sync_handler_that_never_returns_does_not_keep_the_worker_from_ending(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.worker.execution.executor._CANCELLED_S", 0.05)
    app = make_app(shutdown_timeout=0.05)
    started, release = threading.Event(), threading.Event()

    @app.job
    def block() -> None:
        started.set()
        release.wait(30)

    async with app:
        handle = await block.delay()
        with anyio.fail_after(5):
            async with app.worker():
                assert await asyncio.to_thread(started.wait, SOON)
        # Beside a living run the job is not released: it is left to its lease.
        assert await handle.status() is JobState.RUNNING
    release.set()


async def test_a_claim_of_due_jobs_that_is_under_way_at_the_stop_leaves_no_job_leased_to_nobody(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed, goes_on = asyncio.Event(), asyncio.Event()

    @app.job
    async def work() -> None: ...

    async with app:
        claim = broker_of(app).claim

        async def slow_to_answer(request: ClaimRequest) -> Claim:
            reply = await claim(request)
            if reply.jobs:
                claimed.set()
                await goes_on.wait()
            return reply

        monkeypatch.setattr(broker_of(app), "claim", slow_to_answer)
        async with app.worker():
            handle = await work.schedule_in(0.2)
            await until(claimed, "the job that is due is being claimed")
            asyncio.get_running_loop().call_later(0.3, goes_on.set)
        await until(goes_on, "the claim is answered")
        assert await handle.status() in (JobState.PENDING, JobState.COMPLETED)


@pytest.mark.parametrize("way", ["stop", "cancel"])
async def test_a_worker_whose_resource_hangs_while_it_opens_can_be_stopped(app: App, way: str) -> None:
    opening, closed = asyncio.Event(), asyncio.Event()

    @resource(scope="worker")
    async def first() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.set()

    @resource(scope="worker")
    async def second(number: int = Inject(first)) -> int:
        opening.set()
        await asyncio.sleep(60)
        return number

    @app.job
    async def work(number: int = Inject(second)) -> None: ...

    worker = Worker(app)
    running = asyncio.create_task(worker.run())
    await until(opening, "the resource is being opened")
    if way == "stop":
        worker.stop()
    else:
        running.cancel()
    await asyncio.wait([running], timeout=SOON)
    assert running.cancelled() == (way == "cancel")
    assert closed.is_set()
    # A later run has nothing of the stop left.
    opening.clear()
    again = asyncio.create_task(worker.run())
    await until(opening, "the resource is being opened again")
    worker.stop()
    await asyncio.wait_for(again, SOON)


async def test_a_worker_whose_resource_does_not_close_ends_all_the_same(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(WorkerResources, "stop_within_s", 0.1)
    is_closing = asyncio.Event()

    @resource(scope="worker")
    async def stuck() -> AsyncIterator[int]:
        yield 1
        is_closing.set()
        await asyncio.sleep(60)

    @app.job
    async def work(number: int = Inject(stuck)) -> int:
        return number

    async with app:
        handle = await work.delay()
        with anyio.fail_after(SOON):
            assert await Worker(app).run_until_empty() == 1
        assert is_closing.is_set()
        assert await handle.result(SOON) == 1
    assert "the worker's resources did not end within 0.1 s and is left" in caplog.text


@pytest.mark.parametrize("way", ["run", "run_until_empty", "run_once"])
async def test_a_worker_ends_although_its_broker_answers_nothing(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    app = make_app(shutdown_timeout=0.1)
    is_asked = asyncio.Event()

    @app.job
    async def work() -> None: ...

    async def hang(*_: object, **__: object) -> Any:
        is_asked.set()
        await asyncio.sleep(600)

    async with app:
        for verb in ("claim", "settle", "withdraw", "recover", "schedules"):
            monkeypatch.setattr(broker_of(app), verb, hang)
        monkeypatch.setattr(Scheduler, "start", Duty.start)
        worker = Worker(app)
        running = asyncio.create_task(getattr(worker, way)())
        await until(is_asked, "a call of the broker hangs")
        await asyncio.sleep(0.1)
        began = time.monotonic()
        worker.stop()
        await asyncio.wait_for(running, SOON)
        assert time.monotonic() - began < 10
        monkeypatch.undo()


async def test_a_claim_whose_answer_was_lost_at_the_stop_gives_its_jobs_back(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = asyncio.Event()

    @app.job
    async def work() -> None: ...

    async with app:
        claim = broker_of(app).claim

        async def lost(request: ClaimRequest) -> Claim:
            reply = await claim(request)
            if reply.jobs and not claimed.is_set():
                claimed.set()
                raise BrokerUnavailable("the answer was lost")
            return reply

        monkeypatch.setattr(broker_of(app), "claim", lost)
        handle = await work.delay()
        async with app.worker() as worker:
            await until(claimed, "the job was claimed")
            worker.stop()
        job = await handle.refresh()
        assert (job.state, job.deaths) == (JobState.PENDING, 0)


async def test_a_handler_that_can_not_be_cancelled_runs_no_more_after_the_worker_has_ended(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.worker.execution.executor._CANCELLED_S", 0.1)
    app = make_app(shutdown_timeout=0.05)
    ticks: Notes[int] = Notes()
    ends: list[str] = []

    @app.job
    async def stubborn() -> None:
        try:
            while True:
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    ends.append("swallowed")
                ticks.append(1)
        finally:
            ends.append("closed")

    async with app:
        handle = await stubborn.delay()
        with anyio.fail_after(SOON):
            async with app.worker():
                await ticks.reach(1)
        count = len(ticks)
        await asyncio.sleep(0.1)
        assert (len(ticks), ends[0], ends[-1]) == (count, "swallowed", "closed")
        # It was left to its lease, since it might have gone on.
        assert await handle.status() is JobState.RUNNING


async def test_a_worker_ends_although_what_a_handler_sends_does_not_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncjobs.worker.worker._CLOSE_WITHIN_S", 0.1)
    broker = MemoryBroker()
    app = App("memory://", broker=broker, shutdown_timeout=0.05, send_timeout=math.inf)
    hangs = asyncio.Event()
    sent: list[asyncio.Task[Any]] = []

    @app.job
    async def child() -> None: ...

    @app.job
    async def parent() -> None:
        async def hang(*_: object, **__: object) -> Any:
            hangs.set()
            await asyncio.sleep(600)

        monkeypatch.setattr(broker, "enqueue", hang)

        async def send() -> None:
            await child.delay()

        sent.append(asyncio.create_task(send()))

    async with app:
        await parent.delay()
    before = asyncio.all_tasks()
    worker = Worker(app)
    running = asyncio.create_task(worker.run())
    await until(hangs, "the job is being sent")
    worker.stop()
    await asyncio.wait_for(running, SOON)
    with pytest.raises(BrokerUnavailable, match="the app was closed"):
        await sent[0]
    assert asyncio.all_tasks() == before
