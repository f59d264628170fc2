"""Workers that end by themselves: what they wait for, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from asyncjobs import App, JobState, Limit, Worker
from asyncjobs.errors import BrokerError
from asyncjobs.ports import Claim, ClaimRequest
from asyncjobs.worker import claimer
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


async def claim_and_die(app: App, lease_ms: int = 1_000, limit: int = 10) -> None:
    """Claim jobs for a worker that never settles them."""
    request = ClaimRequest(worker="dead", number=1, queues=["default"], limit=limit, lease_ms=lease_ms)
    assert (await broker_of(app).claim(request)).jobs


@pytest.mark.parametrize("with_another", [False, True])
async def test_run_until_empty_runs_what_a_killed_worker_has_left(
    make_app: Callable[..., App], with_another: bool
) -> None:
    # Recovery takes it for a gap if a busy machine does not look for half a lease.
    app = make_app(lease=10)

    @app.job
    async def work() -> None: ...

    async with app:
        left = await work.delay()
        await claim_and_die(app)
        if with_another:
            await work.delay()
        with anyio.fail_after(SOON):
            assert await Worker(app).run_until_empty() == 1 + with_another
        assert await left.status() is JobState.COMPLETED


async def test_run_once_runs_what_a_killed_worker_has_left(make_app: Callable[..., App]) -> None:
    app = make_app(lease=10)

    @app.job
    async def work() -> str:
        return "done"

    async with app:
        left = await work.delay()
        await claim_and_die(app)
        with anyio.fail_after(SOON):
            assert await Worker(app).run_once()
        assert await left.result(SOON) == "done"
        assert not await Worker(app).run_once()


async def test_a_burst_does_not_wait_for_the_jobs_of_living_workers(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1)

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        await claim_and_die(app, lease_ms=60_000)
        with anyio.fail_after(SOON):
            assert await Worker(app).run_until_empty() == 0
            assert not await Worker(app).run_once()


@pytest.mark.parametrize("way", ["run_until_empty", "run_once"])
async def test_a_burst_that_waits_for_a_lease_or_a_handler_is_stopped_at_once(
    make_app: Callable[..., App], way: str
) -> None:
    app = make_app(lease=60, poll_interval=60, shutdown_timeout=0.05)
    started = asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        await asyncio.sleep(60)

    async with app:
        left = await hang.delay()
        await claim_and_die(app, lease_ms=60_000)
        worker = Worker(app)
        burst = asyncio.create_task(getattr(worker, way)())
        if way == "run_until_empty":
            running = await hang.delay()
            await until(started, "the handler has started")
        else:
            await until(lambda: worker.health().is_ready, "the worker has claimed")
        worker.stop()
        await asyncio.wait_for(burst, SOON)
        if way == "run_until_empty":
            assert await running.status() is JobState.PENDING
        assert await left.status() is JobState.RUNNING


async def test_a_burst_claims_ahead_and_gives_back_what_finds_no_slot(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the quick jobs are on a busy machine, one is claimed ahead.
    monkeypatch.setattr(claimer, "_AHEAD_S", 1.0)
    started, release = asyncio.Event(), asyncio.Event()
    ahead = 0

    @app.job
    async def quick() -> str:
        return "done"

    @app.job
    async def slow() -> None:
        started.set()
        await release.wait()

    async def note(request: ClaimRequest) -> Claim:
        nonlocal ahead
        reply = await claim(request)
        ahead += max(0, len(reply.jobs) - (request.limit - request.ahead))
        return reply

    async with app:
        claim = broker_of(app).claim
        monkeypatch.setattr(broker_of(app), "claim", note)
        await app.enqueue_many([quick.request() for _ in range(50)])
        _, *behind = await app.enqueue_many([slow.request(), quick.request(), quick.request()])
        burst = asyncio.create_task(Worker(app, concurrency=1).run_until_empty())
        await until(started, "the only slot is taken")
        async with Worker(app).running():
            assert [await one.result(SOON) for one in behind] == ["done", "done"]
        release.set()
        assert await asyncio.wait_for(burst, SOON) == 51
    assert ahead > 0


async def test_a_burst_whose_slots_are_taken_goes_on_while_the_broker_is_away(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(scheduler_interval=0.1)
    refused = asyncio.Event()

    @app.job
    async def work() -> str:
        await refused.wait()
        return "done"

    async with app:
        claim = broker_of(app).claim

        async def refuse(request: ClaimRequest) -> Claim:
            if not request.limit and not refused.is_set():
                refused.set()
                raise BrokerError("gone")
            return await claim(request)

        monkeypatch.setattr(broker_of(app), "claim", refuse)
        handle = await work.delay()
        with anyio.fail_after(SOON):
            assert await Worker(app, concurrency=1).run_until_empty() == 1
        assert await handle.result(SOON) == "done"


async def test_a_burst_goes_on_behind_a_limit_while_another_job_runs(make_app: Callable[..., App]) -> None:
    app = make_app(poll_interval=60)
    release = asyncio.Event()

    @app.job
    async def slow() -> None:
        await release.wait()

    @app.job(limits=Limit("one", running=1))
    async def quick() -> None: ...

    async with app:
        await slow.delay()
        handles = await app.enqueue_many([quick.request() for _ in range(20)])
        burst = asyncio.create_task(Worker(app, concurrency=5).run_until_empty())
        for handle in handles:
            await handle.result(SOON)
        release.set()
        assert await asyncio.wait_for(burst, SOON) == 21


async def test_a_burst_runs_the_jobs_for_which_a_running_one_waits(make_app: Callable[..., App]) -> None:
    app = make_app(poll_interval=60)

    @app.job
    async def child(number: int) -> int:
        return number

    @app.job
    async def parent() -> int:
        return sum([await (await child.delay(number)).result(SOON) for number in range(5)])

    async with app:
        handle = await parent.delay()
        with anyio.fail_after(SOON):
            assert await Worker(app, concurrency=5).run_until_empty() == 6
        assert await handle.result(SOON) == 10


async def test_a_burst_leaves_the_handlers_of_signals_as_they_were(app: App) -> None:
    async with app:
        before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
        await Worker(app).run_until_empty()
        assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("way", ["run_until_empty", "run_once"])
async def test_a_burst_runs_a_job_that_is_recovered_after_its_last_claim(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    app = make_app()

    @app.job
    async def work() -> None: ...

    async with app:
        broker = broker_of(app)
        overview, claim_anew = broker.overview, [True]

        async def recovered_before(queues: Sequence[str]) -> Any:
            if claim_anew and claim_anew.pop():
                await work.delay()
            return await overview(queues)

        monkeypatch.setattr(broker, "overview", recovered_before)
        assert await getattr(Worker(app), way)() == 1


async def test_a_burst_runs_the_jobs_of_the_last_ticks_that_it_fires(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()

    @app.job
    async def work() -> None: ...

    async with app:
        await app.add_schedule("often", work.request(), every=1)
        broker, fired, looks = broker_of(app), asyncio.Event(), 0
        overview, fire, claim = broker.overview, broker.fire, broker.claim

        async def noted_fire(*args: Any) -> Any:
            reply = await fire(*args)
            fired.set()
            return reply

        async def noted_claim(request: ClaimRequest) -> Any:
            nonlocal looks
            reply = await claim(request)
            looks = 0 if reply.jobs else looks
            return reply

        async def before_a_tick(queues: Sequence[str]) -> Any:
            nonlocal looks
            found = await overview(queues)
            looks += 1
            if looks > 1:
                # The last look before the burst ends. A tick fires after it, if any fires still.
                fired.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(fired.wait(), 1.5)
            return found

        monkeypatch.setattr(broker, "fire", noted_fire)
        monkeypatch.setattr(broker, "claim", noted_claim)
        monkeypatch.setattr(broker, "overview", before_a_tick)
        with anyio.fail_after(SOON):
            assert await Worker(app).run_until_empty() >= 1
        monkeypatch.undo()
        assert (await app.queue_stats("default")).pending == 0


async def test_a_burst_fires_the_ticks_that_are_due_when_it_begins(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()

    @app.job
    async def work() -> None: ...

    async with app:
        await app.add_schedule("due", work.request(), every=3600)
        broker = broker_of(app)
        found = await broker.schedules("default")
        await broker.remove_schedule("default", "due")
        await broker.put_schedule("default", "due", found.schedules[0].data, found.now_ms - 1)
        schedules = broker.schedules

        async def slowly(queue: str) -> Any:
            # The worker knows no schedule before its first look.
            await asyncio.sleep(0.3)
            return await schedules(queue)

        monkeypatch.setattr(broker, "schedules", slowly)
        assert await Worker(app).run_until_empty() == 1
