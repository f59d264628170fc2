"""A small shop behind a dashboard, for tests in a browser: one of those that `tests.admin.street` opens.

The dashboard is at `/admin/jobs`, and after `POST /repair` the bank answers. Its jobs are on the memory broker, with a
worker of the queues `payments` and `images` in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from asyncjobs import App, Limit, RetryPolicy, current_job
from asyncjobs.admin import Access, dashboard
from asyncjobs.ports import RunCounts
from tests.apps import broker_of

__all__ = ["HOSTILE_ID", "shop"]

HOSTILE = "</pre><img src=x onerror=alert(1)>\u202egnp.exe"
HOSTILE_ID = "evil</bdi><script>alert(2)</script>"


def who(request: Request) -> Access:
    return Access("ada@example.com", "admin")


@asynccontextmanager
async def shop() -> AsyncIterator[Starlette]:
    """Open a shop, with something on each page; its worker runs for as long as the block."""
    app = App("memory://", shutdown_timeout=0)
    repaired = asyncio.Event()

    @app.job(name="charge", queue="payments", retry=RetryPolicy(max_retries=2, initial=0.01, jitter=False))
    async def charge(order: int, card: str) -> str:
        if not repaired.is_set():
            raise ConnectionError(f"order {order}: the bank at 203.0.113.7:443 does not answer")
        return f"order {order} charged"

    @app.job(name="refund", queue="payments", retry=RetryPolicy(max_retries=0))
    async def refund(note: str) -> None:
        raise LookupError(note)

    @app.job(name="send_email", queue="emails")
    async def send_email(to: str, subject: str) -> None: ...

    @app.job(name="resize", queue="images")
    async def resize(path: str, width: int) -> None:
        """Make a picture smaller."""
        if width:
            return
        job = current_job()
        job.progress(40, 100, "frames")
        job.log.info("frame 40 of %s", path)
        await repaired.wait()
        job.log.info("the last frame")

    @app.job(name="reports.build_the_quarterly_report_of_a_department_with_a_very_long_name", queue="reports")
    async def report(day: str) -> None: ...

    async def repair(request: Request) -> Response:
        repaired.set()
        return PlainTextResponse("repaired")

    async with app, app.worker(queues=["payments", "images"], concurrency=8):
        for number in range(60):
            await resize.delay(f"/srv/pictures/{number}.png", 400)
        for number in range(12):
            tenant = "acme" if number % 3 else None
            await charge.with_options(tenant=tenant).delay(1000 + number, "4111 1111 1111 1111")
        await refund.with_options(job_id=HOSTILE_ID, metadata={"note": HOSTILE}).delay(HOSTILE)
        await app.set_limit("images", Limit("customer", running=1), HOSTILE, running=3)
        await app.set_limit("images", Limit("encoder", running=1), "h265", rate="10/s")
        await app.pause("emails")
        await app.enqueue_many([send_email.request(f"user{number}@example.com", "News") for number in range(312)])
        await report.delay("2026-11-26")
        await report.schedule_in(7200, "2026-11-27")
        await app.add_schedule("nightly-report", report.request("today"), cron="30 3 * * *", timezone="Europe/Berlin")
        await app.add_schedule("thumbnails-of-everything-every-two-hours", resize.request("*", 64), every=7200)
        await app.pause_schedule("thumbnails-of-everything-every-two-hours")
        while (await app.queue_stats("payments")).failed < 13 or (await app.queue_stats("images")).succeeded_total < 60:
            await asyncio.sleep(0.01)
        # As the worker does every few seconds.
        await broker_of(app).count_runs({"images": [RunCounts(name="resize", succeeded=60, runs={100: 60})]})
        await resize.delay("/srv/film.mov", 0)
        pages = dashboard(app, authorize=who, title="shop", environment="production")
        yield Starlette(routes=[Route("/repair", repair, methods=["POST"]), Mount("/admin/jobs", pages)])
