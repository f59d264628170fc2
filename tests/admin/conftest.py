"""The browser of this folder's tests, and the shop that they look at."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.admin.browser import CHROMIUM, OPTIONS
from tests.servers import free_port
from tests.waiting import SOON, until_sync


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of the dashboard of a small shop."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "tests.admin.shop", str(port)]) as server:
        try:
            url = f"http://127.0.0.1:{port}/admin/jobs"

            def answers() -> bool:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/", timeout=SOON) as reply:
                    return bool(reply.status == 200)
                return False

            until_sync(answers, "the shop answers")
            yield url
        finally:
            # One of its jobs runs for an hour.
            server.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def repair(shop: str) -> Callable[[], None]:
    """Lets the bank of the shop answer, and what runs end."""

    def repair() -> None:
        urllib.request.urlopen(f"{shop.removesuffix('/admin/jobs')}/repair", data=b"", timeout=SOON).close()

    return repair
