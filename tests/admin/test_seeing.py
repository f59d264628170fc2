"""What pages tell beside their lists: growth of the dead, groups by a text and by hour, one worker, what a job is."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from asyncjobs import App, RetryPolicy, Worker, current_job
from asyncjobs.admin import dashboard
from tests.admin.test_api import role_of
from tests.waiting import Notes, until
from tests.web import fetch

pytestmark = pytest.mark.anyio


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of)


async def text_of(web: Any, target: str, status: int = 200) -> str:
    reply = await fetch(web, target, headers={"x-role": "admin"})
    assert reply.status == status, target
    return reply.body.decode()


async def bury(app: App, *errors: Exception) -> None:
    """Let a job die of each of ``errors``."""

    @app.job(name="shop.charge", retry=RetryPolicy(max_retries=0))
    async def charge(number: int) -> None:
        """Charge a card."""
        raise errors[number]

    for number in range(len(errors)):
        await charge.delay(number)
    await Worker(app, queues=["default"]).run_until_empty()


async def test_the_number_of_the_dead_stands_out_in_the_hour_in_which_it_grew(app: App, web: Any) -> None:
    async with app:
        await bury(app, LookupError("a"))
        assert '<span class="count grew">▲ 1<' in await text_of(web, "/audit")
    quiet = App("memory://")
    async with quiet:
        assert 'class="count' not in await text_of(dashboard(quiet, authorize=role_of), "/audit")


async def test_groups_of_the_dead_are_found_by_a_text_in_any_of_their_parts(app: App, web: Any) -> None:
    async with app:
        await bury(app, LookupError("no such order"), LookupError("no such order"), OSError("disk is full"))
        [group] = [one for one in await app.failed_groups() if one.error.endswith("OSError")]
        await app.mark_group(group.id, queue="default", note="ask Ada <b>")
        for text, found in (("", 2), ("DISK", 1), ("oserror", 1), ("ask ada", 1), ("shop.charge", 2), ("bank", 0)):
            body = await text_of(web, f"/dead?text={quote(text)}")
            assert body.count('aria-label="Look at the jobs of this group"') == found, text
            assert ("No group has this text" in body) == (not found)
            # Each group has a line of its deaths by hour.
            assert body.count('aria-label="died in each of the last 24 hours: at most') == found


async def test_a_worker_has_a_page_of_its_own_with_what_it_runs(app: App, web: Any) -> None:
    began: Notes[str] = Notes()

    @app.job(name="shop.export", queue="reports")
    async def export(rows: int) -> None:
        began.append(current_job().id)
        await until(lambda: False, "never")

    async with app:
        worker = Worker(app, queues=["reports"], concurrency=7)
        async with worker.running():
            handle = await export.delay(3)
            await began.reach(1)
            listed = await text_of(web, "/workers")
            [address] = set(re.findall(r'href="(/workers/[^"]+)"', listed))

            async def is_told() -> bool:
                return handle.id in await text_of(web, address)

            await until(is_told, "the worker tells what it runs")
            body = await text_of(web, address)
            assert "1 of 7" in body
            assert "reports" in body
            await handle.cancel("enough")
        await text_of(web, address, 404)
        await text_of(web, "/workers/nobody", 404)


async def test_a_worker_tells_how_many_attempts_ended_in_the_last_minute(
    app: App, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.worker.presence._ANNOUNCE_EVERY_S", 0.05)

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        await app.enqueue_many([work.request() for _ in range(12)])

        async def is_told() -> bool:
            return [one.ended_a_minute for one in (await app.stats()).workers] == [12]

        await until(is_told, "the worker tells it")
        assert re.search(r'data-label="ended a minute">12<', await text_of(web, "/workers"))


async def test_the_page_of_a_name_says_what_the_job_does_and_takes(app: App, web: Any) -> None:
    async with app:
        await bury(app, LookupError("a"))
        body = await text_of(web, "/names/shop.charge")
        assert "Charge a card." in body
        assert "<code><bdi>number</bdi></code>" in body
        assert "Takes" not in await text_of(web, "/names/unknown")
