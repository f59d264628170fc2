"""The commands of operators: the dead, waiting jobs, schedules, what is held back, and the check before a deploy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.cli import main
from asyncjobs.ports import NewJob
from tests.apps import broker_of
from tests.cli.conftest import Command
from tests.waiting import until

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def app(redis_url: str) -> App:
    app = App(redis_url, lease=1)

    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail(text: str) -> None:
        raise LookupError(text)

    @app.job
    async def work(number: int = 1) -> None: ...

    return app


@pytest.fixture
def run(redis_url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--url", redis_url])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def _bury(app: App, *texts: str, **options: Any) -> list[str]:
    fail = app.registry.get("fail").with_options(**options)
    handles = app.sync.enqueue_many([fail.request(text) for text in texts])

    async def drain() -> None:
        worker = App(str(app.settings.server), lease=1)
        worker.job(retry=RetryPolicy(max_retries=0), name="fail")(app.registry.get("fail").function)
        async with worker:
            await Worker(worker).run_until_empty()

    asyncio.run(drain())
    return [handle.id for handle in handles]


def _complete(app: App) -> str:
    handle = app.registry.get("work").delay_sync()

    async def drain() -> None:
        worker = App(str(app.settings.server), lease=1)
        worker.job(name="work")(app.registry.get("work").function)
        async with worker:
            await Worker(worker).run_until_empty()

    asyncio.run(drain())
    return handle.id


def test_the_dead_are_listed_shown_retried_and_discarded(app: App, run: Run) -> None:
    first, second, third = _bury(app, "one", "two", "three")
    code, told = run("failed")
    assert code == 0
    assert all(one in told for one in (first, second, third, "LookupError: two"))
    code, told = run("show", second)
    assert (code, "raise LookupError(text)" in told, "two" in told) == (0, True, True)
    code, told = run("show", "nobody")
    assert (code, told.startswith("asyncjobs: there is no record of job 'nobody' in any queue: ")) == (1, True)
    listed: list[dict[str, Any]] = json.loads(run("failed", "--json", "--error", "LookupError", "--limit", "2")[1])
    assert [one["id"] for one in listed] == [third, second]
    assert listed[0]["errors"][0]["message"] == "three"
    code, told = run("retry", first, "nobody")
    assert (code, f"{first}: made ready again" in told, "nobody: there is no record of it" in told) == (1, True, True)
    assert json.loads(run("delete", second, "--json")[1]) == {second: True}
    # A job that has ended is no dead one: its result stays.
    completed = _complete(app)
    assert run("delete", completed) == (1, f"{completed}: not in the dead letter queue\n")
    assert app.sync.find_job(completed) is not None
    assert run("retry", "--all", "--name", "other", "--yes")[1].startswith("0 jobs made ready again\n")
    code, said = run("delete", "--all", "--since", "2020-01-01", "--yes")
    assert (code, said.startswith("1 jobs deleted\n")) == (0, True)
    assert app.sync.failed_jobs() == []


@pytest.mark.parametrize(
    "arguments", [["retry"], ["delete", "id", "--all"], ["failed", "--since", "tomorrow"], ["schedules", "pause"]]
)
def test_what_is_not_said_clearly_is_not_done(run: Run, arguments: list[str]) -> None:
    code, told = run(*arguments)
    assert code == 2
    assert "expected" in told or "not both" in told or "name the schedule" in told


def test_waiting_jobs_are_listed_and_cancelled(app: App, run: Run) -> None:
    work = app.registry.get("work")
    waiting = work.with_options(priority="high", tenant="acme").delay_sync(1)
    later = work.schedule_in_sync(3600, 2)
    assert waiting.id in run("jobs")[1]
    [told] = json.loads(run("jobs", "scheduled", "--json")[1])
    assert (told["id"], told["priority"], told["due_at"] is None) == (later.id, "normal", False)
    assert run("cancel", waiting.id) == (0, f"{waiting.id}: cancelled\n")
    code, said = run("cancel", waiting.id, "nobody")
    assert (code, "too late" in said, "no record" in said) == (1, True, True)


def test_queues_and_job_names_are_paused_and_resumed(app: App, run: Run) -> None:
    app.registry.get("work").delay_sync(1)
    assert run("pause", "--queue", "default") == (0, "queue default is paused\n")
    assert app.sync.queue_stats("default").paused
    assert run("resume", "--queue", "default")[0] == 0
    assert not app.sync.queue_stats("default").paused
    assert run("pause", "--job", "work") == (0, "job work is paused\n")
    assert run("resume", "--job", "work", "--json") == (0, '{"job work":"resumed"}\n')
    assert run("pause")[0] == 2


def test_one_tenant_is_looked_at_and_held_back(app: App, run: Run) -> None:
    _bury(app, "one", "two", tenant="acme")
    work = app.registry.get("work")
    sent = work.with_options(tenant="acme").delay_sync()
    work.with_options(tenant="globex").delay_sync()
    [told] = json.loads(run("jobs", "--tenant", "acme", "--json")[1])
    assert (told["id"], told["tenant"]) == (sent.id, "acme")
    code, shown = run("stats", "--tenant", "acme")
    assert (code, "Tenant acme" in shown, "globex" in shown) == (0, True, False)
    figures = json.loads(run("stats", "--tenant", "acme", "--json")[1])
    assert (figures["failed_total"], figures["queues"][0]["queue_name"]) == (2, "default")
    assert run("pause", "--tenant", "acme") == (0, "tenant acme is paused\n")
    assert app.sync.suspended_tenants()["default"] == ["acme"]
    assert "default (paused)" in run("stats", "--tenant", "acme")[1]
    assert run("resume", "--tenant", "acme", "--queue", "default", "--json") == (0, '{"tenant acme":"resumed"}\n')
    assert "default" not in app.sync.suspended_tenants()
    code, said = run("pause", "--tenant", "acme", "--job", "work")
    assert (code, "not both" in said) == (2, True)


def test_a_tenant_is_purged_once_that_is_confirmed(app: App, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _bury(app, "one", tenant="acme")
    app.registry.get("work").with_options(tenant="acme").delay_sync()
    code, said = run("purge", "--tenant", "acme")
    assert (code, "give --yes where nobody can be asked" in said) == (2, True)
    answers = iter(["\n", "no\n", "y\n"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers))
    for _ in range(2):
        code, said = run("purge", "--tenant", "acme")
        asked = f"Purge 2 jobs of tenant acme in all queues on {app.settings.server}? [y/N]"
        assert (code, asked in said, "nothing was done" in said) == (1, True, True)
    assert app.sync.queue_stats("default").size == 1
    code, said = run("purge", "--tenant", "acme", "--queue", "default")
    assert (code, said.startswith("2 jobs cancelled or forgotten\n")) == (0, True)
    assert (app.sync.queue_stats("default").size, app.sync.failed_jobs()) == (0, [])
    code, said = run("purge", "--tenant", "acme", "--yes", "--json")
    assert (code, said) == (0, f'{{"count":0}}\nasyncjobs: acting on {app.settings.server}\n')


def test_schedules_are_listed_and_steered(app: App, run: Run) -> None:
    async def add() -> None:
        async with App(str(app.settings.server)) as other:
            other.job(name="work")(app.registry.get("work").function)
            request = other.registry.get("work").request(5)
            await other.add_schedule("nightly", request, cron="0 3 * * *", timezone="Europe/Berlin")

    asyncio.run(add())
    assert "0 3 * * * Europe/Berlin" in run("schedules")[1]
    assert "skipped" in run("schedules")[1]
    assert len(json.loads(run("schedules", "next", "nightly", "--json")[1])) == 10
    assert run("schedules", "pause", "nightly") == (0, "nightly is paused\n")
    [told] = json.loads(run("schedules", "--json")[1])
    assert (told["paused"], told["next_at"], told["arguments"]) == (True, None, [5])
    assert run("schedules", "resume", "nightly")[0] == 0
    code, said = run("schedules", "trigger", "nightly")
    [job] = app.sync.jobs("ready")
    assert (code, said) == (0, f"nightly is triggered: job {job.id} in queue default\n")
    assert app.sync.queue_stats("default").pending == 1
    assert run("schedules", "remove", "nightly")[0] == 0
    code, said = run("schedules", "remove", "nightly")
    assert (code, "there is no schedule 'nightly'" in said) == (1, True)


def test_check_names_the_queued_jobs_that_the_code_could_not_run(command: Command, redis_url: str) -> None:
    old = App(redis_url)

    @old.job
    async def note(path: str, text: str) -> str: ...

    @old.job
    async def hang(path: str, seconds: int) -> None: ...

    @old.job
    async def gone() -> None: ...

    idle = command.run("check", "shop:app")
    assert (idle.returncode, idle.stdout) == (0, "there is nothing to check: no job waits, and there is no schedule\n")
    note.delay_sync("a", "b")
    good = command.run("check", "shop:app")
    assert (good.returncode, good.stdout) == (0, "this code can run all of 1 jobs and schedules\n")
    hang.delay_sync("a", 5)
    hang.schedule_in_sync(60, "a", 6)
    gone.delay_sync()
    bad = command.run("check", "shop:app", "--json")
    assert bad.returncode == 1
    told = json.loads(bad.stdout)
    assert (told["looked_at"], len(told["problems"])) == (4, 2)
    named = {one["name"]: one for one in told["problems"]}
    assert "no handler is registered for 'gone'" in named["gone"]["reason"]
    assert (named["hang"]["count"], "takes 1 positional arguments, but 2 were sent" in named["hang"]["reason"]) == (
        2,
        True,
    )
    assert "hang" in command.run("check", "shop:app").stdout


def test_of_two_tenants_jobs_and_schedules_with_one_id_each_has_a_name_for_the_operator(app: App, run: Run) -> None:
    work = app.registry.get("work")
    for tenant in ("acme", "globex corp"):
        app.sync.enqueue_for_tenant(tenant, work.with_options(job_id="x").request())
        app.sync.add_schedule("s", work.with_options(tenant=tenant).request(), every=60)
    told = run("jobs")[1]
    assert ("@acme:x" in told, "@globex%20corp:x" in told) == (True, True)
    assert run("cancel", "x") == (1, "x: there is no record of it\n")
    assert run("cancel", "@globex%20corp:x") == (0, "@globex%20corp:x: cancelled\n")
    assert [job["id"] for job in json.loads(run("jobs", "--json")[1])] == ["@acme:x"]
    told = run("schedules")[1]
    assert ("@acme:s" in told, "@globex%20corp:s" in told) == (True, True)
    code, told = run("schedules", "remove", "s")
    assert (code != 0, "there is no schedule 's'" in told) == (True, True)
    assert run("schedules", "remove", "@acme:s") == (0, "@acme:s is removed\n")
    assert [info.id for info in app.sync.schedules()] == ["@globex%20corp:s"]


def test_the_dead_jobs_of_two_tenants_with_one_id_are_told_apart(app: App, run: Run) -> None:
    ids = [_bury(app, "text", tenant=tenant, job_id="x")[0] for tenant in ("acme", "globex")]
    assert ids == ["@acme:x", "@globex:x"]
    assert run("show", "@globex:x")[0] == 0
    assert run("retry", "@acme:x") == (0, "@acme:x: made ready again\n")
    assert run("delete", "@globex:x", "x") == (1, "@globex:x: deleted\nx: there is no record of it\n")


def test_what_a_newer_asyncjobs_has_written_is_shown_as_newer(app: App, run: Run) -> None:
    newer = b"\x02\x80"

    async def prepare() -> None:
        async with app:
            broker = broker_of(app)
            await broker.enqueue([NewJob("default", job_id, "work", newer) for job_id in ("one", "two")])
            await broker.put_schedule("default", "nightly", newer, 1)
            async with app.worker():
                await until(lambda: _has_parked(app), "both are set aside")

    asyncio.run(prepare())
    code, told = run("jobs", "parked")
    assert code == 0
    assert "work (newer, version 2)" in told
    assert [job["version"] for job in json.loads(run("jobs", "parked", "--json")[1])] == [2, 2]
    code, told = run("schedules")
    assert code == 0
    assert "nightly" in told
    assert "has version 2" in told
    assert run("schedules", "pause", "nightly")[0] == 0
    code, told = run("schedules", "resume", "nightly")
    assert code != 0
    assert "upgrade this one" in told
    assert run("cancel", "one") == (0, "one: cancelled\n")
    assert run("schedules", "remove", "nightly")[0] == 0


async def _has_parked(app: App) -> bool:
    return len(await app.jobs("parked")) == 2


def test_the_dead_are_shown_and_retried_by_what_they_died_of(app: App, run: Run) -> None:
    _bury(app, "order 1001 is lost", "order 1002 is lost")
    [other] = _bury(app, "no stock")
    groups = json.loads(run("failed", "--groups", "--json")[1])
    assert [(group["count"], group["message"], group["sample_id"] == other) for group in groups] == [
        (1, "no stock", True),
        (2, "order <n> is lost", False),
    ]
    code, said = run("failed", "--groups", "--queue", "default")
    assert (code, "LookupError: order <n> is lost" in said, "Groups of dead jobs" in said) == (0, True, True)
    lost = groups[1]["id"]
    assert len(json.loads(run("failed", "--group", lost, "--json")[1])) == 2
    assert run("failed", "--groups", "--name", "fail")[0] == 2
    assert run("retry", "--all", "--group", lost)[0] == 2
    assert json.loads(
        run("retry", "--all", "--group", lost, "--spread", "600", "--yes", "--json")[1].split("\n")[0]
    ) == {"count": 2}
    assert len(app.sync.jobs("ready")) == len(app.sync.jobs("scheduled")) == 1
    assert [job.id for job in app.sync.failed_jobs()] == [other]
    assert run("retry", other, "--spread", "600") == (0, f"{other}: made ready again\n")
    with pytest.raises(SystemExit):
        run("retry", other, "--spread", "-1")


def test_what_was_deleted_comes_back_by_undo(app: App, run: Run) -> None:
    first, second = _bury(app, "a", "b")
    assert run("undo")[0] == 1
    assert run("delete", first, second)[0] == 0
    assert run("undo") == (0, "2 jobs are back\n")
    code, said = run("delete", "--all", "--yes")
    assert (code, "asyncjobs undo" in said) == (0, True)
    assert run("undo", first, "nobody") == (
        1,
        f"{first}: is back\nnobody: can't be brought back: not deleted, too long ago, or its id was sent again\n",
    )
    assert json.loads(run("undo", second, "--json")[1]) == {second: True}
    assert run("delete", first, "--purge") == (0, f"{first}: deleted\n")
    assert run("delete", "--all", "--purge", "--yes")[0] == 0
    assert run("undo")[0] == 1


def test_a_slip_in_the_name_of_a_limit_or_its_queue_is_refused(app: App, run: Run) -> None:
    app.registry.get("work").delay_sync()
    for change in (["--running", "3"], ["--reset"]):
        code, told = run("limit", "default", "stirpe=42", *change)
        assert (code, "the queue 'default' has no limit 'stirpe'" in told) == (1, True)
        assert run("limit", "default", "=42", *change)[0] == 2
        code, told = run("limit", "defualt", *change)
        assert (code, "Did you mean 'default'?" in told) == (1, True)
