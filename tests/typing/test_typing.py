"""What mypy and pyright say of right and of wrong calls."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncjobs import App, JobHandle, Middleware, Worker
from asyncjobs.jobs.definition import AsyncJobDefinition, JobCall, SyncJobDefinition
from asyncjobs.telemetry import QueueGauges
from asyncjobs.testing import Kit

HERE = Path(__file__).parent


def marked(path: Path) -> set[int]:
    """Return the numbers of the lines that are marked as wrong."""
    return {n for n, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# wrong")}


def mypy(path: Path) -> set[int]:
    """Return the numbers of the lines in which mypy finds an error."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", os.devnull, str(path)],
        capture_output=True,
        text=True,
        cwd=HERE.parent.parent,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(found) for found in re.findall(rf"{path.name}:(\d+): error", done.stdout)}


def pyright(path: Path) -> set[int]:
    """Return the numbers of the lines in which pyright finds an error."""
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    report = json.loads(done.stdout[done.stdout.index("{") :])
    return {one["range"]["start"]["line"] + 1 for one in report["generalDiagnostics"] if one["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_calls_are_accepted(checker: type) -> None:
    assert checker(HERE / "right.py") == set()


@pytest.mark.parametrize("name", ["wrong.py", "forgotten.py"])
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_wrong_call_is_found_and_no_other_line(checker: type, name: str) -> None:
    assert checker(HERE / name) == marked(HERE / name)


AWAITED = [App, JobHandle, AsyncJobDefinition, SyncJobDefinition, JobCall, Worker, Middleware, QueueGauges, Kit]


@pytest.mark.parametrize("kind", AWAITED)
def test_no_awaitable_method_is_missing_among_the_forgotten_ones(kind: type) -> None:
    lines = (HERE / "forgotten.py").read_text().splitlines()
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        returned = str(method.__annotations__.get("return", ""))
        assert not returned.startswith("Awaitable"), f"{kind.__name__}.{name}: no checker finds a forgotten await of it"
        is_awaited = inspect.iscoroutinefunction(method) or returned.startswith("Coroutine")
        if is_awaited and not name.startswith("_"):
            assert any(f".{name}(" in line and line.endswith("# wrong") for line in lines), f"{kind.__name__}.{name}"
