"""Pages that are brought up to date: fragments, one reading for all, and the last one while the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from asyncjobs import App, BrokerUnavailable
from asyncjobs.admin import dashboard
from asyncjobs.admin.dashboard import sampler
from asyncjobs.admin.dashboard.sampler import Sampler
from tests.admin.browser import needs_chromium, page_of
from tests.admin.test_api import role_of
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio


class Source:
    """Counts how often it is read; what it returns, or raises."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> Mapping[str, Any]:
        self.reads += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {"reads": self.reads}


async def fragment(web: Any, target: str, **headers: str) -> Reply:
    return await fetch(web, target, headers={"x-role": "admin", "x-fragment": "1", **headers})


# -- one reading for all


async def test_all_who_look_at_a_page_share_one_reading() -> None:
    source, samples = Source(), Sampler()
    source.open.clear()
    reading = [asyncio.ensure_future(samples.read("now", source.load, 60)) for _ in range(5)]
    await asyncio.sleep(0)
    reading[0].cancel()
    source.open.set()
    found = await asyncio.gather(*reading[1:])
    assert [one.found["reads"] for one in found] == [1] * 4
    assert (await samples.read("now", source.load, 60)).found["reads"] == 1
    assert (await samples.read("other", source.load, 60)).found["reads"] == 2


async def test_who_opens_a_page_and_whoever_looks_after_a_change_sees_it_as_it_is() -> None:
    source, samples = Source(), Sampler()
    for expected in (1, 2):
        assert (await samples.read("now", source.load)).found["reads"] == expected
    samples.clear()
    assert (await samples.read("now", source.load, 60)).found["reads"] == 3


async def test_while_the_broker_is_away_or_hangs_the_last_sample_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "_MAX_WAIT_S", 0.05)
    source, samples = Source(), Sampler()
    source.error = BrokerUnavailable("away")
    with pytest.raises(BrokerUnavailable):
        await samples.read("now", source.load)
    source.error = None
    fresh = await samples.read("now", source.load)
    source.error = BrokerUnavailable("away")
    stale = await samples.read("now", source.load)
    assert (stale.found, stale.at, stale.is_stale) == (fresh.found, fresh.at, True)
    source.error = None
    source.open.clear()
    assert (await samples.read("now", source.load)).is_stale
    source.open.set()
    assert not (await samples.read("now", source.load)).is_stale
    source.error = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await samples.read("now", source.load)


async def test_the_number_of_samples_is_bounded() -> None:
    source, samples = Source(), Sampler()
    for number in range(100):
        await samples.read(number, source.load, 60)
    assert (await samples.read(99, source.load, 60)).found["reads"] == 100
    assert (await samples.read(0, source.load, 60)).found["reads"] == 101


# -- fragments


async def test_a_fragment_is_what_is_new_and_nothing_is_sent_where_nothing_is(app: App) -> None:
    web = dashboard(app, authorize=role_of)

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        for target in ("/jobs", "/queues/default", "/schedules"):
            whole = await fetch(web, target, headers={"x-role": "admin"})
            part = await fragment(web, target)
            assert b"<!doctype" in whole.body
            assert b"<!doctype" not in part.body
            assert part.body.count(b"data-live") == whole.body.count(b"data-live")
            assert part.headers["x-as-of"]
        again = await fragment(web, "/jobs", **{"if-none-match": (await fragment(web, "/jobs")).headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        # A relative time is the script's to tell, or each fragment would be new.
        assert b" ago<" in (await fetch(web, "/jobs", headers={"x-role": "admin"})).body
        assert b" ago<" not in (await fragment(web, "/jobs")).body


async def test_while_the_broker_is_away_pages_stand_as_they_were_and_nothing_can_be_pressed(app: App) -> None:
    web = dashboard(app, authorize=role_of)
    async with app:
        await app.pause("emails")
        assert b" disabled" not in (await fetch(web, "/queues/emails", headers={"x-role": "admin"})).body
    away = await fetch(web, "/queues/emails", headers={"x-role": "admin"})
    assert (away.status, b'role="presentation" disabled' in away.body) == (200, True)
    assert b"The broker does not answer" in away.body
    assert (await fragment(web, "/queues/emails")).headers["x-stale"] == "1"
    # A caller of another role has not seen it.
    assert (await fetch(web, "/queues/emails", headers={"x-role": "viewer"})).status == 503
    async with app:
        assert "x-stale" not in (await fragment(web, "/queues/emails")).headers


# -- in a browser


@needs_chromium
def test_a_running_job_is_followed_to_its_end(chromium: Any, shop: str, repair: Callable[[], None]) -> None:
    with page_of(chromium, shop) as page:
        page.goto(f"{shop}/jobs?state=running")
        page.locator("tbody a").first.click()
        page.get_by_text("40 of 100 (40%) frames").wait_for()
        assert page.locator("progress").get_attribute("value") == "40"
        assert "frame 40 of /srv/film.mov" in page.locator("ol.log").inner_text()
        repair()
        page.locator("ol.log").get_by_text("the last frame").wait_for()
        page.locator(".state.completed").wait_for()


@needs_chromium
def test_a_page_is_not_changed_under_the_hand(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/dead?name=refund")
        page.locator("tbody a").first.click()
        page.wait_for_url("**/jobs/**")
        page.locator("summary").first.click()
        page.locator("summary").first.click()
        page.locator("#live.paused").wait_for()
        assert "something is open" in page.locator("#live").get_attribute("title")
        page.locator("summary").first.click()
        page.locator("#live.on").wait_for()


@needs_chromium
def test_keys_go_to_pages_and_rows_and_can_be_switched_off(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/")
        for key, path in (("j", "/jobs"), ("s", "/schedules"), ("w", "/workers"), ("o", "/")):
            page.keyboard.press("g")
            page.keyboard.press(key)
            page.wait_for_url(shop_to_see + path)
        page.goto(f"{shop_to_see}/jobs?state=ready&queue=emails")
        page.keyboard.press("j")
        first = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.textContent") != first
        page.keyboard.press("k")
        assert page.evaluate("document.activeElement.textContent") == first
        page.keyboard.press("?")
        assert "next row" in page.get_by_role("dialog").inner_text()
        page.get_by_role("button", name="Close").click()
        page.goto(f"{shop_to_see}/settings")
        page.get_by_label("Single keys").select_option("off")
        page.get_by_label("Time zone").select_option("Asia/Kolkata")
        page.get_by_role("button", name="Save").click()
        assert page.locator(".zone").inner_text() == "IST"
        page.keyboard.press("?")
        assert page.get_by_role("dialog").count() == 0
