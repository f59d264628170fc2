"""The example with Django: what a view commits is run by a worker, and what it rolls back is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import EXAMPLES, WITHIN_S, environment

FOLDER = EXAMPLES / "django_app"

VIEWS = """
import shop.worker
from django.test import Client
from shop.jobs import app, remind, send_receipt
from shop.models import Order

client = Client(raise_request_exception=False)
order = client.post("/orders/?email=ada@example.com").json()["order"]
print(app.sync.result(send_receipt.handle(f"receipt-{order}"), timeout=20))
print(client.get(f"/orders/{order}/receipt/").json())
print("sent at", Order.objects.get(pk=order).receipt_sent_at is not None)

print(client.post("/orders/?email=ada@example.invalid").status_code, Order.objects.count())
print(client.get(f"/orders/{order + 1}/receipt/").status_code)
print("without a receipt:", app.sync.result(remind.delay_sync(), timeout=20))
"""

ASYNC_VIEW = """
import asyncio, sys
sys.path.insert(0, "../..")
from shop.asgi import application
from tests.web import fetch

async def main():
    async with application.router.lifespan_context(application):
        sent = await fetch(application, "/orders/1/send-again/", "POST")
        page = await fetch(application, "/jobs/", headers={"authorization": "Basic b3BzOnMzY3JldA=="})
        locked = await fetch(application, "/jobs/")
        print(sent.status, page.status, locked.status)
        from shop.jobs import app
        print(await app.handle(sent.json["job"], queue="emails").result(timeout=20))

asyncio.run(main())
"""


@pytest.fixture
def variables(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of the project, with a database of its own."""

    return environment(
        ASYNCJOBS_URL=redis_url,
        SHOP_DATABASE=str(tmp_path / "shop.sqlite3"),
        DJANGO_SETTINGS_MODULE="shop.settings",
        ADMIN_PASSWORD="s3cret",
        PYTHONPATH=str(EXAMPLES.parent),
    )


def run(variables: dict[str, str], *arguments: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=FOLDER,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_what_a_view_of_django_commits_is_run_and_what_it_rolls_back_is_not(variables: dict[str, str]) -> None:
    run(variables, "manage.py", "migrate", "--run-syncdb")
    worker = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", "worker", "shop.worker:app"],
        cwd=FOLDER,
        env=variables,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        views = run(variables, "-c", VIEWS)
        async_view = run(variables, "-c", ASYNC_VIEW)
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=WITHIN_S)

    assert views == [
        "receipt for order 1 sent to ada@example.com",
        "{'state': 'completed'}",
        "sent at True",
        "500 1",
        "404",
        "without a receipt: 0",
    ], log
    assert async_view == ["202 200 401", "receipt for order 1 sent to ada@example.com"], log
