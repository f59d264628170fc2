"""`nox -s pictures`: writes the pictures of the dashboard into `docs/images/`, from a small shop with jobs in it.

It needs Debian's Chromium. Look at each picture before you commit it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.servers import free_port

IMAGES = Path(__file__).parent / "images"
PICTURES = {
    "dashboard": ("/", 1280, "light"),
    "dashboard-dark": ("/", 1280, "dark"),
    "dashboard-dead": ("/dead?name=charge", 1280, "light"),
    "dashboard-phone": ("/queues/payments", 360, "light"),
}


def main() -> None:
    """Write the pictures."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/admin/jobs"
    IMAGES.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.admin.shop", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as shop, sync_playwright() as playwright:
        _wait(url)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (path, width, scheme) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
            page.goto(url + path)
            page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
        page = browser.new_page(viewport={"width": 1280, "height": 700})
        page.goto(f"{url}/dead?name=charge")
        page.locator("tbody a").first.click()
        # A traceback names paths of this machine.
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = false })")
        page.screenshot(path=IMAGES / "dashboard-job.png", full_page=True)
        browser.close()
        shop.kill()


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url + "/", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{url} does not answer")


if __name__ == "__main__":
    main()
