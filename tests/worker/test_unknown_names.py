"""Jobs whose name no handler has: the worker that sets them aside says so, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, Worker
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.ports import NewJob
from asyncjobs.worker import presence
from asyncjobs.worker.unknown_names import UnknownNames
from tests.apps import broker_of
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_ANNOUNCE_EVERY_S", 0.1)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


async def _send(app: App, *names: str) -> None:
    """Send jobs whose names the app doesn't know."""
    body = encode(Envelope())
    await broker_of(app).enqueue([NewJob("default", f"id-{name}", name, body) for name in names])


async def _nothing() -> None: ...


async def _is_running(app: App) -> None:
    """Wait until a job that the worker knows has run, so it has looked at those before."""
    await (await app.registry.get("known").delay()).result(SOON)


@pytest.fixture
def known(app: App) -> Any:
    @app.job
    async def known() -> None: ...

    return known


async def test_a_name_without_a_handler_is_logged_with_the_remedy(
    app: App, known: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with app, app.worker():
        await _send(app, "send_mial")
        await until(lambda: _warnings(caplog), "the warning")
        await _is_running(app)
        await app.queue_stats("default")
    [said] = _warnings(caplog)
    for part in ("'send_mial' (queue default)", "--import MODULE", "alias", "3600 s (unknown_job_grace)"):
        assert part in said


async def test_a_name_that_was_parked_before_the_worker_began_is_logged_too(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    app.job(name="known")(_nothing)
    async with app:
        await _send(app, "early")
        async with app.worker():
            await until(lambda: _warnings(caplog), "the first warning")
        caplog.clear()
        async with app.worker():
            await until(lambda: _warnings(caplog), "the warning of the next worker")
        assert "'early'" in _warnings(caplog)[0]


@pytest.mark.parametrize("way", ["run_until_empty", "run_once"])
async def test_a_worker_that_ends_when_it_finds_nothing_says_why_it_found_nothing(
    app: App, known: Any, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    async with app:
        await _send(app, "unknown")
        await getattr(Worker(app), way)()
    assert ["'unknown'" in said for said in _warnings(caplog)] == [True]


async def test_a_worker_whose_app_knows_no_job_at_all_says_so(app: App, caplog: pytest.LogCaptureFixture) -> None:
    async with app, app.worker():
        await _send(app, "work")
        await until(lambda: _warnings(caplog), "the warning")
    assert "'work' (queue default)" in _warnings(caplog)[0]


async def test_a_thousand_names_are_all_logged_in_few_lines(
    app: App, known: Any, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"unknown-{number:04}" for number in range(1_000)]

    def missing() -> list[str]:
        text = "\n".join(_warnings(caplog))
        return [name for name in names if f"'{name}'" not in text]

    async with app, app.worker():
        await _send(app, *names)
        await until(lambda: not missing(), "each name is logged")
        await _is_running(app)
    text = "\n".join(_warnings(caplog))
    assert [name for name in names if text.count(f"'{name}'") != 1] == []
    assert len(text) < 100_000


async def test_what_is_held_back_or_known_is_not_logged(app: App, known: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with app:
        await app.suspend_name("other", queue="default")
        await app.suspend_tenant("acme", queue="default")
        async with app.worker():
            await _send(app, "other")
            await known.with_options(tenant="acme").delay()
            await until(lambda: _are_parked(app, 2), "both are set aside")
            await _is_running(app)
            await app.resume_name("other", queue="default")
            await until(lambda: _warnings(caplog), "the warning once nothing holds the name")
    assert ["'other'" in said for said in _warnings(caplog)] == [True]


async def _are_parked(app: App, count: int) -> bool:
    return len(await app.jobs("parked")) == count


async def test_a_schedule_that_nobody_fires_for_want_of_a_handler_is_logged(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(scheduler_interval=0.1)
    sender = App("memory://")
    report = sender.job(name="report")(_nothing)
    ran: Notes[str] = Notes()

    @app.job
    async def tick() -> None:
        ran.append("tick")

    async with app:
        await app.add_schedule("reports", report.request(), every=1)
        await app.add_schedule("ticks", tick.request(), every=1)
        async with app.worker():
            await until(lambda: _warnings(caplog), "the warning")
            await ran.reach(2)
    assert ["schedules don't fire" in said and "'report' (queue default)" in said for said in _warnings(caplog)] == [
        True
    ]


def test_a_name_is_logged_once_a_minute_and_in_which_queues(caplog: pytest.LogCaptureFixture) -> None:
    times = [0.0]
    names = UnknownNames(lambda: times[-1], "jobs wait", " They die.")
    found = [("default", "a"), ("default", "a"), ("default", "b\x1b[2J"), ("mail", "a")]
    names.warn(found)
    [said] = _warnings(caplog)
    assert said.startswith("jobs wait, since")
    assert "'a' (queue default, mail), 'b\\x1b[2J' (queue default). Import" in said
    assert said.endswith("as an alias. They die.")
    for at, count in ((30.0, 0), (59.9, 0), (60.0, 1), (119.0, 0)):
        caplog.clear()
        times.append(at)
        names.warn(found)
        assert len(_warnings(caplog)) == count
    caplog.clear()
    names.warn([*found, ("default", "c")])
    assert ["'c'" in said and "'a'" not in said for said in _warnings(caplog)] == [True]
    times.append(1_000.0)
    names.warn([])
    assert names._logged_at == {}
