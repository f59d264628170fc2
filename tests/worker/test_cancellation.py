"""A worker that is cancelled from outside shuts down: soon, with nothing left behind, and nothing counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from asyncjobs import App, JobHandle, JobState, Worker
from tests.waiting import SOON, until, until_sync

pytestmark = pytest.mark.anyio

#: The bound of the page on workers, which a shutdown needs only where something hangs.
BOUND_S = 10.0


def _threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith(("asyncjobs-heart", "asyncjobs-handler"))}


async def _nothing_is_left(before: set[asyncio.Task[object]]) -> None:
    # Tasks of the app, which the test has open, stay.
    def left() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]

    await until(lambda: not left(), f"no task is left of {left()}", within=2)
    await until(lambda: not _threads(), f"no thread is left of {_threads()}", within=2)


async def _uncounted(handle: JobHandle[object], state: JobState = JobState.PENDING) -> None:
    job = await handle.refresh()
    assert (job.state, job.failures, job.deaths, job.errors) == (state, 0, 0, ())


async def _cancelled(run: Callable[[], Awaitable[object]], started: asyncio.Event) -> None:
    task = asyncio.ensure_future(run())
    await until(started, "the handler has started")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _cancelled_again_and_again(run: Callable[[], Awaitable[object]], started: asyncio.Event) -> None:
    task = asyncio.ensure_future(run())
    await until(started, "the handler has started")
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.001)
    assert task.cancelled()


async def _in_a_task_group(run: Callable[[], Awaitable[object]], started: asyncio.Event) -> None:
    async def fail() -> None:
        await until(started, "the handler has started")
        raise LookupError("a sibling")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run())  # type: ignore[arg-type]
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await both()


async def _under_a_timeout(run: Callable[[], Awaitable[object]], started: asyncio.Event) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(None) as bound:
            waiting = asyncio.ensure_future(until(started, "the handler has started"))
            waiting.add_done_callback(lambda _: bound.reschedule(0.0))
            await run()

    with pytest.raises(TimeoutError):
        await bounded()


async def _in_a_scope(run: Callable[[], Awaitable[object]], started: asyncio.Event) -> None:
    with anyio.CancelScope() as scope:
        waiting = asyncio.ensure_future(until(started, "the handler has started"))
        waiting.add_done_callback(lambda _: scope.cancel())
        await run()
    assert scope.cancelled_caught


WAYS = [_cancelled, _cancelled_again_and_again, _in_a_task_group, _under_a_timeout, _in_a_scope]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["run", "run_until_empty", "run_once", "block"])
async def test_to_cancel_a_worker_gives_its_jobs_back_uncounted_and_leaves_nothing(
    app: App, method: str, way: Callable[[Callable[[], Awaitable[object]], asyncio.Event], Awaitable[None]]
) -> None:
    started = asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        await asyncio.sleep(60)

    async def block() -> None:
        async with app.worker():
            await asyncio.sleep(60)

    async with app:
        handle = await hang.delay()
        before = asyncio.all_tasks()
        began = time.monotonic()
        worker = Worker(app)
        await way(block if method == "block" else getattr(worker, method), started)
        assert time.monotonic() - began < BOUND_S
        await _nothing_is_left(before)
        await _uncounted(handle)


async def test_a_worker_that_is_cancelled_at_any_turn_of_the_loop_ends(make_app: Callable[..., App]) -> None:
    app = make_app(lease=30)

    @app.job
    async def work() -> None:
        await asyncio.sleep(0.001)

    async with app:
        before = asyncio.all_tasks()
        handles = await app.enqueue_many([work.request() for _ in range(400)])
        for turns in range(60):
            task = asyncio.create_task(Worker(app, concurrency=2).run())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with anyio.fail_after(BOUND_S):
                await asyncio.wait([task])
            assert task.cancelled()
        await _nothing_is_left(before)
        for handle in handles:
            job = await handle.refresh()
            assert job.state in (JobState.PENDING, JobState.COMPLETED), job
            assert (job.failures, job.deaths) == (0, 0)


@pytest.mark.parametrize("kind", ["async", "swallowing", "thread", "to_thread"])
def test_the_end_of_the_loop_ends_a_worker_and_charges_no_job(
    make_app: Callable[..., App], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.worker.execution.executor._CANCELLED_S", 0.3)
    app = make_app(lease=30)
    started, release = threading.Event(), threading.Event()

    async def hang() -> None:
        started.set()
        if kind == "to_thread":
            await asyncio.to_thread(release.wait, 1)
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if kind != "swallowing":
                    raise

    def block() -> None:
        started.set()
        release.wait(SOON)

    app.job(name="hang")(block if kind == "thread" else hang)

    async def main() -> str:
        async with app:
            handle = await app.registry.get("hang").delay()
            worker = asyncio.create_task(Worker(app).run())
            await until(started.is_set, "the handler has started")
            assert not worker.done()
            return handle.id

    began = time.monotonic()
    job_id = asyncio.run(main())
    assert time.monotonic() - began < BOUND_S + 2
    release.set()
    until_sync(lambda: not _threads(), "no thread is left")

    async def look() -> None:
        async with make_app() as again:
            state = JobState.RUNNING if kind in ("swallowing", "thread") else JobState.PENDING
            await _uncounted(again.handle(job_id), state)

    asyncio.run(look())


def test_the_end_of_the_loop_at_any_turn_charges_no_job(make_app: Callable[..., App]) -> None:
    app = make_app(lease=30)

    @app.job
    async def work() -> None:
        await asyncio.sleep(0.001)

    async def main(turns: int) -> None:
        async with app:
            await app.enqueue_many([work.request() for _ in range(10)])
            worker = asyncio.create_task(Worker(app, concurrency=4).run())
            for _ in range(turns):
                await asyncio.sleep(0)
            assert not worker.done()

    for turns in range(0, 90, 3):
        asyncio.run(main(turns))
    assert not _threads()

    async def look() -> None:
        async with make_app() as again:
            stats = await again.queue_stats("default")
            assert (stats.running, stats.failed, stats.retrying) == (0, 0, 0)
            jobs = await again.jobs("ready", limit=1_000)
            assert {(job.failures, job.deaths) for job in jobs} <= {(0, 0)}
            assert len(jobs) + stats.succeeded_total == 300

    asyncio.run(look())


async def test_a_handler_that_cancels_every_task_stops_its_worker_and_charges_no_other_job(app: App) -> None:
    both = asyncio.Event()

    @app.job
    async def rampage() -> None:
        await until(both, "the other has started")
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await asyncio.sleep(60)

    @app.job
    async def innocent() -> None:
        both.set()
        await asyncio.sleep(60)

    async with app:
        before = asyncio.all_tasks()
        handles = [await rampage.delay(), await innocent.delay()]
        running = asyncio.create_task(Worker(app).run())
        await asyncio.wait([running], timeout=BOUND_S)
        assert running.cancelled()
        for handle in handles:
            await _uncounted(handle)


def test_the_end_of_the_loop_in_the_midst_of_a_shutdown_waits_for_no_thread(make_app: Callable[..., App]) -> None:
    app = make_app(lease=30, shutdown_timeout=60)
    started, release = threading.Event(), threading.Event()

    @app.job
    def block() -> None:
        started.set()
        release.wait(SOON)

    async def main() -> None:
        async with app:
            await block.delay()
            worker = Worker(app)
            running = asyncio.create_task(worker.run())
            await until(started.is_set, "the handler has started")
            worker.stop()
            await asyncio.sleep(0.1)
            assert not running.done()

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < BOUND_S
    release.set()
