"""What counts as a failure of a job, how often it is tried again, and that its slot is free afterwards."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncjobs import App, JobFailed, JobState, RetryPolicy, Worker, current_job
from tests.waiting import SOON

pytestmark = pytest.mark.anyio

FAST = RetryPolicy(max_retries=2, initial=0.01, jitter=False)


async def test_a_failed_job_is_retried_until_its_retries_are_used_up_with_every_error_kept(app: App) -> None:
    attempts = []

    @app.job(retry=FAST)
    async def fail() -> None:
        attempts.append(current_job().attempt)
        raise ValueError(f"attempt {current_job().attempt}")

    async with app, app.worker():
        handle = await fail.delay()
        with pytest.raises(JobFailed, match="ValueError: attempt 3") as caught:
            await handle.result(SOON)
        job = await handle.refresh()
    assert attempts == [1, 2, 3]
    assert (job.state, job.failures, job.attempt) == (JobState.FAILED, 3, 3)
    assert [(error.message, error.attempt) for error in job.errors] == [(f"attempt {n}", n) for n in (1, 2, 3)]
    assert "raise ValueError" in caught.value.traceback


async def test_a_job_that_fails_once_completes_at_its_second_attempt(app: App) -> None:
    @app.job(retry=FAST)
    async def flaky() -> int:
        if current_job().attempt == 1:
            raise ConnectionError("not yet")
        return current_job().attempt

    async with app, app.worker():
        handle = await flaky.delay()
        assert await handle.result(SOON) == 2
        assert (await app.queue_stats("default")).retried_total == 1


async def test_an_error_that_the_policy_gives_up_on_is_not_retried(app: App) -> None:
    attempts = []

    @app.job(retry=RetryPolicy(initial=0, give_up_on=(KeyError,)))
    async def fail() -> None:
        attempts.append(1)
        raise KeyError("gone")

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await fail.delay()).result(SOON)
    assert attempts == [1]


async def test_a_call_may_allow_other_retries_than_its_definition(app: App) -> None:
    attempts = []

    @app.job(retry=FAST)
    async def fail() -> None:
        attempts.append(1)
        raise ValueError

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await fail.with_options(max_retries=0).delay()).result(SOON)
    assert attempts == [1]


async def test_a_timeout_cancels_the_handler_and_fails_the_attempt(app: App) -> None:
    cancelled = asyncio.Event()

    @app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with app, app.worker():
        with pytest.raises(JobFailed, match="TimeoutError"):
            await (await hang.delay()).result(SOON)
    assert cancelled.is_set()


async def test_a_handler_that_swallows_its_cancellation_is_cancelled_again(app: App) -> None:
    times = []

    @app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def stubborn() -> None:
        while len(times) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                times.append(1)
        await asyncio.sleep(60)

    async with app, app.worker():
        with pytest.raises(JobFailed, match="TimeoutError"):
            await (await stubborn.delay()).result(SOON)
    assert len(times) == 2


async def test_a_handler_that_cancels_its_own_task_ends_that_job_alone(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def suicide() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    @app.job
    async def neighbour() -> str:
        await asyncio.sleep(0.01)
        return "alive"

    async with app, app.worker():
        dead = await suicide.delay()
        alive = await neighbour.delay()
        with pytest.raises(JobFailed, match="CancelledError"):
            await dead.result(SOON)
        assert await alive.result(SOON) == "alive"


async def test_sys_exit_in_a_handler_fails_that_job_and_leaves_the_worker_alive(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def leave() -> None:
        raise SystemExit(3)

    @app.job
    async def stay() -> int:
        return 1

    async with app, app.worker():
        with pytest.raises(JobFailed, match="SystemExit"):
            await (await leave.delay()).result(SOON)
        assert await (await stay.delay()).result(SOON) == 1


@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_exception_outside_exception_fails_that_job_and_frees_its_slot(app: App, in_thread: bool) -> None:
    class Stop(BaseException):
        """As some frameworks use to break out of their own code."""

    def stop() -> None:
        raise Stop("here")

    async def stop_on_loop() -> None:
        stop()

    app.job(name="stop", retry=RetryPolicy(max_retries=0))(stop if in_thread else stop_on_loop)
    async with app, app.worker(concurrency=1):
        for _ in range(2):
            with pytest.raises(JobFailed, match="Stop: here"):
                await (await app.registry.get("stop").delay()).result(SOON)


class Unspeakable(Exception):
    """An error that can't even be shown."""

    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("no file \udcff"), r"no file \\udcff"),
        (Unspeakable(), "its text can't be had: LookupError"),
    ],
)
async def test_an_error_whose_text_is_no_text_is_the_jobs_failure_too(app: App, error: Exception, message: str) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def work() -> None:
        raise error

    async with app, app.worker():
        with pytest.raises(JobFailed, match=message):
            await (await work.delay()).result(SOON)


async def test_a_result_that_cannot_be_encoded_is_an_error_that_is_not_retried(app: App) -> None:
    calls = []

    @app.job(retry=FAST)
    async def unencodable():  # type: ignore[no-untyped-def]
        calls.append(1)
        return object()

    async with app, app.worker():
        with pytest.raises(JobFailed, match="result of type object can't be encoded"):
            await (await unencodable.delay()).result(SOON)
    assert calls == [1]


async def test_a_sync_handler_keeps_its_slot_past_its_timeout_until_it_returns(app: App) -> None:
    release = threading.Event()
    started = threading.Event()
    order = []

    @app.job(timeout=0.05)
    def block() -> str:
        started.set()
        assert release.wait(SOON)
        order.append("blocked")
        return "done"

    @app.job
    async def follow() -> None:
        order.append("followed")

    async with app, Worker(app, concurrency=1).running():
        first = await block.delay()
        assert await asyncio.to_thread(started.wait, SOON)
        second = await follow.delay()
        await asyncio.sleep(0.2)
        assert order == []
        release.set()
        assert await first.result(SOON) == "done"
        await second.result(SOON)
    assert order == ["blocked", "followed"]


async def test_an_error_tells_the_worker_that_ran_the_attempt(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise LookupError("no")

    async with app:
        handle = await fail.delay()
        worker = Worker(app)
        await worker.run_until_empty()
        [error] = (await app.find_job(handle.id)).errors
        assert error.worker == worker.id
