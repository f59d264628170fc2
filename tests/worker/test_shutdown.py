"""How a worker ends: handlers finish, or their jobs go back, with nothing counted and nothing lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import pytest

from asyncjobs import App, JobState, Worker, current_job
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import Claim, ClaimRequest
from asyncjobs.worker import claimer
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


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
