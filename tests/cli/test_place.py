"""Where a command acts: the code of an app, the server of a URL; and what is asked before jobs are destroyed there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.cli import main
from tests.cli.conftest import Command
from tests.cli.lines import COMMANDS, sample
from tests.servers import Server
from tests.waiting import SOON, until_sync

Run = Callable[..., tuple[int, str, str]]

OWN = """
from asyncjobs import App

app = App({url!r}, prefix="own")

@app.job(queue="emails")
async def work(number: int = 1) -> None: ...
"""


@pytest.fixture
def urls(redis_server: Server) -> tuple[str, str]:
    """The URLs of two empty databases of one server: the app's own, and the other."""
    with contextlib.closing(redis_server.client()) as client:
        client.flushall()
    return redis_server.url, re.sub(r"/\d+$", "", redis_server.url) + "/1"


@pytest.fixture
def run(
    urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command in this process, in a folder with a module ``own``; return what it printed on each stream."""
    (tmp_path / "own.py").write_text(OWN.format(url=urls[0]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        sys.modules.pop("own", None)
        code = main(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    yield call
    sys.modules.pop("own", None)


def bury(url: str, count: int = 2) -> App:
    """Put jobs into the dead letter queue of a server."""
    app = App(url, prefix="own", lease=1)

    @app.job(queue="emails", retry=RetryPolicy(max_retries=0))
    async def work(number: int = 1) -> None:
        raise LookupError("no such user")

    async def drain() -> None:
        async with app:
            for number in range(count):
                await work.delay(number)
            await Worker(app).run_until_empty()

    asyncio.run(drain())
    return App(url, prefix="own")


# -- the code of the app, the server of the URL


def test_with_an_app_and_a_url_the_jobs_of_the_urls_server_are_destroyed(run: Run, urls: tuple[str, str]) -> None:
    own, other = map(bury, urls)
    code, out, error = run("delete", "--all", "--app", "own:app", "--url", urls[1], "--yes")
    assert (code, out) == (0, "2 jobs deleted\n")
    assert f"acting on {urls[1]}" in error
    assert (len(own.sync.failed_jobs()), len(other.sync.failed_jobs())) == (2, 0)


def test_every_command_takes_the_app_by_one_option_and_a_url_beside_it(run: Run, urls: tuple[str, str]) -> None:
    other = bury(urls[1], 1)
    named = ["--app", "own:app", "--url", urls[1]]
    for command in COMMANDS.keys() - {"demo", "dashboard", "health"}:
        line = [one for one in sample(command) if one not in ("--app", "shop:app")]
        error = run(*line, *named)[2]
        assert f"asyncjobs: acting on {urls[1]}, which --url names, not on {urls[0]} of own:app" in error
    assert other.sync.queue_stats("emails").failed == 1
    # The prefix is the app's.
    [job] = json.loads(run("failed", *named, "--json")[1])
    assert job["errors"][0]["message"] == "no such user"
    assert json.loads(run("failed", "--app", "own:app", "--json")[1]) == []


@pytest.mark.parametrize("command", ["worker", "check", "stats"])
def test_the_app_may_stand_alone_where_nothing_else_can(run: Run, command: str, urls: tuple[str, str]) -> None:
    line = [one for one in sample(command) if one not in ("--app", "shop:app")]
    assert run(*line, "own:app")[0] == 0
    code, _, error = run(*line, "own:app", "--app", "own")
    assert (code, "two apps are named, 'own:app' and --app 'own'" in error) == (2, True)


def test_a_command_that_needs_code_asks_for_it(run: Run) -> None:
    for command in ("worker", "check"):
        code, out, error = run(command)
        assert (code, out, error) == (2, "", "asyncjobs: which app? Name it, as in --app shop:app\n")


def test_the_processes_of_a_worker_are_on_the_urls_server_and_dont_show_its_password(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN.format(url=urls[0]))
    command = Command(tmp_path, urls[0])
    app = App(urls[1], prefix="own")
    # The server takes any password for its default user.
    url = urls[1].replace("://", "://default:s3cret@")
    worker = command.start("worker", "--app", "own:app", "--url", url, "--processes", "2")
    try:
        until_sync(lambda: len(app.sync.stats().workers) == 2, "both workers are there")
        for child in psutil.Process(worker.pid).children():
            assert "s3cret" not in " ".join(child.cmdline())
    finally:
        worker.terminate()
        told = worker.communicate(timeout=SOON)[0]
    assert worker.returncode == 0
    assert "s3cret" not in told


@pytest.mark.parametrize("option", ["--url", "--app", "--queue", "--tenant"])
def test_an_unset_variable_of_a_shell_is_no_wish_for_all(
    run: Run, urls: tuple[str, str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = bury(urls[0])
    with pytest.raises(SystemExit):
        run("delete", "--all", "--yes", "--app", "own:app", option, "")
    assert f"argument {option}: it is empty" in capsys.readouterr().err
    assert len(own.sync.failed_jobs()) == 2


def test_an_app_that_is_open_already_cant_be_moved(run: Run, urls: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.format(url=urls[0]) + "app.sync.stats()\n")
    code, _, error = run("stats", "--app", "own:app", "--url", urls[1])
    assert (code, "the app is open on" in error) == (2, True)


# -- what destroys asks


def test_where_nobody_can_be_asked_nothing_is_destroyed_without_yes(run: Run, urls: tuple[str, str]) -> None:
    own = bury(urls[0])
    code, out, error = run("delete", "--all", "--error", "LookupError", "--app", "own:app")
    assert (code, out) == (2, "")
    which = f"dead jobs of all queues with error LookupError on {urls[0]}"
    assert error == f"asyncjobs: delete {which}: give --yes where nobody can be asked\n"
    assert len(own.sync.failed_jobs()) == 2


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("n\n", 1, 3), ("\n", 1, 3), ("\x04", 1, 3), ("yes\n", 0, 0), ("Y\n", 0, 0)]
)
def test_on_a_terminal_the_number_of_jobs_and_the_server_are_shown_first(
    urls: tuple[str, str], tmp_path: Path, answer: str, code: int, left: int
) -> None:
    (tmp_path / "own.py").write_text(OWN.format(url=urls[0]))
    own = bury(urls[0], 3)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", "delete", "--all", "--queue", "emails", "--app", "own:app"],
        cwd=tmp_path,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(leader, 65_536)
    assert f"Delete 3 dead jobs of queue emails on {urls[0]}? [y/N]" in shown.decode()
    os.write(leader, answer.encode())
    out = process.communicate(timeout=20)[0]
    os.close(leader)
    # The question is none of the output.
    assert (process.returncode, out) == (code, "" if code else "3 jobs deleted\n")
    assert len(own.sync.failed_jobs()) == left


def test_where_there_is_nothing_nobody_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: pytest.fail("it asks"))
    for line in (
        ["delete", "--all"],
        ["retry", "--all"],
        ["delete", "--all", "--name", "other"],
        ["purge", "--tenant", "acme"],
    ):
        assert run(*line, "--app", "own:app")[:2][0] == 0


# -- what does not exist


def test_a_queue_that_does_not_exist_is_not_paused(run: Run, urls: tuple[str, str]) -> None:
    other = bury(urls[1], 1)
    for line in (["pause", "--queue"], ["resume", "--queue"], ["pause", "--job", "work", "--queue"]):
        code, out, error = run(*line, "email", "--url", urls[1], "--app", "own:app")
        assert (code, out) == (1, "")
        assert "there is no queue 'email'" in error
        assert "Did you mean 'emails'?" in error
    assert not other.sync.queue_stats("email").paused
    # The code of the app names it, before any job was sent.
    assert run("pause", "--queue", "emails", "--app", "own:app") == (0, "queue emails is paused\n", "")


def test_a_list_of_a_queue_that_does_not_exist_says_so(run: Run) -> None:
    for line in (["jobs"], ["failed"], ["schedules"], ["retry", "--all", "--yes"], ["delete", "--all", "--yes"]):
        code, _, error = run(*line, "--queue", "email", "--app", "own:app")
        assert (code, "there is no queue 'email'" in error, "Did you mean 'emails'?" in error) == (0, True, True)
        assert "there is no queue" not in run(*line, "--queue", "emails", "--app", "own:app")[2]


def test_what_was_not_done_is_told_on_standard_error(run: Run, urls: tuple[str, str]) -> None:
    own = bury(urls[0], 1)
    [dead] = own.sync.failed_jobs()
    assert run("retry", dead.id, "x", "--app", "own:app") == (
        1,
        f"{dead.id}: made ready again\n",
        "x: there is no record of it\n",
    )
    assert run("cancel", dead.id, "x", "--app", "own:app") == (
        1,
        f"{dead.id}: cancelled\n",
        "x: there is no record of it\n",
    )
    assert json.loads(run("cancel", "x", "--app", "own:app", "--json")[1]) == {"x": "unknown"}


def test_a_list_on_memory_says_why_it_is_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.format(url="memory://"))
    for line in (["stats", "own:app"], ["jobs", "--app", "own:app"], ["failed", "--url", "memory://"]):
        code, out, error = run(*line)
        assert (code, "(none)" in out, "memory:// is of one process" in error) == (0, True, True)


def test_a_worker_on_memory_is_refused_with_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.format(url="memory://"))
    for line in (["--burst"], ["--processes", "2"]):
        code, _, error = run("worker", "own:app", *line)
        assert (code, "memory://" in error, "app.worker()" in error) == (2, True, True)


# -- errors of the user's code


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("port = int('x')\n", 2, "ValueError: invalid literal for int() with base 10: 'x'"),
        ("len(5)\n", 2, "TypeError: object of type 'int' has no len()"),
        ("from asyncjobs import App\napp = App(lease='x')\n", 2, "lease='x'"),
        ("import nothing_like_it\n", 1, "No module named 'nothing_like_it'"),
        ("from asyncjobs import Ap\n", 1, "ImportError: cannot import name 'Ap'"),
        ("x = (\n", 1, "SyntaxError: '(' was never closed"),
        ("import sys\nsys.exit('no')\n", 1, "SystemExit: no"),
        ("raise RuntimeError('\\x1b]0;x\\x07\\nasyncjobs: done')\n", 1, r"RuntimeError: \x1b]0;x\x07 asyncjobs: done"),
        ("raise KeyError\n", 1, "KeyError\n"),
        (
            "import pydantic\nclass S(pydantic.BaseModel):\n    url: str\nsettings = S()\n",
            2,
            "1 validation error for S url Field required",
        ),
    ],
)
def test_an_error_at_import_has_the_file_and_the_line(
    run: Run, tmp_path: Path, text: str, code: int, told: str
) -> None:
    (tmp_path / "own.py").write_text("from broken import *\n")
    (tmp_path / "broken.py").write_text(text)
    try:
        for line in (["stats", "--app", "own:app"], ["worker", "own:app"], ["check", "broken:app"]):
            ended, out, error = run(*line)
            sys.modules.pop("broken", None)
            assert (ended, out) == (code, "")
            lines = error.splitlines()
            assert lines[0].startswith(f"asyncjobs: importing {line[-1].partition(':')[0]!r} failed: ")
            assert told in error
            number = text.count("\n")
            assert lines[-1] == f"  {tmp_path / 'broken.py'}, line {number}: {text.splitlines()[number - 1]}"
            assert len(lines) == (2 if line[0] == "check" else 3)
            assert "Traceback" not in error
    finally:
        sys.modules.pop("broken", None)


@pytest.mark.parametrize("name", ["..", ".own", "own..x", "/srv/own", "own/app", "own.py"])
def test_what_is_no_module_is_refused_with_what_is_expected(run: Run, name: str) -> None:
    code, out, error = run("stats", "--app", f"{name}:app")
    assert (code, out) == (2, "")
    assert "expected names with dots between them" in error or "Did you mean 'own'?" in error


def test_check_refuses_turns_by_what_no_job_has(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from asyncjobs import App\n"
        "app = App('memory://')\n"
        "app.queue('mail', fair_by='plan')\n"
        "@app.job(queue='mail')\n"
        "async def send(to: str): ...\n"
    )
    try:
        code, out, error = run("check", "own:app")
    finally:
        sys.modules.pop("own", None)
    assert (code, out) == (2, "")
    assert "the queue 'mail' has fair_by='plan', which is a parameter of none of its jobs: send" in error
