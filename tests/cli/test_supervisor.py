"""Several worker processes as a service manager sees them: that they end, how soon, and with which code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from asyncjobs import App
from tests.cli.conftest import Command
from tests.waiting import SOON, until_sync

# The module of the app, which only worker processes fail to start with.
BROKEN = """
import sys
from asyncjobs import App

app = App()
if "--supervised-by" in sys.argv:
    {line}
"""
STUBBORN = """
import os, signal
from pathlib import Path
from asyncjobs import App

app = App()

@app.job
async def block(path: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    Path(path).write_text(str(os.getpid()))
    while True:
        pass
"""


@pytest.fixture
def app(redis_url: str) -> App:
    """The sender beside the workers."""
    app = App(redis_url, lease=1)

    @app.job
    async def hang(path: str) -> None: ...

    @app.job
    async def block(path: str) -> None: ...

    return app


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children()
    return []


def wait_at_once(condition: Callable[[], object]) -> None:
    """Wait without a pause between two looks, for what lasts only a moment."""
    until_sync(condition, "the supervisor starts a process", look_every=0)


def test_a_supervisor_that_is_stopped_while_it_starts_its_processes_ends(command: Command) -> None:
    for _ in range(3):
        supervisor = command.start("worker", "shop:app", "--processes", "8")
        wait_at_once(lambda started=supervisor: children_of(started))
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(SOON) == 0


def test_a_supervisor_that_is_stopped_while_it_restarts_a_process_ends(command: Command) -> None:
    for _ in range(3):
        supervisor = command.start("worker", "shop:app", "--processes", "2")
        wait_at_once(lambda started=supervisor: len(children_of(started)) == 2)
        before = {child.pid for child in children_of(supervisor)}
        os.kill(min(before), signal.SIGKILL)
        wait_at_once(lambda started=supervisor, old=before: {child.pid for child in children_of(started)} - old)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(SOON) == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("raise RuntimeError('no disk')", 1),
        # A wrong setting doesn't become right.
        ("app.job(name='one')(int)", 2),
    ],
    ids=["raises", "is-misconfigured"],
)
def test_a_supervisor_whose_processes_cant_start_gives_up(command: Command, line: str, code: int) -> None:
    (command.folder / "broken.py").write_text(BROKEN.format(line=line))
    done = command.run("worker", "broken:app", "--processes", "2", within=60)
    assert done.returncode == code
    assert "the worker gives up, since its processes can't start" in done.stderr


def test_a_process_that_dies_at_work_is_no_failed_start(command: Command, app: App) -> None:
    supervisor = command.start("worker", "shop:app", "--processes", "2", "--concurrency", "1")
    for _ in range(2):
        app.registry.get("hang").delay_sync("/dev/null")
    until_sync(lambda: app.sync.queue_stats("default").running == 2, "both processes are at work")
    for child in children_of(supervisor):
        child.kill()
    until_sync(lambda: len(children_of(supervisor)) == 2, "both are replaced")
    supervisor.send_signal(signal.SIGTERM)
    assert "before it had begun to work" not in supervisor.communicate(timeout=SOON)[0]


def test_a_process_that_does_not_end_is_killed_in_time(command: Command, app: App, tmp_path: Path) -> None:
    (command.folder / "stubborn.py").write_text(STUBBORN)
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "0.1"
    app.registry.get("block").delay_sync(str(tmp_path / "pid"))
    supervisor = command.start("worker", "stubborn:app", "--processes", "2")
    until_sync((tmp_path / "pid").exists, "the handler runs")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(SOON) == 1
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_third_signal_kills_at_once(command: Command, app: App, tmp_path: Path) -> None:
    (command.folder / "stubborn.py").write_text(STUBBORN)
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "600"
    app.registry.get("block").delay_sync(str(tmp_path / "pid"))
    supervisor = command.start("worker", "stubborn:app", "--processes", "2")
    until_sync((tmp_path / "pid").exists, "the handler runs")
    for wanted in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        supervisor.send_signal(wanted)
    assert supervisor.wait(5) == 1


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_whose_terminal_closes_gives_its_job_back(
    command: Command, app: App, tmp_path: Path, processes: str
) -> None:
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "0.1"
    job_id = app.registry.get("hang").delay_sync(str(tmp_path / "hangs")).id
    worker = command.start("worker", "shop:app", "--processes", processes)
    until_sync((tmp_path / "hangs").exists, "the handler runs")
    worker.send_signal(signal.SIGHUP)
    assert worker.wait(SOON) == 0
    job = app.sync.find_job(job_id)
    assert job is not None
    assert (job.state.value, job.attempt) == ("pending", 1)


OWN_NAMES = """
from asyncjobs import App

app = App()

@app.job(executor="process")
def double(number: int) -> int:
    return 2 * number
"""


def test_a_project_may_have_modules_named_as_those_of_the_standard_library(command: Command, redis_url: str) -> None:
    (command.folder / "doubling.py").write_text(OWN_NAMES)
    for name in ("queue", "types", "random", "signal"):
        (command.folder / f"{name}.py").write_text("raise RuntimeError('not what was meant')")
    app = App(redis_url)

    @app.job
    def double(number: int) -> int: ...

    handle = double.delay_sync(21)
    # As the installed command does, and unlike `python -m`, which puts the folder first from the start.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "asyncjobs", "worker", "doubling:app", "--processes", "2", "--burst"],
        cwd=command.folder,
        env={**command.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    assert app.sync.result(handle, SOON) == 42
