"""Whose turn is next on a queue with fair turns, on the command line."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from asyncjobs import TENANT, App, Limit, Rate
from asyncjobs.cli import main
from tests.cli.conftest import Run
from tests.cli.lines import Terminal
from tests.waiting import SOON

_LONG = "5f0c8e21-a9d3-4b77-8c11-0d2f6b1f9a3e"


@pytest.fixture
def imports(redis_url: str) -> App:
    """Of a queue with fair turns, three tenants have jobs, and two jobs have none."""
    app = App(redis_url)
    app.queue("imports", fair_by=TENANT)

    @app.job(queue="imports")
    async def load() -> None: ...

    for tenant in ("tin", "gold", "tin", _LONG, None, None):
        load.with_options(tenant=tenant).delay_sync()
    return app


def test_the_groups_are_shown_with_what_waits_of_each_and_tenants_by_their_ids(run: Run, imports: App) -> None:
    code, out, told = run("turns", "imports")
    title, header, *rows = out.splitlines()
    assert (code, title, header.split()) == (0, "Turns of queue imports", ["group", "waiting", "weight", "priority"])
    shown = [row.split() for row in rows]
    assert sorted(shown) == [
        [_LONG, "1", "1", "normal"],
        ["gold", "1", "1", "normal"],
        ["tin", "2", "1", "normal"],
    ]
    # In the order of `app.turns`.
    assert [int(row[1]) for row in shown] == [one.waiting for one in imports.sync.turns("imports")]
    assert told == "asyncjobs: 2 jobs without a group wait besides, with turns as one group\n"


def test_as_json_they_are_what_the_app_tells(run: Run, imports: App) -> None:
    code, out, told = run("turns", "imports", "--limit", "2", "--json")
    assert (code, [one["waiting"] for one in json.loads(out)]) == (
        0,
        [one.waiting for one in imports.sync.turns("imports", limit=2)],
    )
    assert set(json.loads(out)[0]) == {"group", "priority", "weight", "waiting"}
    assert told == ""


def test_where_there_may_be_more_groups_it_says_so(run: Run, imports: App) -> None:
    assert (
        "asyncjobs: the first 2; there may be others, which --limit shows\n"
        in run("turns", "imports", "--limit", "2")[2]
    )
    assert "--limit" not in run("turns", "imports", "--limit", "500")[2]
    assert run("turns", "imports", "--limit", "501")[0] == 2


def test_a_queue_of_which_no_job_waits_for_a_turn_has_none_and_an_unknown_one_is_an_error(run: Run) -> None:
    assert run("enqueue", "send_email", "--args", '["ada"]', "--queue", "mail")[0] == 0
    assert run("turns", "mail") == (
        0,
        "Turns of queue mail\n  (none)\n",
        "asyncjobs: no group waits for a turn\nasyncjobs: 1 job without a group waits in the queue's order\n",
    )
    assert run("cancel", "--all", "--queue", "mail", "--yes")[0] == 0
    assert run("turns", "mail")[2] == "asyncjobs: no job waits for a turn\n"
    code, out, told = run("turns", "male")
    assert (code, out, "there is no queue 'male'" in told, "Did you mean 'mail'?" in told) == (1, "", True, True)


def test_jobs_that_have_no_group_and_those_that_wait_at_limits_are_told_of(run: Run, redis_url: str) -> None:
    app = App(redis_url)
    app.queue("imports", fair_by=TENANT)

    @app.job(queue="imports")
    async def load() -> None: ...

    @app.job(queue="imports", limits=Limit("mailbox", rate=Rate(1, per=3600)))
    async def send() -> None: ...

    async def send_all() -> None:
        async with app, app.worker(queues=["imports"]):
            first, *_ = [await send.with_options(tenant="acme").delay() for _ in range(4)]
            await first.result(timeout=SOON)

    async def load_all() -> None:
        async with app:
            await app.enqueue_many([load.request(), load.request()])

    asyncio.run(load_all())
    assert run("turns", "imports")[2] == (
        "asyncjobs: no group waits for a turn\nasyncjobs: 2 jobs without a group wait in the queue's order\n"
    )
    asyncio.run(send_all())
    assert run("turns", "imports")[2] == (
        "asyncjobs: no group waits for a turn\nasyncjobs: 3 jobs wait at limits, which `asyncjobs limits` shows\n"
    )


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("is_plain", [False, True])
def test_it_fits_a_terminal(
    imports: App, redis_url: str, monkeypatch: pytest.MonkeyPatch, columns: int, is_plain: bool
) -> None:
    shown = Terminal(is_terminal=True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout", shown)
    if is_plain:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["turns", "imports", "--url", redis_url]) == 0
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    # One row each, in a table.
    assert ("┃" in shown.getvalue()) != is_plain
    assert [line for line in lines if _LONG in line and "normal" in line]
