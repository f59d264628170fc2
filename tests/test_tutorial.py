"""The tutorial, followed: the files that it says to save, the commands that it says to run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import EXAMPLES, WITHIN_S, environment

TUTORIAL = EXAMPLES.parent / "docs" / "tutorial.md"
FILE = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

ORDER = """
import asyncio
from tests.web import fetch
from web import web

async def main():
    async with web.router.lifespan_context(web):
        paid = await fetch(web, "/orders/7?email=ada@example.com", "POST")
        await fetch(web, "/orders/13?email=bob@example.com", "POST")
        from shop import app
        print(paid.status, await app.handle("charge-7", queue="payments").result(timeout=20))
        print((await fetch(web, "/payments/charge-99")).status)

asyncio.run(main())
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the tutorial, with the files that it says to save."""
    for match in FILE.finditer(TUTORIAL.read_text()):
        (tmp_path / match["name"]).write_text(match["text"])
    assert {file.name for file in tmp_path.iterdir()} == {"shop.py", "try.py", "web.py", "test_shop.py"}
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=f"{folder}:{EXAMPLES.parent}", **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_first_steps_of_the_tutorial_need_no_server(shop: Path) -> None:
    tried = run(shop, "try.py")
    tests = run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")

    assert tried.splitlines() == ["sent 'Welcome!' to ada@example.com", "cat.png at 64 px"]
    assert "1 passed" in tests


def test_the_worker_of_the_tutorial_runs_what_its_web_app_sends_and_logs_json(shop: Path, redis_url: str) -> None:
    code = (shop / "shop.py").read_text()
    [change] = re.findall(r"^app = App\(prefix=.*$", TUTORIAL.read_text(), re.MULTILINE)
    (shop / "shop.py").write_text(code.replace('app = App("memory://", prefix="shop")', change))
    command = "worker shop:app --queues payments,emails,pictures --log-format json --health-port 0"
    assert command.removesuffix("0") in TUTORIAL.read_text()
    worker = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", *command.split()],
        cwd=shop,
        env=environment(ASYNCJOBS_URL=redis_url),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ordered = run(shop, "-c", ORDER, ASYNCJOBS_URL=redis_url)
        failed = run(shop, "-m", "asyncjobs", "failed", "--app", "shop:app", ASYNCJOBS_URL=redis_url)
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=WITHIN_S)

    assert ordered.splitlines() == ["202 order 7 paid at attempt 2", "404"]
    assert "PermissionError: the bank refuses the card" in failed
    records = [json.loads(line) for line in log.splitlines()]
    assert ("charge-7", "charge_card", 1) in [(r.get("job_id"), r.get("job_name"), r.get("attempt")) for r in records]
