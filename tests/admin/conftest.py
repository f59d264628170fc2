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
            # A browser may still have a connection.
            server.kill()


@pytest.fixture(scope="session")
def street() -> Iterator[str]:
    """The address of the server that opens shops."""
    with served("tests.admin.street", "") as url:
        yield url


@contextlib.contextmanager
def opened(street: str, kind: str) -> Iterator[str]:
    """Open a shop of a kind that ``tests.admin.street`` has, and yield the address of its dashboard."""
    number = post(f"{street}/open/{kind}")
    yield f"{street}/{number}/admin/jobs"
    post(f"{street}/close/{number}")


def post(url: str) -> str:
    with urllib.request.urlopen(url, data=b"", timeout=3 * SOON) as reply:
        return str(reply.read().decode())


@pytest.fixture(scope="session")
def shop_to_see(street: str) -> Iterator[str]:
    """The address of the dashboard of a small shop in which nothing is changed."""
    with opened(street, "shop") as url:
        yield url


@pytest.fixture
def shop(street: str) -> Iterator[str]:
    """The address of the dashboard of a small shop of one test."""
    with opened(street, "shop") as url:
        yield url


@pytest.fixture
def dead_shop(street: str) -> Iterator[str]:
    """The address of the dashboard of a shop of which many jobs are dead."""
    with opened(street, "dead_shop") as url:
        yield url


@pytest.fixture(scope="session")
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
        post(f"{shop.removesuffix('/admin/jobs')}/repair")

    return repair
