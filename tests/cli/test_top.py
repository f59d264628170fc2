"""``asyncjobs top`` and ``asyncjobs names``."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.cli import main
from asyncjobs.cli.tables import duration_cell
from tests.waiting import SOON

LONG = "reports.build_the_quarterly_report_of_a_department_with_a_very_long_name"


@pytest.fixture
def busy(redis_url: str) -> str:
    """The URL of a server with some figures: a job has completed, one has died, one waits."""

    async def fill() -> None:
        app = App(redis_url)

        @app.job(name=LONG, queue="reports", retry=RetryPolicy(max_retries=0))
        async def report(fails: bool) -> None:
            if fails:
                raise ValueError

        async with app:
            await app.enqueue_many([report.request(fails=False), report.request(fails=True)])
            await Worker(app, queues=["reports"]).run_until_empty()
            await report.delay(fails=False)
            await report.with_options(queue="other").delay(fails=False)
            await app.pause("other")

    asyncio.run(fill())
    return redis_url


def test_once_prints_throughput_queues_and_what_runs(busy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once", "--url", busy]) == 0
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if not line.startswith(" ")] == ["asyncjobs", "Queues", "Running"]
    rows = {line.split()[0]: line for line in told.splitlines() if line.startswith("  ")}
    assert "never" in rows["reports"]
    assert "other (paused)" in rows["other"]


def test_json_has_the_loads_and_the_state(busy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--json", "--queue", "reports", "--url", busy]) == 0
    told = json.loads(capsys.readouterr().out)
    [load] = told["queues"]
    assert (load["queue"], load["backlog"], load["died_last_hour"], load["drain_s"]) == ("reports", 1, 1, None)
    assert [one["queue_name"] for one in told["stats"]["queues"]] == ["reports"]


def test_names_are_told_with_what_they_came_to(busy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names", "--url", busy]) == 0
    told = capsys.readouterr().out
    assert LONG in told
    assert "100 %" in told
    assert main(["names", "--queue", "reports", "--hours", "2", "--json", "--url", busy]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["name"], one["calls"], one["failed"]) == (LONG, 2, 1)
    assert main(["names", "--queue", "unknown", "--url", busy]) == 0
    assert "there is no queue 'unknown'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["names", "--hours", "337", "--url", busy])
    assert "a whole number from 1 to 336" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_it_is_drawn_again_and_again_and_ends_by_control_c(busy: str, columns: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "asyncjobs", "top", "--every", "1", "--url", busy]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            shown = _read(ours, lambda text: text.count("Running") >= 2)
            shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.replace("\x1b[H", "\n"))
            lines = shown.replace("\r", "").splitlines()
            assert max(map(len, lines)) <= columns
            assert ("run p95" in shown) == (columns == 120)
            assert "never" in shown
            os.killpg(process.pid, signal.SIGINT)
            _read(ours, lambda text: process.poll() is not None)
            assert process.wait(SOON) == 0
        finally:
            process.kill()
            os.close(ours)


def _read(terminal: int, is_enough: Callable[[str], bool]) -> str:
    """Read what a terminal shows until it is enough."""
    shown, until = b"", time.monotonic() + SOON
    while not is_enough(shown.decode(errors="replace")):
        assert time.monotonic() < until, shown
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:
                break
    return shown.decode(errors="replace")


def test_without_rich_the_live_view_says_what_to_install(
    busy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr("asyncjobs.cli.top.is_terminal", lambda: True)
    assert main(["top", "--url", busy]) == 2
    assert "pip install 'asyncjobs-redis[cli]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, "-"), (0.25, "0.2 ms"), (12, "12 ms"), (1_500, "1.5 s"), (90_000, "1.5 min"), (864_000_000, "10 d")],
)
def test_a_duration_stands_in_the_unit_that_fits(ms: float | None, shown: str) -> None:
    assert duration_cell(ms) == shown
