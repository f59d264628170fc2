"""Who works and what stands still, in a browser: pause and purge, workers, schedules, the audit, the server."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.admin.browser import needs_chromium, page_of

pytestmark = needs_chromium


@pytest.mark.parametrize("has_script", [True, False])
def test_a_queue_is_paused_with_a_reason_that_others_see_and_resumed(
    chromium: Any, shop: str, has_script: bool
) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/")
        page.get_by_role("navigation").get_by_role("link", name="Queues").click()
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="images", exact=True))
        row.get_by_role("link", name="Pause…").click()
        assert "Pause the queue images?" in page.locator("h1").inner_text()
        page.get_by_label("Why").fill("the disk <is> full")
        page.get_by_role("button", name="Pause").click()
        assert "It is paused" in page.get_by_role("status").inner_text()
        page.get_by_role("navigation").get_by_role("link", name="Queues").click()
        state = row.locator("[data-label=state]").inner_text()
        assert re.search(r"‖ paused by ada@example\.com .* ago: the disk <is> full", state)
        row.get_by_role("button", name="Resume").click()
        assert "open again" in page.get_by_role("status").inner_text()
        page.get_by_role("navigation").get_by_role("link", name="Audit").click()
        rows = page.locator("tbody tr")
        assert "resume" in rows.nth(0).inner_text()
        assert "the disk <is> full" in rows.nth(1).inner_text()
        assert "dashboard" in rows.nth(1).inner_text()


def test_a_paused_queue_is_left_open_by_who_thinks_again(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/queues/images/pause")
        page.get_by_role("link", name="Leave it open").click()
        assert "▶ Open" in page.locator("main").inner_text()


def test_workers_are_shown_with_what_they_run_and_how_far_it_is(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/workers")
        worker = page.get_by_role("region", name="Workers").locator("tbody tr")
        assert worker.count() == 1
        assert "MiB" in worker.locator("[data-label=memory]").inner_text()
        # A worker tells what it runs every five seconds, and the page asks again by itself.
        running = page.get_by_role("region", name="Running jobs").locator("tbody tr").filter(has_text="resize")
        running.wait_for()
        assert "40 of 100 frames" in running.inner_text()
        running.get_by_role("link").first.click()
        assert "resize" in page.locator("main").inner_text()


def test_schedules_are_told_in_words_and_in_their_own_zone(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/schedules")
        row = page.get_by_role("row").filter(has_text="nightly-report")
        assert "At 03:30 every day" in row.inner_text()
        assert "Europe/Berlin" in row.inner_text()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_tenant_is_purged_once_its_id_is_typed(chromium: Any, shop: str, has_script: bool) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/tenants")
        page.get_by_role("link", name="acme", exact=True).click()
        page.get_by_role("link", name="Purge…").click()
        assert page.locator("h1").inner_text() == "Purge 8 jobs of the tenant acme?"
        page.get_by_label("Why, for the audit").fill("they left <b>")
        page.get_by_role("button", name="Purge 8 jobs").click()
        assert "nothing was done" in page.get_by_role("status").inner_text()
        page.get_by_label("Type acme to go on").fill("acme")
        page.get_by_role("button", name="Purge 8 jobs").click()
        assert "8 jobs were cancelled or deleted" in page.get_by_role("status").inner_text()
        page.get_by_role("navigation").get_by_role("link", name="Audit").click()
        entry = page.locator("tbody tr").nth(0).inner_text()
        assert "purge_tenant" in entry
        assert "they left <b>" in entry
