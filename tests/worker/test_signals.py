"""Signals stop the worker that they are sent to, and not the worker whose handler has forked the process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Callable

import pytest

from asyncjobs import App, Worker
from tests.waiting import SOON, until_workers

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def exit_code_after(number: int) -> int | None:
    """Fork a process, send it a signal, and return its exit code; ``None`` if it goes on."""
    # No event of multiprocessing: the signal could come while the process holds its lock.
    running, runs = os.pipe()

    def sleep() -> None:
        os.write(runs, b".")
        # A process that a thread has forked sees a signal only in a call that asks for it (Python 3.13): the sleep does
        # where one comes meanwhile, and not where it comes just before.
        for _ in range(600):
            time.sleep(0.1)
            signal.pthread_sigmask(signal.SIG_BLOCK, [])

    child = multiprocessing.get_context("fork").Process(target=sleep)
    child.start()
    assert child.pid is not None
    if number == signal.SIGINT:
        # The others may come at once.
        os.read(running, 1)
    os.kill(child.pid, number)
    child.join(5)
    code = child.exitcode
    child.kill()
    child.join()
    os.close(running)
    os.close(runs)
    return code


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP), (signal.SIGINT, 1)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
async def test_a_signal_to_a_process_that_a_handler_forks_ends_that_and_not_the_worker(
    make_app: Callable[..., App], number: int, code: int
) -> None:
    app = make_app(shutdown_timeout=0.1)

    @app.job
    async def fork() -> int | None:
        return exit_code_after(number)

    @app.job
    def fork_in_a_thread() -> int | None:
        return exit_code_after(number)

    async with app:
        worker = Worker(app)
        run = asyncio.create_task(worker.run())
        for job in (fork, fork_in_a_thread):
            handle = await job.delay()
            assert await handle.result(SOON) == code
        assert not run.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(run, SOON)


async def test_each_of_the_signals_stops_a_worker(app: App) -> None:
    async with app:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            before = signal.getsignal(number)
            run = asyncio.create_task(Worker(app).run())
            await until_workers(app, 1)
            os.kill(os.getpid(), number)
            await asyncio.wait_for(run, SOON)
            assert signal.getsignal(number) is before


async def test_a_hang_up_that_the_process_ignores_stops_no_worker(app: App) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with app:
            worker = Worker(app)
            run = asyncio.create_task(worker.run())
            await until_workers(app, 1)
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            worker.stop()
            await asyncio.wait_for(run, SOON)
    finally:
        signal.signal(signal.SIGHUP, before)
