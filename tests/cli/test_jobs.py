"""``asyncjobs jobs``, ``show``, ``cancel`` and ``purge``: what is told of jobs, and many ended at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncjobs import App, JobCancelled, RetryPolicy
from asyncjobs.cli import main
from tests.cli.conftest import Command
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio

Run = Callable[..., Any]


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[App]:
    app = App(redis_url)

    @app.job
    async def note(path: str, text: str) -> str:
        return f"{path}: {text}"

    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail(text: str) -> None:
        raise LookupError(text)

    @app.job
    async def hang(path: str, *, seconds: float = 3600.0) -> None:
        await asyncio.sleep(seconds)

    async with app:
        yield app


@pytest.fixture
def run(redis_url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command beside the loop; return its exit code, its output and its errors."""

    async def call(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [*arguments, "--url", redis_url])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


async def _runs(handle: Any) -> bool:
    return (await handle.status()).value == "running"


async def test_running_jobs_are_listed_with_their_worker_and_their_start(app: App, run: Run) -> None:
    async with app.worker() as worker:
        handle = await app.registry.get("hang").delay("a", seconds=60)
        await until(lambda: _runs(handle), "the job runs")
        _, listed, _ = await run("jobs", "running", "--json")
        _, table, _ = await run("jobs", "running")
        _, shown, _ = await run("show", handle.id, "--json")
        [told] = json.loads(listed)
        for one in (told, json.loads(shown)):
            began = datetime.fromisoformat(one["started_at"])
            assert (one["state"], one["worker"]) == ("running", worker.id)
            assert abs(datetime.now(UTC) - began) < timedelta(seconds=SOON)
            assert 0 <= one["duration_ms"] < 1_000 * SOON
            assert one["arguments"] == {"path": "a", "seconds": 60.0}
        assert worker.id in table
        assert "started at (UTC)" in table
        await handle.cancel()


def test_with_the_code_of_an_app_arguments_have_names(command: Command, redis_url: str) -> None:
    # ``shop.py`` has a job ``note(path, text)``.
    app = App(redis_url)

    @app.job
    async def note(path: str, text: str) -> None: ...

    handle = note.delay_sync("a", "b")
    listed = command.run("jobs", "--json", "--app", "shop:app")
    shown = command.run("show", handle.id, "--app", "shop:app")
    assert [job["arguments"] for job in json.loads(listed.stdout)] == [{"path": "a", "text": "b"}]
    assert "argument path" in shown.stdout
    assert "argument text" in shown.stdout


async def test_a_job_is_shown_in_whatever_state_it_is(app: App, run: Run) -> None:
    note, fail = app.registry.get("note"), app.registry.get("fail")
    waits = await note.with_options(metadata={"for": "x"}, priority="high").delay("a", "b")
    due = await note.schedule_in(3600, "a", "b")
    cancelled = await note.delay("a", "b")
    await cancelled.cancel("not needed")
    await app.pause("default")
    expected = {
        waits: ["pending", "high", '{"for":"x"}'],
        due: ["pending", "due at (UTC)"],
        cancelled: ["cancelled", "not needed", "ended at (UTC)"],
    }
    for handle, texts in expected.items():
        code, told, _ = await run("show", handle.id)
        assert (code, [text for text in [handle.id, "note", *texts] if text not in told]) == (0, [])
    await app.resume("default")
    async with app.worker():
        dead = await fail.delay("no such user")
        assert await waits.result(SOON) == "a: b"
        await until(lambda: _is(dead, "failed"), "the job is dead")
    code, told, _ = await run("show", waits.id)
    assert (code, "completed" in told, '"a: b"' in told, "duration" in told) == (0, True, True, True)
    code, told, _ = await run("show", dead.id)
    assert (code, "raise LookupError(text)" in told, "started at (UTC)" in told) == (0, True, True)
    assert json.loads((await run("show", dead.id, "--json"))[1])["errors"][0]["message"] == "no such user"
    code, told, said = await run("show", "nobody")
    assert (code, told, said.startswith("asyncjobs: there is no record of job 'nobody' in any queue: ")) == (
        1,
        "",
        True,
    )
    assert (await run("show", waits.id, "--queue", "other"))[0] == 1


async def _is(handle: Any, state: str) -> bool:
    return (await handle.status()).value == state


async def test_many_jobs_are_cancelled_by_a_filter_once_that_is_confirmed(
    app: App, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = app.registry.get("note")
    await app.enqueue_many([note.request("a", str(number)) for number in range(30)])
    kept = await app.registry.get("fail").with_options(tenant="acme").delay("x")
    code, _, said = await run("cancel", "--all", "--name", "note")
    assert (code, "give --yes where nobody can be asked" in said) == (2, True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")
    code, _, said = await run("cancel", "--all", "--name", "note", "--state", "ready")
    asked = f"Cancel 30 ready jobs of all queues with name note on {app.settings.server}? [y/N]"
    assert (code, asked in said, "nothing was done" in said) == (1, True, True)
    assert len(await app.jobs("ready")) == 31
    acting = f"asyncjobs: acting on {app.settings.server}\n"
    assert await run("cancel", "--all", "--until", "2020-01-01", "--yes", "--json") == (0, '{"count":0}\n', acting)
    done = await run("cancel", "--all", "--name", "note", "--yes", "--reason", "oops")
    assert done == (0, "30 jobs cancelled\n", acting)
    assert [job.id for job in await app.jobs("ready")] == [kept.id]
    assert await run("cancel", "--all", "--name", "note") == (0, "0 jobs cancelled\n", "")
    assert await run("cancel", "--all", "--tenant", "acme", "--yes", "--json") == (0, '{"count":1}\n', acting)
    with pytest.raises(JobCancelled, match="on the command line"):
        await kept.result(SOON)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["cancel"], "name the jobs by their ids, or give --all"),
        (["cancel", "x", "--all"], "not both"),
        (["cancel", "x", "--name", "note", "--since", "2026-01-01"], "--name, --since: only with --all"),
        (["cancel", "--all", "--since", "soon", "--yes"], "--since 'soon': expected ISO 8601"),
        (["purge", "--yes"], "--queue NAME, --tenant TENANT, or both"),
    ],
)
async def test_what_is_not_said_clearly_ends_no_job(run: Run, arguments: list[str], problem: str) -> None:
    code, out, said = await run(*arguments)
    assert (code, out, problem in said) == (2, "", True)


async def test_a_question_about_very_many_jobs_does_not_wait_until_all_are_counted(
    app: App, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = app.registry.get("note")
    await app.enqueue_many([note.request("a", "b") for _ in range(10_100)])
    last = await note.with_options(tenant="acme").schedule_in(3600, "a", "b")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")

    async def asked(*arguments: str) -> str:
        said: str = (await run(*arguments))[2]
        return said.partition(" on ")[0]

    assert await asked("cancel", "--all") == "Cancel 10,101 waiting or running jobs of all queues"
    assert await asked("cancel", "--all", "--state", "scheduled") == "Cancel 1 scheduled jobs of all queues"
    assert await asked("purge", "--queue", "default") == "Purge 10,101 jobs in queue default"
    named = "waiting or running jobs of all queues with name note"
    assert await asked("cancel", "--all", "--name", "note") == f"Cancel 10,000 or more {named}"
    assert await asked("purge", "--tenant", "acme") == "Purge 1 jobs of tenant acme in all queues"
    # A few jobs among very many are looked for in no more than so many pages.
    monkeypatch.setattr("asyncjobs.app.counting._MAX_PAGES", 3)
    assert await asked("purge", "--tenant", "acme") == "Purge 0 or more jobs of tenant acme in all queues"
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n")
    assert (await run("purge", "--tenant", "acme"))[:2] == (0, "1 jobs cancelled or forgotten\n")
    assert await _is(last, "cancelled")


async def test_a_queue_is_purged_once_that_is_confirmed(app: App, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    note = app.registry.get("note")
    await note.with_options(queue="mail").delay("a", "b")
    await note.with_options(queue="mail", tenant="acme").schedule_in(60, "a", "b")
    kept = await note.delay("a", "b")
    server = app.settings.server
    code, _, said = await run("purge", "--queue", "mail")
    assert (code, f"purge jobs in queue mail on {server}: give --yes" in said) == (2, True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")
    code, _, said = await run("purge", "--queue", "mail")
    assert (code, f"Purge 2 jobs in queue mail on {server}? [y/N]" in said, "nothing was done" in said) == (
        1,
        True,
        True,
    )
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n")
    code, told, _ = await run("purge", "--queue", "mail")
    assert (code, told) == (0, "2 jobs cancelled or forgotten\n")
    assert [(await app.queue_stats(queue)).size for queue in ("mail", "default")] == [0, 1]
    assert await _is(kept, "pending")


async def test_jobs_are_listed_by_text_and_by_name_to_the_end_of_a_search(
    app: App, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.app.verbs.search.MAX_LOOKED_AT", 10)
    note = app.registry.get("note")
    await app.enqueue_many([note.request("a", "b") for _ in range(25)])
    wanted = await note.delay("user123@example.com", "b")
    for asked in (["--text", "user123@"], ["--text", "user123@", "--name", "note"]):
        code, told, _ = await run("jobs", *asked, "--json")
        assert (code, [job["id"] for job in json.loads(told)]) == (0, [wanted.id])
    assert json.loads((await run("jobs", "--name", "other", "--json"))[1]) == []
    assert len(json.loads((await run("jobs", "--name", "note", "--limit", "12", "--json"))[1])) == 12


async def test_what_is_wrong_sets_the_exit_code(app: App, run: Run) -> None:
    note = app.registry.get("note")
    # A server of the tests keeps nothing on a disk, which is worth a warning.
    assert (await run("problems"))[0] == 0
    await note.delay("a", "b")
    await app.pause("default", why="migration")
    code, told, _ = await run("problems", "--queue", "default", "--json")
    assert (code, [one["kind"] for one in json.loads(told)]) == (1, ["paused"])
    code, told, _ = await run("problems", "--queue", "default")
    assert (code, "migration" in told) == (1, True)
    assert (await run("problems", "--queue", "other"))[:2] == (0, "Nothing is wrong.\n")


async def test_it_is_told_why_a_job_waits(app: App, run: Run) -> None:
    waits = await app.registry.get("note").delay("a", "b")
    assert (await run("why", waits.id))[:2] == (0, "No worker serves the queue default.\n")
    [reason] = json.loads((await run("why", waits.id, "--json"))[1])["reasons"]
    assert reason["kind"] == "no worker"
    assert (await run("why", "unknown"))[0] == 1
