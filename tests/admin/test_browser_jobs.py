"""Jobs in a browser: one is found by a text and retried, sent again with other arguments, or cancelled with others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.admin.browser import needs_chromium, page_of
from tests.waiting import until_sync

pytestmark = needs_chromium


def _wait_for(page: Any, state: str) -> None:
    def is_there() -> bool:
        page.reload()
        return state in page.locator(".state").first.inner_text()

    until_sync(is_there, f"the job is {state}")


@pytest.mark.parametrize("has_script", [True, False])
def test_a_failed_job_is_found_by_text_and_retried_to_its_completion(
    chromium: Any, shop: str, repair: Callable[[], None], has_script: bool
) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/jobs")
        page.get_by_label("State").select_option("dead")
        page.get_by_label("Text in id, arguments, error").fill("order 1003")
        page.get_by_role("button", name="Find").click()
        assert "Searched 13 of 13 · 1 found" in page.locator("main").inner_text()
        page.get_by_role("row").nth(1).get_by_role("link").first.click()
        story = page.locator(".timeline").inner_text()
        assert "attempt 3: ConnectionError" in story
        assert "203.0.113.7" in page.locator("details[open]").first.inner_text()
        repair()
        page.get_by_role("button", name="Retry", exact=True).click()
        # It also waits for the page: to load one again that leads to another is an error of the browser.
        assert "in line again" in page.get_by_role("status").inner_text()
        _wait_for(page, "completed")
        assert "order 1003 charged" in page.locator("main").inner_text()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_dead_job_is_sent_again_with_other_arguments(
    chromium: Any, shop: str, repair: Callable[[], None], has_script: bool
) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/jobs?state=failed&text=order+1003")
        page.get_by_role("row").nth(1).get_by_role("link").first.click()
        page.get_by_role("link", name="Retry changed…").click()
        given = page.get_by_label("Arguments as JSON")
        given.fill(given.input_value().replace("1003", "1999"))
        repair()
        page.get_by_role("button", name="Send a new job").click()
        assert "This is the new job" in page.get_by_role("status").inner_text()
        _wait_for(page, "completed")
        assert "order 1999 charged" in page.locator("main").inner_text()


@pytest.mark.parametrize("has_script", [True, False])
def test_jobs_that_are_selected_are_cancelled_and_the_list_is_as_before(
    chromium: Any, shop: str, has_script: bool
) -> None:
    with page_of(chromium, shop, java_script_enabled=has_script) as page:
        page.goto(f"{shop}/jobs?queue=emails&name=send_email")
        boxes = page.locator("tbody input[type=checkbox]")
        boxes.nth(0).check()
        boxes.nth(2).check()
        page.get_by_role("button", name="Cancel selected…").click()
        assert "Cancel 2 jobs?" in page.locator("h1").inner_text()
        assert "user0@example.com" in page.locator("main").inner_text()
        page.get_by_role("button", name="Cancel 2 jobs").click()
        assert "2 cancelled" in page.get_by_role("status").inner_text()
        assert page.get_by_label("Queue").input_value() == "emails"
        assert "of 310" in page.locator("main").inner_text()


def test_why_a_job_waits_stands_on_its_page_and_all_rows_are_selected_at_once(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see) as page:
        page.goto(f"{shop_to_see}/jobs?queue=emails")
        page.get_by_label("Select all rows").check()
        assert page.locator("tbody input[type=checkbox]:checked").count() == 50
        page.get_by_role("row").nth(1).get_by_role("link").first.click()
        assert "The queue emails is paused" in page.locator(".why").inner_text()
