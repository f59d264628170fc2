"""Synchronous code sends, waits and asks as code in an event loop does, also from a handler or a forked process."""

from __future__ import annotations

import asyncio
import inspect
import os

import pytest

from asyncjobs import App, AppNotOpen, ResultExpired, Worker
from asyncjobs.app.verbs.schedules import ScheduleVerbs
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


def test_code_without_a_loop_sends_and_waits(redis_url: str) -> None:
    app = App(redis_url, prefix="sync")

    @app.job
    async def work(number: int) -> int:
        return number + 1

    handle = work.delay_sync(1)
    later = work.schedule_in_sync(3600, 2)
    [third] = app.sync.enqueue_many([work.request(3)])
    # The worker runs in a loop of its own, as another process would.
    other = App(redis_url, prefix="sync")
    other.registry = app.registry
    asyncio.run(Worker(other).run_until_empty())  # type: ignore[arg-type]
    assert (app.sync.result(handle, SOON), app.sync.result(third, SOON, forget=True)) == (2, 4)
    with pytest.raises(ResultExpired):
        app.sync.result(third)
    assert app.sync.queue_stats("default").scheduled == 1
    assert app.sync.edit_job(later.id, delay=7200) == "edited"
    assert app.sync.cancel_job(later.id, reason="no") == "cancelled"
    assert app.sync.add_schedule("soon", work.request(1), every=60).every == 60
    assert [info.id for info in app.sync.schedules()] == ["soon"]


def test_every_verb_of_an_app_has_a_twin_without_a_loop() -> None:
    # These two are for handles, which have verbs of their own.
    verbs = {name for name, value in inspect.getmembers(ScheduleVerbs, inspect.iscoroutinefunction)}
    verbs -= {"wait_for_end", "read_events"}
    wanted = {name for name in verbs if not name.startswith("_")}
    assert wanted
    assert wanted - set(dir(App("memory://").sync)) == set()


def test_code_without_a_loop_has_every_verb_of_the_app(redis_url: str) -> None:
    app = App(redis_url, prefix="verbs")

    @app.job
    async def work(number: int) -> None: ...

    later = work.schedule_in_sync(3600, 2)
    assert app.sync.edit_job(later.id, delay=0, priority="high") == "edited"
    assert app.sync.add_schedule("nightly", work.request(1), cron="0 3 * * *").id == "nightly"
    assert [one.id for one in app.sync.schedules()] == ["nightly"]
    assert app.sync.retry_failed(name="work") == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_sends_though_its_parent_has_sent(redis_url: str) -> None:
    app = App(redis_url, prefix="forked")

    @app.job
    async def work(number: int) -> None: ...

    work.delay_sync(1)
    child = os.fork()
    if child == 0:
        sent = 0
        try:
            work.delay_sync(2)
            work.delay_sync(3)
            sent = 2
        finally:
            os._exit(0 if sent == 2 else 1)
    _, status = os.waitpid(child, 0)
    work.delay_sync(4)
    assert os.waitstatus_to_exitcode(status) == 0
    assert app.sync.queue_stats("default").size == 4


async def test_a_synchronous_verb_inside_a_loop_names_the_one_to_await(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        with pytest.raises(AppNotOpen, match=r"await work.delay\(…\)"):
            work.delay_sync()
        with pytest.raises(AppNotOpen, match=r"await app\.stats"):
            app.sync.stats()
        with pytest.raises(AppNotOpen, match=r"await app\.edit_job\(…\)"):
            app.sync.edit_job("id", delay=0)


async def test_a_sync_handler_sends_with_the_synchronous_verb(app: App) -> None:
    @app.job
    async def child(number: int) -> int:
        return number

    @app.job
    def parent() -> str:
        return child.delay_sync(7).id

    async with app, app.worker():
        child_id = await (await parent.delay()).result(SOON)
        assert await app.handle(child_id).result(SOON) == 7
