"""A worker that ends by itself, so that another one takes its place."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, ConfigurationError, JobState, RetryPolicy, Worker
from asyncjobs.worker.claimer import Claimer
from asyncjobs.worker.memory_use import resident_bytes
from tests.apps import wait_ended
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


def _soon_reached() -> int:
    """Return a limit that the next job to leak reaches: garbage of earlier tests, freed later, would move it away."""
    gc.collect()
    return resident_bytes() + (32 << 20)


@pytest.mark.parametrize("method", ["run", "run_until_empty"])
async def test_a_worker_runs_as_many_jobs_as_it_may(app: App, method: str) -> None:
    ran: list[int] = []

    @app.job
    async def work(number: int) -> None:
        ran.append(number)

    async with app:
        handles = await app.enqueue_many([work.request(number) for number in range(20)])
        worker = Worker(app, concurrency=3, max_jobs=7)
        async with asyncio.timeout(SOON):
            await getattr(worker, method)()
        assert (sorted(ran), worker.ended_by) == (list(range(7)), "max_jobs")
        assert (await app.queue_stats("default")).size == 13
        # Each run has its own count.
        async with asyncio.timeout(SOON):
            await getattr(worker, method)()
        assert sorted(ran) == list(range(14))
        assert await handles[13].status() is JobState.COMPLETED


async def test_a_job_that_takes_long_is_not_cancelled_for_a_limit(make_app: Callable[..., App]) -> None:
    app = make_app(shutdown_timeout=0)
    release = asyncio.Event()
    started: Notes[str] = Notes()

    @app.job
    async def slow() -> str:
        started.append("slow")
        await release.wait()
        return "done"

    @app.job
    async def quick() -> None:
        started.append("quick")

    async with app:
        handle = await slow.delay()
        worker = Worker(app, concurrency=2, max_jobs=2)
        running = asyncio.create_task(worker.run())
        await started.reach(1)
        await (await quick.delay()).result(SOON)
        left = await quick.delay()
        await until(lambda: worker.health().reason == "the worker is stopping", "it claims no more")
        await asyncio.sleep(0.3)
        assert not running.done()
        release.set()
        await running
        assert await handle.result(SOON) == "done"
        assert await left.status() is JobState.PENDING


async def test_a_thread_that_never_returns_does_not_keep_a_worker_at_its_limit(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1, shutdown_timeout=60)
    release = threading.Event()

    @app.job(timeout=0.1, retry=RetryPolicy(max_retries=0))
    def hang() -> None:
        release.wait()

    async with app:
        handle = await hang.delay()
        worker = Worker(app, max_jobs=1)
        try:
            async with asyncio.timeout(SOON):
                await worker.run()
        finally:
            release.set()
        assert (await handle.status(), worker.ended_by) == (JobState.FAILED, "max_jobs")


async def test_a_worker_that_waits_for_its_last_jobs_can_be_stopped(make_app: Callable[..., App]) -> None:
    app = make_app(shutdown_timeout=60)
    started = asyncio.Event()

    @app.job
    async def slow() -> None:
        started.set()
        await asyncio.sleep(60)

    async with app:
        handle = await slow.delay()
        worker = Worker(app, max_jobs=1)
        running = asyncio.create_task(worker.run())
        await until(started, "the handler has started")
        worker.stop()
        worker.stop()
        async with asyncio.timeout(SOON):
            await running
        assert (await handle.status(), worker.ended_by) == (JobState.PENDING, "")


async def test_a_worker_that_uses_too_much_memory_ends(app: App) -> None:
    kept: list[bytearray] = []

    @app.job
    async def leak() -> None:
        kept.append(bytearray(b"x") * (128 << 20))

    async with app:
        handles = [await leak.delay() for _ in range(3)]
        worker = Worker(app, concurrency=1, max_memory=_soon_reached())
        async with asyncio.timeout(SOON):
            await worker.run()
        assert (worker.ended_by, len(kept)) == ("max_memory", 1)
        assert await handles[2].status() is JobState.PENDING


async def test_a_worker_that_uses_too_much_memory_claims_no_job_that_becomes_due(make_app: Callable[..., App]) -> None:
    app = make_app(poll_interval=0.1, shutdown_timeout=0)
    kept: list[bytearray] = []

    @app.job
    async def leak() -> None:
        kept.append(bytearray(b"x") * (128 << 20))

    @app.job
    async def slow() -> None:
        await asyncio.sleep(60)

    async with app:
        await slow.delay()
        worker = Worker(app, concurrency=3, max_memory=_soon_reached())
        async with worker.running():
            due = await leak.schedule_in(3)
            await leak.delay()
            await until(lambda: worker.health().reason == "the worker is stopping", "it claims no more")

            async def has_come() -> bool:
                return not (await app.queue_stats("default")).scheduled

            await until(has_come, "the job is due")
            await asyncio.sleep(0.2)
            assert (await due.status(), len(kept)) == (JobState.PENDING, 1)


@pytest.fixture
def two_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers claim two jobs ahead, as after jobs that took no time."""

    def measure(self: Claimer) -> None:
        self._ahead = 2

    monkeypatch.setattr(Claimer, "_measure", measure)


@pytest.mark.usefixtures("two_ahead")
async def test_a_worker_that_uses_too_much_memory_gives_back_what_it_claimed_ahead(
    make_app: Callable[..., App],
) -> None:
    app = make_app(shutdown_timeout=0)
    kept: list[bytearray] = []

    @app.job
    async def leak() -> None:
        kept.append(bytearray(b"x") * (128 << 20))

    @app.job
    async def slow() -> None:
        await asyncio.sleep(60)

    @app.job
    async def quick() -> str:
        return "done"

    async with app:
        *_, last = await app.enqueue_many([leak.request(), slow.request(), slow.request(), quick.request()])
        worker = Worker(app, concurrency=2, max_memory=_soon_reached())
        async with worker.running():
            await until(lambda: worker.health().reason == "the worker is stopping", "it claims no more")
            async with Worker(app).running():
                assert await last.result(SOON) == "done"


@pytest.mark.usefixtures("two_ahead")
async def test_the_last_jobs_of_a_worker_are_not_claimed_ahead(app: App) -> None:
    ran: Notes[str] = Notes()
    release = asyncio.Event()

    @app.job
    async def work(name: str) -> None:
        ran.append(name)
        if name == "slow":
            await release.wait()

    async with app:
        _, second, _ = await app.enqueue_many([work.request(name) for name in ("slow", "second", "third")])
        worker = Worker(app, concurrency=1, max_jobs=2)
        running = asyncio.create_task(worker.run())
        await ran.reach(1)
        await second.cancel()
        await wait_ended(app, second.id)
        release.set()
        await asyncio.wait_for(running, SOON)
    assert (ran, worker.ended_by) == (["slow", "third"], "max_jobs")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_jobs": 0}, "max_jobs=0: expected a whole number, 1 or more"),
        ({"max_jobs": "7"}, "max_jobs='7': expected a whole number, 1 or more"),
        ({"max_memory": True}, "max_memory=True: expected a whole number of bytes, 1 or more"),
        ({"max_memory": 1_000}, "max_memory=1000: before its first job the worker uses "),
    ],
)
async def test_a_limit_that_can_not_be_is_refused(app: App, limits: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Worker(app, **limits)
    assert str(raised.value).startswith(told)
