"""The dashboard in a browser: Debian's Chromium, with and without JavaScript, wide and narrow, light and dark."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from tests.admin.browser import needs_chromium, page_of
from tests.admin.shop import HOSTILE_ID
from tests.waiting import until_sync

pytestmark = needs_chromium


@pytest.mark.parametrize("has_script", [True, False])
def test_a_dead_job_is_found_retried_and_completes(
    chromium: Any, shop: str, repair: Callable[[], None], has_script: bool
) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/")
        page.get_by_role("listitem").filter(has_text="died in the last hour").get_by_role("link", name="Look").click()
        page.get_by_role("row").filter(has_text="order 1003").get_by_role("link").first.click()
        assert "the bank at 203.0.113.7:443 does not answer" in page.locator("details[open]").inner_text()
        repair()
        page.get_by_role("button", name="Retry").click()
        assert "in line again" in page.get_by_role("status").inner_text()

        def completed() -> bool:
            page.reload()
            return "completed" in page.locator(".state").inner_text()

        until_sync(completed, "the job completes")
        assert "order 1003 charged" in page.locator("main").inner_text()


@pytest.mark.parametrize("has_script", [True, False])
def test_all_that_match_are_retried_and_the_rest_deleted(chromium: Any, shop: str, has_script: bool) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/dead")
        page.get_by_label("Tenant").fill("acme")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Retry all that match").click()
        assert "8 dead jobs?" in page.locator("h1").inner_text()
        page.get_by_role("button", name="Retry 8").click()
        assert "8 jobs were made ready again" in page.get_by_role("status").inner_text()
        page.goto(f"{shop}/dead?name=refund")
        page.get_by_role("link", name="Delete all that match").click()
        page.get_by_role("button", name="Delete 1").click()
        assert "1 job was deleted" in page.get_by_role("status").inner_text()


def test_what_can_not_be_undone_is_asked_before(chromium: Any, shop: str) -> None:
    with page_of(chromium, shop) as page:
        page.goto(f"{shop}/jobs?state=ready&queue=reports")
        page.locator("tbody a").first.click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Back").click()
        assert page.get_by_role("dialog").count() == 0
        page.get_by_role("button", name="Cancel").click()
        assert "cannot be brought back" in page.get_by_role("dialog").inner_text()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert "cancelled" in page.get_by_role("status").inner_text()


def test_a_page_follows_what_happens_and_keeps_what_is_open(chromium: Any, shop: str) -> None:
    with page_of(chromium, shop) as page:
        page.goto(f"{shop}/queues/emails")
        assert "paused by" in page.locator("main").inner_text()
        other = page.context.new_page()
        other.goto(f"{shop}/queues/emails")
        other.get_by_role("button", name="Resume").click()
        page.bring_to_front()
        page.get_by_text("Open;").wait_for()
        page.goto(f"{shop}/dead?name=refund")
        page.locator("tbody a").first.click()
        page.wait_for_url("**/jobs/**")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.type(HOSTILE_ID)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=re.escape("evil")).wait_for()


def test_foreign_text_starts_nothing(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/search?q={urllib.parse.quote(HOSTILE_ID)}")
        text = page.locator("main").inner_text()
        assert "<img src=x onerror=alert(1)>\\u202egnp.exe" in text
        assert page.locator("main img").count() == 0


def test_light_and_dark_are_chosen_without_script(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see, java_script_enabled=False, color_scheme="light") as page:
        page.goto(f"{shop_to_see}/")
        seen = []
        for _ in range(3):
            page.get_by_role("button", name="theme").click()
            seen.append(page.locator("html").get_attribute("data-theme"))
        assert seen == ["light", "dark", "auto"]
