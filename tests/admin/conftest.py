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


@contextlib.contextmanager
def served(module: str, path: str) -> Iterator[str]:
    """Run a program that serves dashboards on a port, and yield the address of ``path`` there."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", module, str(port)]) as server:
        try:
            url = f"http://127.0.0.1:{port}{path}"

            def answers() -> bool:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/", timeout=SOON) as reply:
                    return bool(reply.status == 200)
                return False

            until_sync(answers, f"{module} answers", within=3 * SOON)
            yield url
        finally:
            # One of its jobs runs for as long as it is let.
            server.kill()


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of the dashboard of a small shop."""
    with served("tests.admin.shop", "/admin/jobs") as url:
        yield url


@pytest.fixture
def odd_shop() -> Iterator[str]:
    """The address below which are the dashboards of ``tests.admin.odd_shop``."""
    with served("tests.admin.odd_shop", "/0") as url:
        yield url.removesuffix("/0")


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
