"""The dead in a browser, with and without script: a trial, the rest over a time, a deletion and its undo."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.admin.browser import needs_chromium, page_of, widths_exceeded
from tests.waiting import until_sync

pytestmark = needs_chromium

SCRIPTS = pytest.mark.parametrize("has_script", [True, False], ids=["script", "plain"])


def text_of(page: Any) -> str:
    return str(page.locator("main").inner_text())


def group_of(page: Any, text: str) -> Any:
    return page.get_by_role("region", name="Groups of dead jobs").get_by_role("row").filter(has_text=text)


@SCRIPTS
def test_a_group_is_tried_with_ten_and_the_rest_spread_over_a_time(
    chromium: Any, dead_shop: str, has_script: bool
) -> None:
    with page_of(chromium, dead_shop, java_script_enabled=has_script) as page:
        page.goto(f"{dead_shop}/dead")
        row = group_of(page, "connection to <ip>")
        assert "✱ new" in row.inner_text()
        assert "2,010" in row.inner_text()
        row.get_by_role("link", name="Retry the jobs of this group").click()
        assert "2,010 dead jobs?" in page.locator("h1").inner_text()
        assert page.locator(".examples li").count() == 5
        page.get_by_role("button", name="First 10, then show me").click()

        def all_ended() -> bool:
            if not has_script and page.get_by_role("link", name="Look again").count():
                page.get_by_role("link", name="Look again").click()
            return "✔ 9 succeeded" in text_of(page)

        until_sync(all_ended, "nine of the trial succeed")
        assert "✖ 1 failed" in text_of(page)
        assert "not yet" not in text_of(page)
        page.get_by_role("link", name="The other 2,000").click()
        page.get_by_label("Spread over minutes").fill("10")
        page.get_by_label("Why, for the audit").fill("the bank is back")
        # The number has to be typed.
        page.get_by_role("button", name="Retry 2,000").click()
        assert "nothing was done" in text_of(page)
        assert page.get_by_label("Spread over minutes").input_value() == "10"
        assert page.get_by_label("Why, for the audit").input_value() == "the bank is back"
        page.get_by_label("Type 2000 to go on").fill("2000")
        page.get_by_role("button", name="Retry 2,000").click()
        done = page.get_by_role("status").filter(has_text="2,000 jobs were made ready again")
        for _ in range(10):
            if has_script or done.count():
                break
            page.get_by_role("button", name="Continue").click()
        done.wait_for()
        page.goto(f"{dead_shop}/queues/payments")
        assert re.search(r"1,9\d\d", text_of(page))
        page.goto(f"{dead_shop}/dead")
        row = group_of(page, "connection to <ip>")
        # The one of the trial, and those that have failed since.
        assert "2,010" not in row.inner_text()


def test_what_goes_on_by_itself_can_be_stopped(chromium: Any, dead_shop: str) -> None:
    with page_of(chromium, dead_shop) as page:
        page.goto(f"{dead_shop}/act?verb=delete&name=charge")
        page.get_by_label("Type 2010 to go on").fill("2010")
        page.get_by_role("button", name="Delete 2,010").click()
        page.get_by_text("500 of 2,010 done").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.wait_for_timeout(1_000)
        assert "500 of 2,010 done" in text_of(page)
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("2,010 jobs were deleted").wait_for()


@SCRIPTS
def test_a_group_is_marked_deleted_and_brought_back(chromium: Any, dead_shop: str, has_script: bool) -> None:
    with page_of(chromium, dead_shop, java_script_enabled=has_script) as page:
        page.goto(f"{dead_shop}/dead")
        row = group_of(page, "no such payment: b")
        row.get_by_text("Seen…").click()
        row.get_by_label("Note").fill("typos of the desk")
        row.get_by_role("button", name="Seen").click()
        row = group_of(page, "no such payment: b")
        assert "✓ seen" in row.inner_text()
        assert "typos of the desk" in row.inner_text()
        row.get_by_role("link", name="Delete the jobs of this group").click()
        page.get_by_role("button", name="Delete 1").click()
        assert "1 job was deleted" in page.get_by_role("status").inner_text()
        page.get_by_role("button", name="Undo").click()
        assert "1 job was brought back" in page.get_by_role("status").inner_text()
        assert "typos of the desk" in text_of(page)
        page.goto(f"{dead_shop}/dead?name=refund")
        page.locator("tbody a").first.click()
        page.get_by_role("button", name="Delete").click()
        if has_script:
            page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Undo").click()
        assert "1 job was brought back" in page.get_by_role("status").inner_text()
        page.goto(f"{dead_shop}/dead?name=refund")
        assert page.locator("tbody tr").count() == 3


def test_the_pages_fit(chromium: Any, dead_shop: str) -> None:
    with page_of(chromium, dead_shop) as page:
        for path in ("/dead", "/act?verb=retry", "/act?verb=delete&name=refund", "/dead?group=nobody"):
            assert widths_exceeded(page, dead_shop + path) == [], path
