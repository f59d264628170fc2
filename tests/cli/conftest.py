"""Runs the real command: in processes of its own, or in this one, which is quicker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asyncjobs.cli import main

__all__ = ["Command", "Run"]

Run = Callable[..., tuple[int, str, str]]

SHOP = """
import asyncio, os
from pathlib import Path
from asyncjobs import App, RetryPolicy

app = App()
number = 5

@app.job
async def note(path: str, text: str) -> str:
    with open(path, "a") as file:
        file.write(f"{text} {os.getpid()}\\n")
    return text

@app.job
async def hang(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    await asyncio.sleep(60)

@app.job
async def note_or_hang(path: str) -> str:
    if Path(path).exists():
        return "second"
    await hang(path)
"""


class Command:
    """The command ``asyncjobs``, in a folder with a module ``shop``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environ = {**os.environ, "ASYNCJOBS_URL": url, "ASYNCJOBS_LEASE": "1", "ASYNCJOBS_SHUTDOWN_TIMEOUT": "5"}
        self._running: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, within: float = 40, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return self._run("-m", "asyncjobs", *arguments, within=within, **environ)

    def run_code(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a program of Python beside the module, to the end."""
        return self._run("-c", code, within=40)

    def _run(self, *arguments: str, within: float, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=within,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start, and end it with the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncjobs", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(process)
        return process

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()


@pytest.fixture
def command(tmp_path: Path, redis_url: str) -> Iterator[Command]:
    (tmp_path / "shop.py").write_text(SHOP)
    command = Command(tmp_path, redis_url)
    yield command
    command.close()


@pytest.fixture
def run(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command in this process, on an empty server; return its exit code and what it printed on each stream."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ASYNCJOBS_URL", redis_url)

    def call(*arguments: str) -> tuple[int, str, str]:
        sys.modules.pop("shop", None)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
        told = capsys.readouterr()
        return code, told.out, told.err

    yield call
    sys.modules.pop("shop", None)
