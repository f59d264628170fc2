"""Text of senders that would harm a terminal, through every command: into pipes, and on narrow and wide terminals."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import TENANT, App, ArgumentsError, RetryPolicy, Worker
from asyncjobs.cli import main
from tests.cli.conftest import Command
from tests.cli.lines import COMMANDS, HOSTILE, Terminal, assert_safe

Look = Callable[..., tuple[int, str]]

# Colors and the like, as rich writes them.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_LOOKS = ["pipe", "terminal of 80", "terminal of 120", "plain terminal of 80", "plain terminal of 120"]


class Harm:
    """Jobs and a schedule that have ``text`` in all places that take it.

    Args:
        url: The URL of an empty server.
        text: The text.
    """

    def __init__(self, url: str, text: str) -> None:
        self.text = text
        # Names and ids have no white space, ids and tenants fewer control characters, and none of them any length.
        self.name = re.sub(r"\s", "", text)[:60]
        self.tenant = re.sub(r"[\x00-\x1f\x7f]", "", text)[:50]
        own_id = re.sub(r"[\s\x00-\x1f]", "", text)[:100]
        self.url = url
        self.app = App(url, lease=1)
        work = self._define(self.app)
        # Code that has none of the jobs, for the check before a deploy.
        self.module = types.ModuleType("empty")
        vars(self.module)["app"] = App(url)
        call = work.with_options(metadata={text: text}, tenant=self.tenant)
        self.dead = call.with_options(job_id=f"dead{own_id}").delay_sync(text).id
        self._drain()
        self.waiting = call.with_options(job_id=own_id).delay_sync(text).id
        self.app.queue("turns", fair_by=TENANT)
        call.with_options(queue="turns").delay_sync(text)
        self.app.sync.add_schedule(own_id, call.request(text), every=3600)
        [self.schedule] = [info.id for info in self.app.sync.schedules()]

    def _define(self, app: App) -> Any:
        @app.job(name=self.name, retry=RetryPolicy(max_retries=0))
        async def work(text: str) -> None:
            raise type(text[:50], (Exception,), {"__module__": text[:50]})(text)

        return work

    def _drain(self) -> None:
        async def drain() -> None:
            app = App(self.url, lease=1)
            self._define(app)
            async with app:
                await Worker(app).run_until_empty()

        asyncio.run(drain())

    def reading(self) -> list[list[str]]:
        """Return lines for the commands that show what is stored."""
        return [
            ["problems"],
            ["jobs"],
            ["jobs", "--tenant", self.tenant],
            ["jobs", "--name", self.name, "--text", self.tenant],
            ["failed"],
            ["failed", "--groups"],
            ["show", self.dead],
            ["show", self.waiting],
            ["why", self.dead],
            ["why", self.waiting],
            ["check", "--app", "empty:app"],
            ["stats"],
            ["names"],
            ["tenants"],
            ["top", "--once"],
            ["stats", "--tenant", self.tenant],
            ["schedules"],
            ["schedules", "next", self.schedule],
            ["queues"],
            ["limits"],
            ["turns", "turns"],
            ["workers"],
            ["audit"],
            ["doctor"],
        ]

    def changing(self) -> list[list[str]]:
        """Return lines for the commands that change what is stored."""
        return [
            *(["schedules", action, self.schedule] for action in ("pause", "resume", "trigger")),
            ["pause", "--job", self.name],
            ["resume", "--job", self.name],
            ["pause", "--tenant", self.tenant],
            ["resume", "--tenant", self.tenant],
            ["pause", "--queue", "default", "--why", self.text[:500]],
            ["resume", "--queue", "default"],
            ["limit", "default", "--rate", "50/s"],
            ["limits", "--queue", "default"],
            ["enqueue", "other", "--args", json.dumps([self.text]), "--id", "sent-by-hand"],
            ["retry", self.dead, self.waiting],
            ["delete", self.waiting],
            ["undo", self.waiting],
            ["cancel", self.waiting, "--reason", self.name],
            ["cancel", "--all", "--name", self.name, "--yes"],
            ["purge", "--tenant", self.tenant, "--yes"],
            ["schedules", "remove", self.schedule],
        ]


@pytest.fixture(params=list(HOSTILE))
def harm(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Harm:
    harm = Harm(redis_url, HOSTILE[request.param])
    monkeypatch.setitem(sys.modules, "empty", harm.module)
    return harm


@pytest.fixture
def look(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run a command; return its exit code and all that it printed, without the colors of a terminal."""

    def call(where: str, *line: str) -> tuple[int, str]:
        shown = Terminal(is_terminal="terminal" in where)
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", where.rpartition(" ")[2])
            patch.setenv("TERM", "xterm-256color")
            patch.setattr("sys.stdout", shown)
            patch.setattr("sys.stderr", shown)
            if where.startswith("plain"):
                patch.setitem(sys.modules, "rich.console", None)
            code = main([*line, "--url", redis_url])
        return code, _STYLE.sub("", shown.getvalue())

    return call


def test_no_command_shows_it_as_it_is_and_ids_are_whole(harm: Harm, look: Look) -> None:
    for where in _LOOKS:
        told = {tuple(line): look(where, *line)[1] for line in harm.reading()}
        for shown in told.values():
            assert_safe(shown)
        for command, kept in (("jobs", harm.waiting), ("failed", harm.dead), ("schedules", harm.schedule)):
            assert _escaped(kept) in told[command,]
        assert _escaped(harm.name) in told["jobs",]
        assert _escaped(harm.tenant) in told["jobs",]
    for line in harm.changing():
        code, shown = look("terminal of 80", *line)
        assert_safe(shown)
        assert code in (0, 1), (line, shown)
    # The demo and the bench have jobs of their own; the worker, its health and the dashboard have tests of their own.
    assert {line[0] for line in (*harm.reading(), *harm.changing())} == {*COMMANDS} - {
        "demo",
        "worker",
        "health",
        "dashboard",
        "bench",
    }


def _escaped(text: str) -> str:
    """Return ``text`` as it is shown, by another way than the command's own."""
    return re.sub(r"[^ -~]", lambda found: found[0] if found[0] in "漢字テスト　名前" else repr(found[0])[1:-1], text)


def test_json_has_it_all_and_shows_none_of_it(harm: Harm, look: Look) -> None:
    told = {tuple(line): look("pipe", *line, "--json")[1] for line in (*harm.reading(), *harm.changing())}
    for shown in told.values():
        assert_safe(shown)
    [job] = [one for one in json.loads(told["jobs",]) if one["queue"] == "default"]
    assert (job["name"], job["tenant"], job["id"]) == (harm.name, harm.tenant, harm.waiting)
    assert job["metadata"] == {harm.text: harm.text}


def test_a_table_is_drawn_where_it_fits_and_folds_into_blocks_where_not(redis_url: str, look: Look) -> None:
    app = App(redis_url)

    @app.job(name="send_email")
    async def work() -> None: ...

    sent = work.delay_sync().id
    wide, narrow = look("terminal of 160", "jobs")[1], look("terminal of 80", "jobs")[1]
    assert ("┃" in wide, "┃" in narrow) == (True, False)
    assert all(len(line) <= 80 for line in narrow.splitlines())
    heading, *fields = narrow.splitlines()[2:]
    assert (heading.strip(), "queue: default" in fields[0], "job: send_email" in fields[0]) == (sent, True, True)
    plain = look("plain terminal of 80", "jobs")[1]
    assert plain == narrow
    # One line for each row, for grep.
    assert [line for line in look("pipe", "jobs")[1].splitlines() if sent in line and "send_email" in line]


LOUD = """
from asyncjobs import App, RetryPolicy, current_job
import logging

app = App()

@app.job(retry=RetryPolicy(max_retries=0))
async def fail(text: str) -> None:
    logging.getLogger(text[:50]).warning("from the handler: %s", text)
    raise type(text[:50], (Exception,), {})(text)

@app.job(executor="process")
def fail_apart(text: str) -> None:
    logging.getLogger().warning("from the process: %s", text)
"""


def test_the_log_of_a_worker_has_no_line_that_a_sender_has_made(command: Command, redis_url: str) -> None:
    (command.folder / "loud.py").write_text(LOUD)
    app = App(redis_url)

    @app.job
    async def fail(text: str) -> None: ...

    @app.job
    async def fail_apart(text: str) -> None: ...

    for text in HOSTILE.values():
        fail.delay_sync(text)
        fail_apart.delay_sync(text)
    done = command.run("worker", "loud:app", "--burst")
    assert done.returncode == 0
    assert_safe(done.stderr)
    assert done.stderr.count("from the handler") >= len(HOSTILE)
    assert r"\x1b]0;owned\x07" in done.stderr
    assert done.stderr.count("from the process") == len(HOSTILE)
    for line in done.stderr.splitlines():
        # The long text is more than a pipe takes at once, so the other process may write a line in its midst.
        if not line.startswith("x" * 100):
            assert line.startswith(("    ", "from the process")) or re.match(
                r"\d{4}-\d\d-\d\d [\d:,]{12} [A-Z]+ ", line
            ), line
        assert not line.startswith("2026-01-01")


def test_a_tenant_or_an_id_that_a_user_may_choose_is_checked_when_it_is_sent(redis_url: str) -> None:
    # The other half of the promise: what can't even be an id never gets into a list.
    app = App(redis_url)

    @app.job
    async def work() -> None: ...

    with pytest.raises(ArgumentsError):
        work.with_options(job_id="a\x1b]0;b\x07")
