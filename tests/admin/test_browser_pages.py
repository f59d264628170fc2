"""Every page in a browser: who can read it, how wide it is, and what foreign text may do in it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.admin.browser import needs_chromium, page_of, widths_exceeded
from tests.admin.crawl import crawl
from tests.admin.odd_shop import TEXTS
from tests.lengths import length
from tests.waiting import SOON

pytestmark = needs_chromium

VENDOR = Path(__file__).parent / "vendor"
AXE = VENDOR / "axe.min.js"

# What axe would say of it is said of the whole page: the rules that fit one.
RUN_AXE = """async () => {
    const found = await axe.run({ resultTypes: ['violations'] });
    return found.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html)]);
}"""

# How a page is looked at: the first two, in which each colour and each width has its turn, with every change.
LOOKS = [("light", 1280), ("dark", 320), ("light", 320), ("dark", 1280)]


def _html(address: str) -> str | None:
    with urllib.request.urlopen(address, timeout=SOON) as reply:
        body: bytes = reply.read()
        return body.decode() if reply.headers.get_content_type() == "text/html" else None


def pages_of(url: str) -> list[str]:
    """Return an address of each page of the dashboard at ``url``."""
    origin, _, mount = re.fullmatch(r"(http://[^/]+)(/?)(.*)", url).groups()  # type: ignore[union-attr]
    mount = f"/{mount}" if mount else ""

    async def read(target: str) -> str | None:
        return await asyncio.to_thread(_html, origin + target)

    # In a thread, since Playwright has a loop of its own in this one.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: asyncio.run(crawl(read, mount))).result()
    assert [path for path, targets in found.items() if not targets] == []
    return [origin + targets[0] for targets in found.values()]


def test_axe_is_the_file_that_its_makers_have_published() -> None:
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() in (VENDOR / "README.md").read_text()


def test_nobody_is_kept_from_reading_a_page(chromium: Any, shop_to_see: str) -> None:
    wrong: list[str] = []
    # Colours that are on their way from one theme to the other are neither's.
    with page_of(chromium, shop_to_see, reduced_motion="reduce") as page:
        for target in [*pages_of(shop_to_see), f"{shop_to_see}/nothing"]:
            wrong += [f"{target}: wider than {width}" for width in widths_exceeded(page, target)]
            assert page.locator("h1").count() == 1
            assert page.locator("main").is_visible()
            page.evaluate(AXE.read_text())
            for colours, width in LOOKS[: length(2, 4)]:
                page.emulate_media(color_scheme=colours)
                page.set_viewport_size({"width": width, "height": 700})
                wrong += [f"{target}: {json.dumps(one)[:600]}" for one in page.evaluate(RUN_AXE)]
    assert wrong == []


@pytest.mark.parametrize("number", range(length(2, len(TEXTS))))
def test_foreign_text_starts_nothing_and_breaks_no_page(chromium: Any, odd_shop: str, number: int) -> None:
    url = f"{odd_shop}/{number}"
    wrong: list[str] = []
    with page_of(chromium, url) as page:
        for target in pages_of(url):
            wrong += [f"{width}: {target}" for width in widths_exceeded(page, target)]
            page.locator("#live:not(:empty)").wait_for()
            assert page.locator("main img, main svg[onload], main script, marquee").count() == 0
    assert wrong == []
