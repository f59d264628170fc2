"""`nox -s pictures`: writes the pictures of the dashboard into `docs/images/`, from the shop of `docs/picture_shop.py`.

It needs Debian's Chromium. Look at each picture before you commit it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import sync_playwright

from tests.admin.conftest import served

IMAGES = Path(__file__).parent / "images"


class Picture(NamedTuple):
    """One picture."""

    path: str
    """The page."""
    scheme: str = "light"
    """``light`` or ``dark``."""
    width: int = 1280
    """How wide the window is."""
    height: int | None = None
    """Where the picture is cut, ``None`` for the whole page."""
    go: Callable[[Any], None] = lambda page: None
    """Goes on from there."""


def _first_row(page: Any) -> None:
    page.locator("main tbody a").first.click()
    page.wait_for_url("**/jobs/**")
    # A traceback names paths of this machine.
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = false })")


def _running(page: Any) -> None:
    _first_row(page)
    page.locator("ol.log li").nth(7).wait_for()


PICTURES = {
    "dashboard": Picture("/"),
    "dashboard-dark": Picture("/", "dark"),
    "dashboard-queues": Picture("/queues"),
    "dashboard-queue": Picture("/queues/images"),
    "dashboard-jobs": Picture("/jobs", height=820),
    "dashboard-job": Picture("/jobs?state=failed&queue=payments&name=charge", go=_first_row),
    "dashboard-running": Picture("/jobs?state=running&queue=catalogue", go=_running),
    "dashboard-dead": Picture("/dead", height=900),
    "dashboard-limits": Picture("/limits"),
    "dashboard-names": Picture("/names"),
    "dashboard-workers": Picture("/workers"),
    "dashboard-tenants": Picture("/tenants"),
    "dashboard-schedules": Picture("/schedules"),
    "dashboard-audit": Picture("/audit"),
    "dashboard-phone": Picture("/", width=360, height=1_400),
}


def main() -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with served("docs.picture_shop", "/admin/jobs") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, picture in PICTURES.items():
            size = {"width": picture.width, "height": picture.height or 700}
            page = browser.new_page(viewport=size, color_scheme=picture.scheme)
            page.goto(url + picture.path)
            picture.go(page)
            # A sample is a second old, and the charts are drawn.
            page.wait_for_timeout(400)
            page.screenshot(path=IMAGES / f"{name}.png", full_page=picture.height is None)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
