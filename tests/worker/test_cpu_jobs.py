"""Jobs with ``executor="process"``, as their users meet them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    DefinitionError,
    JobCancelled,
    JobContext,
    JobFailed,
    JobHandle,
    JobState,
    Middleware,
    Worker,
)
from asyncjobs.middleware import CallNext, DefaultTimeout
from tests.apps import broker_of
from tests.waiting import SOON, until
from tests.worker import cpu_jobs

pytestmark = pytest.mark.anyio


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "asyncjobs.worker.processes" in " ".join(child.cmdline())]


async def test_a_handler_runs_in_another_process_and_tells_its_progress(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        handle = await cpu_jobs.square.with_options(app=app).delay(7)
        result = await handle.result(SOON)
        assert (result["square"], result["attempt"], result["pid"] != os.getpid()) == (49, 1, True)
        events = [event async for event in handle.events()]
        assert [event.kind for event in events] == ["progress", "log"]
        assert events[0].data == [1, 2, ""]
    assert _children() == []


async def test_however_a_handler_in_a_process_ends_its_slot_is_free_afterwards(make_app: Callable[..., App]) -> None:
    app = make_app(handler_processes=1)
    ways = {
        "object": "ResultError",
        "interrupt": "KeyboardInterrupt",
        "exit": "SystemExit",
        "generator": "GeneratorExit",
        "iterator": "StopIteration",
        "kill": "ProcessDied",
    }
    async with app, app.worker(queues=["cpu"], concurrency=1):
        for how, error in ways.items():
            with pytest.raises(JobFailed, match=error):
                await (await cpu_jobs.end.with_options(app=app).delay(how)).result(SOON)
        assert (await (await cpu_jobs.square.with_options(app=app).delay(3)).result(SOON))["square"] == 9


async def test_a_layer_changes_what_a_handler_in_a_process_is_given(make_app: Callable[..., App]) -> None:
    class Double(Middleware):
        async def process(self, job: JobContext, call_next: CallNext) -> Any:
            job.args = tuple(2 * value for value in job.args)
            return await call_next(job)

    app = make_app(middleware=[Double()])
    async with app, app.worker(queues=["cpu"]):
        assert (await (await cpu_jobs.square.with_options(app=app).delay(3)).result(SOON))["square"] == 36


async def test_a_shutdown_kills_what_does_not_end_and_its_job_goes_back(make_app: Callable[..., App]) -> None:
    app = make_app(shutdown_timeout=0.1)
    async with app:
        async with app.worker(queues=["cpu"]):
            handle = await cpu_jobs.spin.with_options(app=app, timeout=60).delay()
            await until(_children, "a process has been started")
        assert _children() == []
        job = await handle.refresh()
        assert (job.state, job.failures, job.deaths) == (JobState.PENDING, 0, 0)


async def test_a_handler_that_never_returns_is_killed_at_its_timeout(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        handle = await cpu_jobs.spin.with_options(app=app).delay()
        with pytest.raises(JobFailed, match=r"timeout of 0\.5 s"):
            await handle.result(SOON)
        assert (await (await cpu_jobs.square.with_options(app=app).delay(2)).result(SOON))["square"] == 4


async def test_a_running_handler_is_killed_when_its_job_is_cancelled(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        handle = await cpu_jobs.spin.with_options(app=app, timeout=60).delay()
        await until(_children, "a process has been started")
        began = time.monotonic()
        assert await handle.cancel()
        with pytest.raises(JobCancelled):
            await handle.result(SOON)
        # With the next heartbeat, a quarter of the lease of two seconds.
        assert time.monotonic() - began < 2


async def test_a_timeout_begins_once_a_process_takes_the_job(make_app: Callable[..., App]) -> None:
    app = make_app(handler_processes=1)
    async with app, app.worker(queues=["cpu"], concurrency=4):
        # A job has its timeout for the start of its process too, which takes as long as the machine needs.
        await (await cpu_jobs.square.with_options(app=app).delay(2)).result(SOON)
        handles = [await cpu_jobs.nap.with_options(app=app).delay(0.8) for _ in range(4)]
        # The last one waits longer than its timeout of two seconds, and has nearly all of it left when it starts.
        assert all([1 < await handle.result(SOON) <= 2.1 for handle in handles])
        jobs = [await handle.refresh() for handle in handles]
        starts = sorted(job.started_at_ms or 0 for job in jobs)
        assert all(later - earlier > 600 for earlier, later in itertools.pairwise(starts))
        with pytest.raises(JobFailed, match="timeout of 2 s"):
            await (await cpu_jobs.nap.with_options(app=app).delay(60)).result(SOON)


async def test_the_layers_around_a_handler_do_not_see_its_job_wait_for_a_process(make_app: Callable[..., App]) -> None:
    app = make_app(handler_processes=1, middleware=[DefaultTimeout(2)])
    async with app, app.worker(queues=["cpu"], concurrency=2):
        await cpu_jobs.nap.with_options(app=app, timeout=60).delay(2.5)
        waiting = await cpu_jobs.square.with_options(app=app).delay(7)
        result = await waiting.result(SOON)
        assert (result["square"], result["attempt"]) == (49, 1)


async def test_a_job_that_waits_for_a_process_is_cancelled_without_one(
    make_app: Callable[..., App], tmp_path: Path
) -> None:
    app = make_app(handler_processes=1)
    gate = tmp_path / "gate"
    async with app, app.worker(queues=["cpu"], concurrency=2):
        first = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
        waiting = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
        await _until_running(app, 2)
        await _until_begun(gate)
        began = time.monotonic()
        assert await waiting.cancel("enough")
        with pytest.raises(JobCancelled, match="enough"):
            await waiting.result(SOON)
        # With the next heartbeat; the first still has the only process.
        assert time.monotonic() - began < 2
        assert await first.status() is JobState.RUNNING
        gate.touch()
        await first.result(SOON)
        assert (await (await cpu_jobs.square.with_options(app=app).delay(2)).result(SOON))["square"] == 4


async def test_a_job_that_waits_for_a_process_keeps_its_lease(make_app: Callable[..., App], tmp_path: Path) -> None:
    app = make_app(handler_processes=1, lease=2)
    gate = tmp_path / "gate"
    async with app, app.worker(queues=["cpu"], concurrency=2):
        handles = [await cpu_jobs.wait_for.with_options(app=app).delay(str(gate)) for _ in range(2)]
        await _until_running(app, 2)
        await asyncio.sleep(5)
        assert [await handle.status() for handle in handles] == [JobState.RUNNING, JobState.RUNNING]
        gate.touch()
        for handle in handles:
            await handle.result(SOON)


async def test_a_worker_that_stops_gives_back_what_waits_for_a_process(
    make_app: Callable[..., App], tmp_path: Path
) -> None:
    app = make_app(handler_processes=1)
    gate = tmp_path / "gate"
    async with app:
        async with app.worker(queues=["cpu"], concurrency=2) as worker:
            first = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
            waiting = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
            await _until_running(app, 2)
            await _until_begun(gate)
            worker.stop()
            # While the first still runs. Acknowledged early, a job that had begun would have failed by this.
            await _until_pending(waiting)
            assert await first.status() is JobState.RUNNING
            gate.touch()
        assert await first.status() is JobState.COMPLETED
        assert await waiting.status() is JobState.PENDING


async def test_a_job_that_was_just_being_claimed_at_the_stop_does_not_wait_for_a_process(
    make_app: Callable[..., App], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(handler_processes=1)
    gate, is_claimed, is_stopped = tmp_path / "gate", asyncio.Event(), asyncio.Event()
    async with app:
        claim = broker_of(app).claim

        async def slow_claim(request: Any) -> Any:
            reply = await claim(request)
            if is_busy and reply.jobs:
                is_claimed.set()
                await is_stopped.wait()
            return reply

        is_busy = False
        monkeypatch.setattr(broker_of(app), "claim", slow_claim)
        async with app.worker(queues=["cpu"], concurrency=2) as worker:
            first = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
            await _until_begun(gate)
            is_busy = True
            claimed = await cpu_jobs.wait_for.with_options(app=app).delay(str(gate))
            await until(is_claimed, "the second job is being claimed")
            worker.stop()
            is_stopped.set()
            await _until_pending(claimed)
            assert await first.status() is JobState.RUNNING
            gate.touch()
        assert await first.status() is JobState.COMPLETED


async def _until_running(app: App, count: int) -> None:
    """Wait until jobs have been claimed; the worker may only be about to learn of it."""

    async def are_running() -> bool:
        return (await app.queue_stats("cpu")).running >= count

    await until(are_running, f"{count} jobs are running")


async def _until_begun(gate: Path) -> None:
    """Wait until a process runs the handler that waits for the gate."""
    await until(Path(f"{gate}.begun").exists, "the handler has begun")


async def _until_pending(handle: JobHandle[Any]) -> None:
    async def is_pending() -> bool:
        return await handle.status() is JobState.PENDING

    await until(is_pending, "the job has gone back")


async def test_the_error_of_the_child_is_the_jobs_with_its_traceback_and_its_policy(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        handle = await cpu_jobs.fail.with_options(app=app).delay("key")
        with pytest.raises(JobFailed) as caught:
            await handle.result(SOON)
        assert caught.value.error_type == "KeyError"
        assert 'raise {"key": KeyError' in caught.value.traceback
        assert (await handle.refresh()).failures == 1
        other = await cpu_jobs.fail.with_options(app=app, max_retries=2).delay("value")
        with pytest.raises(JobFailed):
            await other.result(SOON)
        assert (await other.refresh()).failures == 3


@contextlib.asynccontextmanager
async def longest_stall(clock: Callable[[], float]) -> AsyncIterator[Callable[[], float]]:
    """Give a function that returns the longest time for which the loop has stood still so far, in seconds of a clock.

    That of the thread tells what the loop itself has done, and not what a busy machine has kept it from.
    """
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = clock()
            await asyncio.sleep(0.001)
            longest = max(longest, clock() - began)

    watching = asyncio.create_task(watch())
    yield lambda: longest
    watching.cancel()


async def test_a_result_that_is_too_large_is_refused_in_the_process_and_holds_up_no_loop(
    make_app: Callable[..., App],
) -> None:
    app = make_app(lease=30)
    async with app, app.worker(queues=["cpu"]):
        await (await cpu_jobs.square.with_options(app=app).delay(7)).result(SOON)
        async with longest_stall(time.thread_time) as stall:
            handle = await cpu_jobs.text.with_options(app=app).delay(300_000_000)
            with pytest.raises(JobFailed, match=r"the result has 3\d{8} bytes; max_payload allows \d+"):
                await handle.result(60)
            assert stall() < 0.3
        # The handler has done its work.
        assert [error.type for error in (await handle.refresh()).errors] == ["ResultError"]
        assert await (await cpu_jobs.text.with_options(app=app).delay(5)).result(SOON) == "xxxxx"


async def test_an_error_that_the_worker_has_not_imported_is_judged_by_its_bases_and_holds_up_no_loop(
    app: App,
) -> None:
    async with app, app.worker(queues=["cpu"]):
        async with longest_stall(time.monotonic) as stall:
            handle = await cpu_jobs.fail_late.with_options(app=app).delay()
            with pytest.raises(JobFailed):
                await handle.result(SOON)
            # The import takes three seconds.
            assert stall() < 2.5
        assert [error.type for error in (await handle.refresh()).errors] == ["tests.worker.slow_errors.Late"]


async def test_a_process_that_dies_is_a_failure_of_the_job_that_is_retried(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        handle = await cpu_jobs.crash.with_options(app=app).delay()
        with pytest.raises(JobFailed, match="exited with code 9"):
            await handle.result(SOON)
        assert (await handle.refresh()).failures == 2


async def test_a_handler_in_a_process_steers_its_job(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        with pytest.raises(JobCancelled, match="not wanted"):
            await (await cpu_jobs.steer.with_options(app=app).delay("cancel")).result(SOON)
        assert await (await cpu_jobs.steer.with_options(app=app).delay("retry")).result(SOON) == "attempt 2"
        assert await (await cpu_jobs.steer.with_options(app=app).delay("snooze")).result(SOON) == "attempt 1"


async def test_what_can_not_run_in_a_process_is_an_error_at_start(app: App) -> None:
    with pytest.raises(ArgumentsError, match="expected 'thread' or 'process'"):
        app.job(executor="rocket")(cpu_jobs.resource)  # type: ignore[call-overload]
    app.job(executor="process")(cpu_jobs.with_resource)
    async with app:
        with pytest.raises(DefinitionError, match="'number' can't be passed"):
            await Worker(app).run_until_empty()
