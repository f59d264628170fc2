"""The process of a worker ends after a signal, whatever its handlers and its server do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from asyncjobs.worker.run import END_WITHIN_S
from tests.cli.conftest import Command
from tests.servers import Server, server
from tests.waiting import SOON, until_sync

#: What the page on workers states, beyond ``shutdown_timeout``; and what a busy machine may take to reap a process.
BOUND_S = 10.0
MACHINE_S = 3.0

SHUTDOWN_TIMEOUT_S = 0.5

#: Each job writes its file once it has begun.
HARBOUR = """
import asyncio, os, time
from collections.abc import AsyncIterator
from pathlib import Path
import anyio
from asyncjobs import App, Inject, resource

app = App()
hanging = os.environ.get("HANGING")

async def swallow() -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@app.job
def plain(path: str) -> None:
    Path(path).touch()
    time.sleep(600)

@app.job
async def to_thread(path: str) -> None:
    Path(path).touch()
    await asyncio.to_thread(time.sleep, 600)

@app.job
async def anyio_thread(path: str) -> None:
    Path(path).touch()
    await anyio.to_thread.run_sync(time.sleep, 600)

@app.job
async def swallowing(path: str) -> None:
    Path(path).touch()
    await swallow()

@app.job
async def leaving(path: str) -> None:
    app.left = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    Path(path).touch()

@app.job
async def blocking(path: str) -> None:
    Path(path).touch()
    time.sleep(600)

@app.job
async def forking(path: str) -> None:
    pid = os.fork()
    if not pid:
        Path(path).write_text(str(os.getpid()))
        time.sleep(600)
    await asyncio.sleep(600)

@resource(scope="worker")
async def pool() -> AsyncIterator[int]:
    if hanging == "opening":
        Path(os.environ["BEGUN"]).touch()
        await asyncio.sleep(600)
    yield 1
    if hanging == "closing":
        await swallow()

if hanging:
    @app.job
    async def with_pool(path: str, pool: int = Inject(pool)) -> None:
        Path(path).touch()
"""


@pytest.fixture
def begun(command: Command, tmp_path: Path) -> Path:
    """The folder in which each job writes a file of its name once it has begun."""
    (tmp_path / "harbour.py").write_text(HARBOUR)
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = str(SHUTDOWN_TIMEOUT_S)
    folder = tmp_path / "begun"
    folder.mkdir()
    command.environ["BEGUN"] = str(folder / "with_pool")
    return folder


def start(command: Command, begun: Path, *jobs: str) -> list[subprocess.Popen[str]]:
    """Start a worker for each of the jobs, and wait until all have begun."""
    if command.environ.get("HANGING") != "opening":
        sends = [f"harbour.{job}.with_options(queue={job!r}).delay_sync({str(begun / job)!r})" for job in jobs]
        program = "; ".join(["import harbour", *sends])
        subprocess.run([sys.executable, "-c", program], cwd=command.folder, env=command.environ, check=True)
    workers = [command.start("worker", "harbour:app", "--queues", job) for job in jobs]
    for job in jobs:
        # They all start at once.
        until_sync((begun / job).exists, f"{job} has begun", within=3 * SOON)
    return workers


def end_by_signal(workers: Sequence[subprocess.Popen[str]], bound: float = SHUTDOWN_TIMEOUT_S + BOUND_S) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    until = time.monotonic() + bound + MACHINE_S
    for worker in workers:
        worker.wait(max(0.0, until - time.monotonic()))


def test_a_signal_ends_the_process_whatever_a_handler_does(command: Command, begun: Path) -> None:
    jobs = ["plain", "to_thread", "anyio_thread", "swallowing", "leaving", "blocking"]
    # The error of one that does not end in time has its arguments, and with them its job.
    end_by_signal(start(command, begun, *jobs))


@pytest.mark.parametrize("hanging", ["opening", "closing"])
def test_a_signal_ends_a_process_whose_resource_hangs(command: Command, begun: Path, hanging: str) -> None:
    command.environ["HANGING"] = hanging
    workers = start(command, begun, "with_pool")
    # While it starts, nothing has to be waited for.
    end_by_signal(workers, 0 if hanging == "opening" else SHUTDOWN_TIMEOUT_S + BOUND_S)


@contextlib.contextmanager
def stalled(one: Server) -> Iterator[None]:
    """Let a server answer nothing inside the block."""
    os.kill(one.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(one.pid, signal.SIGCONT)


def test_a_signal_ends_the_process_although_the_server_stands_still(command: Command, begun: Path) -> None:
    with server() as own:
        command.environ["ASYNCJOBS_URL"] = own.url
        workers = start(command, begun, "leaving", "swallowing")
        with stalled(own):
            end_by_signal(workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cancels_handlers_and_a_third_ends_the_process(
    command: Command, begun: Path, number: signal.Signals
) -> None:
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "600"
    [worker] = start(command, begun, "swallowing")
    for _ in range(2):
        worker.send_signal(number)
        # Signals of one kind that come at once are one.
        time.sleep(0.3)
    assert worker.poll() is None
    worker.send_signal(number)
    assert worker.wait(END_WITHIN_S / 2) == 128 + number


def test_a_forked_child_of_a_handler_ends_at_a_signal_and_its_worker_goes_on(command: Command, begun: Path) -> None:
    [worker] = start(command, begun, "forking")
    until_sync((begun / "forking").read_text, "the child has written its number")
    child = int((begun / "forking").read_text())
    os.kill(child, signal.SIGTERM)
    until_sync(lambda: is_zombie(child), "the child has ended")
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(SHUTDOWN_TIMEOUT_S + 1)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_third_signal_ends_a_program_that_runs_a_worker_itself(command: Command, begun: Path) -> None:
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "600"
    program = (
        "import asyncio, harbour, sys\n"
        "from asyncjobs import Worker\n"
        "async def main():\n"
        "    async with harbour.app:\n"
        "        await harbour.swallowing.delay(sys.argv[1])\n"
        "        await Worker(harbour.app).run()\n"
        "asyncio.run(main())\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(begun / "swallowing")],
        cwd=command.folder,
        env=command.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_sync((begun / "swallowing").exists, "the handler has begun")
        for _ in range(2):
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(END_WITHIN_S / 2) == -signal.SIGTERM
    finally:
        worker.kill()
        worker.wait()
