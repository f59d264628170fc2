"""A browser for tests: Debian's Chromium, whose pages may say no error and ask nobody else for anything."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import SOON

__all__ = ["CHROMIUM", "OPTIONS", "needs_chromium", "page_of", "widths_exceeded"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium")

# Of the browser, which runs as root in containers, and must ask nobody for updates.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextlib.contextmanager
def page_of(chromium: Any, url: str, **settings: Any) -> Iterator[Any]:
    """Open a page, and fail on any dialog, error on the console, or request to elsewhere."""
    context = chromium.new_context(base_url=url, **settings)
    page = context.new_page()
    page.set_default_timeout(SOON * 1000)
    wrong: list[str] = []
    # A page that isn't there is said on the console too.
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" and "404" not in one.text else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(url) else None)
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert wrong == []


def widths_exceeded(page: Any, address: str) -> list[int]:
    """Open an address on a phone, and make the window wider; return at which widths the page is wider than that."""
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(address)
    wrong = []
    for width in (320, 768, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(width)
    return wrong
