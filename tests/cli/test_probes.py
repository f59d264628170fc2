"""The probes of a worker as an orchestrator asks them: by HTTP, and by a command."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from asyncjobs import App
from tests.cli.conftest import Command
from tests.servers import free_port, server
from tests.waiting import SOON, until_sync

BLOCKING = """
import time
from pathlib import Path
from asyncjobs import App

app = App()

@app.job
async def block(path: str) -> None:
    Path(path).touch()
    time.sleep(60)
"""


def _asks(command: Command, port: int, *options: str) -> tuple[int, str]:
    done = command.run("health", "--health-port", str(port), *options)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_says_when_it_is_ready_and_when_it_stops(command: Command, processes: str) -> None:
    port = free_port()
    code, text = _asks(command, port)
    assert (code, f"no worker answers on 127.0.0.1:{port}" in text) == (1, True)
    worker = command.start("worker", "shop:app", "--processes", processes, "--health-port", str(port))
    until_sync(lambda: _asks(command, port)[0] == 0, "the worker is ready")
    assert _asks(command, port) == (0, "ready\n")
    assert _asks(command, port, "--live") == (0, "live\n")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0
    assert _asks(command, port, "--live")[0] == 1


def test_processes_are_ready_while_one_of_them_is_and_live_unless_all_are_stuck(
    command: Command, redis_url: str, tmp_path: Path
) -> None:
    (command.folder / "blocking.py").write_text(BLOCKING)
    sender = App(redis_url)

    @sender.job
    async def block(path: str) -> None: ...

    port = free_port()
    worker = command.start(
        "worker", "blocking:app", "--processes", "2", "--concurrency", "1", "--health-port", str(port)
    )
    until_sync(lambda: _asks(command, port, "--json")[1].count('"is_ready": true') == 3, "both are ready")
    block.delay_sync(str(tmp_path / "one"))
    until_sync(lambda: '"is_live": false' in _asks(command, port, "--json")[1], "one of them is stuck")
    assert _asks(command, port)[0] == 0
    assert _asks(command, port, "--live")[0] == 0
    block.delay_sync(str(tmp_path / "two"))
    until_sync(lambda: _asks(command, port, "--live")[0] == 1, "both are stuck")
    code, text = _asks(command, port)
    assert (code, text.count("the event loop has been blocked for ")) == (1, 2)
    for process in psutil.Process(worker.pid).children():
        process.kill()
    until_sync(lambda: _asks(command, port)[0] == 0, "others are ready in their place")


def test_a_worker_waits_for_its_broker_and_is_live_meanwhile(command: Command) -> None:
    port = free_port()
    with server() as broker:
        broker.kill(signal.SIGKILL)
        worker = command.start("worker", "shop:app", "--url", broker.url, "--health-port", str(port))
        until_sync(lambda: _asks(command, port, "--live")[0] == 0, "it answers")
        code, text = _asks(command, port)
        assert (code, text) == (1, "not ready: the worker doesn't run\n")
        broker.start()
        until_sync(lambda: _asks(command, port)[0] == 0, "the worker is ready")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(SOON) == 0


def test_a_worker_gives_up_after_the_time_that_it_may_wait(command: Command) -> None:
    began = time.monotonic()
    done = command.run("worker", "shop:app", "--url", f"redis://127.0.0.1:{free_port()}/0", "--start-timeout", "1.5")
    assert (done.returncode, "can't be reached" in done.stderr) == (1, True)
    assert "the worker waits to start" in done.stderr
    assert 1.0 < time.monotonic() - began < SOON
