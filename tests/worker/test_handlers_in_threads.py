"""What a handler learns that can't be cancelled, and how any handler gets more time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, JobCancelled, JobFailed, JobHandle, JobState, RetryPolicy, current_job
from tests.apps import wait_ended
from tests.waiting import SOON, until
from tests.worker import cpu_jobs

pytestmark = pytest.mark.anyio

NO_RETRY = RetryPolicy(max_retries=0)


def _until_cancelled(started: threading.Event) -> None:
    started.set()
    ends_at = time.monotonic() + SOON
    while time.monotonic() < ends_at:
        current_job().raise_if_cancelled()
        time.sleep(0.01)


async def _cancel(handle: JobHandle[Any]) -> None:
    await handle.cancel("not needed")
    with pytest.raises(JobCancelled, match="not needed"):
        await handle.result(SOON)


async def _time_out(handle: JobHandle[Any]) -> None:
    with pytest.raises(JobFailed, match=r"TimeoutError: the attempt took longer than its timeout of 0\.5 s$"):
        await handle.result(SOON)


@pytest.mark.parametrize("kind", ["plain", "to_thread"])
@pytest.mark.parametrize(("end", "timeout"), [(_cancel, 60), (_time_out, 0.5)])
async def test_a_thread_that_looks_ends_when_its_attempt_is_cancelled(
    app: App, kind: str, end: Callable[[JobHandle[Any]], Any], timeout: float
) -> None:
    started, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            _until_cancelled(started)
        finally:
            ended.set()

    async def in_a_thread() -> None:
        await asyncio.to_thread(work)

    handler: Any = app.job(name="work", timeout=timeout, retry=NO_RETRY)(work if kind == "plain" else in_a_thread)
    async with app, app.worker():
        handle = await handler.delay()
        await until(started.is_set, "the handler has started")
        await end(handle)
        # One that does not look ends after ``SOON``.
        await until(ended.is_set, "the thread has ended", within=SOON / 2)


async def test_a_thread_that_looks_gives_its_job_back_at_a_shutdown(make_app: Callable[..., App]) -> None:
    app = make_app(shutdown_timeout=0.1)
    started = threading.Event()

    @app.job
    def work() -> None:
        _until_cancelled(started)

    async with app:
        async with app.worker():
            handle = await work.delay()
            await until(started.is_set, "the handler has started")
        job = await handle.refresh()
    assert (job.state, job.failures, job.deaths) == (JobState.PENDING, 0, 0)


async def test_a_handler_in_a_thread_may_clean_up_first(app: App) -> None:
    started, cleaned = threading.Event(), threading.Event()

    @app.job
    def work() -> None:
        started.set()
        while not current_job().is_cancelled:
            time.sleep(0.01)
        cleaned.set()
        current_job().raise_if_cancelled()

    async with app, app.worker():
        handle = await work.delay()
        await until(started.is_set, "the handler has started")
        await _cancel(handle)
    assert cleaned.is_set()


@pytest.mark.parametrize("kind", ["async", "plain", "process"])
async def test_a_handler_of_many_steps_may_go_on_past_its_timeout(app: App, kind: str) -> None:
    @app.job(name="plain", timeout=1, retry=NO_RETRY)
    def plain(count: int) -> float:
        return cpu_jobs.in_steps(count)

    @app.job(name="async", timeout=1, retry=NO_RETRY)
    async def on_the_loop(count: int) -> float:
        return await asyncio.to_thread(cpu_jobs.in_steps, count)

    handlers: dict[str, Any] = {
        "async": on_the_loop,
        "plain": plain,
        "process": cpu_jobs.in_steps.with_options(app=app),
    }
    async with app, app.worker(queues=["default", "cpu"]):
        # The start of a process would take a good part of the timeout.
        await (await cpu_jobs.square.with_options(app=app).delay(1)).result(SOON)
        moved = await (await handlers[kind].delay(8)).result(SOON)
        # Its last step began after 1.4 s.
        assert 2.3 < moved < SOON


async def test_a_handler_that_hangs_in_a_step_is_cancelled_at_the_end_of_its_extension(app: App) -> None:
    @app.job(timeout=0.3, retry=NO_RETRY)
    async def hang() -> None:
        current_job().extend_timeout(0.8)
        await asyncio.sleep(60)

    async with app, app.worker():
        began = time.monotonic()
        with pytest.raises(JobFailed, match=r"longer than its timeout of 0\.3 s, extended by 0\.5 s$"):
            await (await hang.delay()).result(SOON)
        assert time.monotonic() - began >= 0.8


async def test_a_process_that_hangs_in_a_step_is_killed_at_the_end_of_its_extension(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        await (await cpu_jobs.square.with_options(app=app).delay(1)).result(SOON)
        with pytest.raises(JobFailed, match=r"longer than its timeout of 1 s, extended by \d"):
            await (await cpu_jobs.hang_in_a_step.with_options(app=app).delay(2)).result(SOON)


async def test_an_extension_shortens_no_timeout_and_needs_none(app: App) -> None:
    @app.job(timeout=60)
    async def work() -> bool:
        before = current_job().deadline
        current_job().extend_timeout(0)
        return before == current_job().deadline

    @app.job
    async def unlimited() -> bool:
        current_job().extend_timeout(5)
        return current_job().deadline is None

    async with app, app.worker():
        assert await (await work.delay()).result(SOON)
        assert await (await unlimited.delay()).result(SOON)


async def test_an_attempt_that_is_cancelled_gets_no_more_time(app: App) -> None:
    @app.job(timeout=0.2, retry=NO_RETRY)
    def work() -> None:
        while not current_job().is_cancelled:
            time.sleep(0.01)
        current_job().extend_timeout(60)

    async with app, app.worker():
        with pytest.raises(JobFailed, match=r"timeout of 0\.2 s$"):
            await (await work.delay()).result(SOON)


@pytest.mark.parametrize("seconds", [-1, "1 min", None])
async def test_an_extension_is_a_duration(app: App, seconds: Any) -> None:
    @app.job(timeout=60)
    async def work() -> str:
        with pytest.raises(ArgumentsError) as raised:
            current_job().extend_timeout(seconds)
        return str(raised.value)

    async with app, app.worker():
        assert (await (await work.delay()).result(SOON)).startswith(f"seconds={seconds!r}: expected ")


# -- a handler that goes on in spite of all


async def test_the_job_of_a_thread_long_past_its_timeout_fails_as_that_and_is_tried_again(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(lease=1, max_deaths=1)
    release = threading.Event()

    @app.job(timeout=0.1, retry=RetryPolicy(max_retries=1, initial=0.01))
    def hang() -> str:
        if current_job().attempt == 1:
            release.wait(SOON)
        return "the second"

    async with app, app.worker():
        handle = await hang.delay()
        assert await handle.result(SOON) == "the second"
        job = await handle.refresh()
        release.set()
        await until(lambda: "ends now, long after its timeout" in caplog.text, "the thread's end is logged")
        assert (await app.queue_stats("default")).succeeded_total == 1
    assert (job.failures, job.deaths) == (1, 0)
    [error] = job.errors
    assert error.type == "TimeoutError"
    assert error.message == (
        "the attempt took longer than its timeout of 0.1 s, and its handler goes on in a thread, which can't be stopped"
    )
    # Where it hangs.
    assert "release.wait(SOON)" in error.traceback
    assert f"job {handle.id} (hang) failed at attempt 1, retry in" in caplog.text
    assert "worker had died" not in caplog.text
    assert "had been lost" not in caplog.text


@pytest.mark.parametrize("when", ["before its timeout", "after its timeout"])
async def test_a_cancelled_job_whose_thread_goes_on_is_not_run_again(make_app: Callable[..., App], when: str) -> None:
    app = make_app(lease=1.5)
    reached, release = threading.Event(), threading.Event()
    runs: list[int] = []

    @app.job(timeout=1 if when == "before its timeout" else 0.1, retry=RetryPolicy(max_retries=1, initial=0.01))
    def hang() -> None:
        runs.append(current_job().attempt)
        while when == "after its timeout" and not current_job().is_cancelled:
            time.sleep(0.01)
        reached.set()
        release.wait(SOON)

    async with app, app.worker():
        handle = await hang.delay()
        await until(reached.is_set, "the handler has come so far")
        assert await handle.cancel("not needed")
        job = await wait_ended(app, handle.id)
        release.set()
    assert job is not None
    assert (job.state, job.reason, runs) == (JobState.CANCELLED, "not needed", [1])


async def test_the_job_of_a_handler_that_swallows_its_cancellation_fails_as_that(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1, max_deaths=1, shutdown_timeout=0)
    release = asyncio.Event()

    @app.job(timeout=0.1, retry=NO_RETRY)
    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with app, app.worker():
        with pytest.raises(JobFailed, match=r"TimeoutError: .* and its handler goes on although it is cancelled"):
            await (await stubborn.delay()).result(SOON)
        release.set()
