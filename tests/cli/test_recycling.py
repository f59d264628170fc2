"""Processes of a worker that end by themselves, and what takes their place."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from asyncjobs import App
from tests.cli.conftest import Command
from tests.waiting import SOON, until_sync


@pytest.fixture
def app(redis_url: str) -> App:
    """The sender beside the workers."""
    app = App(redis_url)

    @app.job
    async def note(path: str, text: str) -> str:
        return text

    return app


def _pids(path: Path) -> list[str]:
    return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_process_ends_with_code_0_after_its_jobs(command: Command, app: App, tmp_path: Path) -> None:
    path, note = tmp_path / "notes", app.registry.get("note")
    for text in "abc":
        note.delay_sync(str(path), text)
    worker = command.start("worker", "shop:app", "--max-jobs", "2")
    assert worker.wait(SOON) == 0
    assert len(_pids(path)) == 2
    assert worker.stdout is not None
    assert "the worker has reached max_jobs" in worker.stdout.read()


def test_the_command_in_a_thread_of_a_program_ends_after_its_jobs(command: Command, app: App, tmp_path: Path) -> None:
    app.registry.get("note").delay_sync(str(tmp_path / "notes"), "a")
    program = """
import threading
from asyncjobs.cli.main import main
thread = threading.Thread(target=lambda: print("code", main(["worker", "shop:app", "--max-jobs", "1"])))
thread.start()
thread.join()
"""
    done = command.run_code(program)
    assert "code 0" in done.stdout, done.stderr


def test_another_process_follows_under_a_supervisor(command: Command, app: App, tmp_path: Path) -> None:
    path, note = tmp_path / "notes", app.registry.get("note")
    for number in range(6):
        note.delay_sync(str(path), str(number))
    worker = command.start("worker", "shop:app", "--processes", "2", "--concurrency", "1", "--max-jobs", "2")
    until_sync(lambda: len(_pids(path)) == 6, "all jobs have run", within=3 * SOON)
    ran = Counter(_pids(path))
    assert len(ran) > 2
    assert max(ran.values()) == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0


@pytest.mark.parametrize("size", ["many", "1TB", "-1", "9" * 400, "1.5.5M"])
def test_a_size_that_is_none_is_refused(command: Command, size: str) -> None:
    done = command.run("worker", "shop:app", f"--max-memory={size}")
    assert done.returncode == 2
    assert "expected a size, as in 512MiB or 2GiB" in done.stderr


def test_a_size_below_what_the_worker_uses_is_refused(command: Command) -> None:
    done = command.run("worker", "shop:app", "--max-memory", "1.5M", "--processes", "2")
    assert done.returncode == 2
    assert "max_memory=1572864: before its first job the worker uses" in done.stderr
