"""``asyncjobs worker --reload``, as one who edits the program's source meets it."""

from __future__ import annotations

import os
import signal
import sysconfig
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncjobs import App
from asyncjobs.cli.loading import is_installed
from asyncjobs.cli.reload import Reloader, source_folders, watching
from tests.cli.conftest import Command
from tests.waiting import SOON, until_sync

LIVE = """
import asyncio
from pathlib import Path
from asyncjobs import App
from asyncjobs.cli.reload import Reloader, watching

app = App()
VERSION = {version!r}

@app.job
async def version() -> str:
    return VERSION

@app.job
async def hang_in_the_first(path: str) -> str:
    if VERSION == "one":
        Path(path).touch()
        await asyncio.sleep(600)
    return f"went back to {{VERSION}}"
"""
BROKEN = """
from pathlib import Path
Path({path!r}).touch()
raise RuntimeError("half a thought")
"""

#: A start of a process, on a machine that runs other tests too.
STARTED = 3 * SOON


@pytest.fixture
def app(redis_url: str) -> App:
    """The sender beside the worker."""
    app = App(redis_url)

    @app.job
    async def version() -> str: ...  # type: ignore[empty-body]

    @app.job
    async def hang_in_the_first(path: str) -> str: ...  # type: ignore[empty-body]

    return app


def _answer(app: App, job: str, *args: Any) -> Any:
    return app.sync.result(app.registry.get(job).delay_sync(*args), timeout=STARTED)


def test_the_worker_starts_anew_as_the_source_changes_and_waits_while_it_is_broken(
    command: Command, app: App, tmp_path: Path
) -> None:
    source, marks = command.folder / "live.py", tmp_path / "marks"
    marks.mkdir()
    source.write_text(LIVE.format(version="one"))
    worker = command.start("worker", "live:app", "--reload")
    assert _answer(app, "version") == "one"

    hanging = app.registry.get("hang_in_the_first").delay_sync(str(marks / "hangs"))
    until_sync((marks / "hangs").exists, "the handler has started")
    # Of another length: by that and the second of its change, Python tells whether the compiled file still holds.
    source.write_text(LIVE.format(version="the second"))
    assert app.sync.result(hanging, timeout=STARTED) == "went back to the second"
    job = app.sync.find_job(hanging.id)
    assert job is not None
    assert (job.failures, job.deaths) == (0, 0)

    source.write_text(BROKEN.format(path=str(marks / "broken")))
    until_sync((marks / "broken").exists, "the broken source was imported", within=STARTED)
    until_sync(lambda: not psutil.Process(worker.pid).children(), "its process has ended", within=STARTED)
    waiting = app.registry.get("version").delay_sync()
    source.write_text(LIVE.format(version="three"))
    assert app.sync.result(waiting, timeout=STARTED) == "three"

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0
    assert worker.stdout is not None
    output = worker.stdout.read()
    assert "changed are live.py" in output
    assert "change detected" not in output
    assert "importing 'live' failed: RuntimeError: half a thought" in output
    assert "another starts when a file changes" in output


def test_the_first_signal_gives_what_runs_back_at_once(command: Command, app: App, tmp_path: Path) -> None:
    (command.folder / "live.py").write_text(LIVE.format(version="one"))
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "60"
    worker = command.start("worker", "live:app", "--reload")
    hanging = app.registry.get("hang_in_the_first").delay_sync(str(tmp_path / "hangs"))
    until_sync((tmp_path / "hangs").exists, "the handler has started", within=STARTED)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(SOON) == 0
    job = app.sync.find_job(hanging.id)
    assert job is not None
    assert (job.state.value, job.failures, job.deaths) == ("pending", 0, 0)


def test_another_process_follows_the_one_that_has_run_its_jobs(command: Command, app: App) -> None:
    (command.folder / "live.py").write_text(LIVE.format(version="one"))
    command.start("worker", "live:app", "--reload", "--max-jobs", "1")
    assert [_answer(app, "version") for _ in range(2)] == ["one", "one"]


def test_source_that_lies_elsewhere_is_watched_with_what_lies_beside_it(
    command: Command, app: App, tmp_path: Path
) -> None:
    source, folder = tmp_path / "elsewhere" / "src", tmp_path / "here"
    for package in ("live", "versions"):
        (source / package).mkdir(parents=True)
        (source / package / "__init__.py").touch()
    folder.mkdir()
    text = LIVE.format(version="").replace("VERSION = ''", "from versions.current import VERSION")
    (source / "live" / "jobs.py").write_text(text)
    (source / "versions" / "current.py").write_text("VERSION = 'one'")
    command.folder = folder
    command.environ["PYTHONPATH"] = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    worker = command.start("worker", "live.jobs:app", "--reload")
    assert _answer(app, "version") == "one"
    (source / "versions" / "current.py").write_text("VERSION = 'the second'")
    until_sync(lambda: _answer(app, "version") == "the second", "the worker has started anew", within=STARTED)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0
    assert worker.stdout is not None
    assert f"changed are {Path('..', 'elsewhere', 'src', 'versions', 'current.py')}" in worker.stdout.read()


def test_what_is_installed_is_not_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "shop.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "sources"))
    # That of the shop lies below.
    assert source_folders(["msgspec.json", "json", "sys", "nothing.at.all", "shop"]) == [tmp_path]


def test_a_folder_beside_those_of_what_is_installed_is_not_one_of_them() -> None:
    for name in ("stdlib", "purelib", "platlib"):
        folder = sysconfig.get_path(name)
        assert is_installed(folder)
        assert is_installed(f"{folder}{os.sep}shop.py")
        assert not is_installed(f"{folder}-own{os.sep}shop.py")


def test_it_is_told_that_changes_are_not_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watching(Reloader([], 1), [tmp_path / "gone"]):
        until_sync(lambda: caplog.messages, "the error is told")
    [told] = caplog.messages
    assert told.startswith("changes of files are not seen any more: ")
    assert told.endswith("; mend that, and start the command anew")


def test_without_watchfiles_the_error_names_the_extra(command: Command) -> None:
    (command.folder / "watchfiles.py").write_text("raise ImportError")
    done = command.run("worker", "shop:app", "--reload")
    assert done.returncode == 2
    assert "--reload needs watchfiles: pip install 'asyncjobs-redis[reload]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shop:app", "--reload", "--burst"], "give no --burst"),
        (["--reload"], "which app?"),
        (["shop:app", "--reload", "--processes", "0"], "--processes 0: expected 1 or more"),
    ],
)
def test_what_can_not_be_reloaded_is_refused(command: Command, arguments: list[str], told: str) -> None:
    done = command.run("worker", *arguments)
    assert (done.returncode, told in done.stderr) == (2, True)
