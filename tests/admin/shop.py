"""A small shop behind a dashboard, for tests in a browser and for the pictures of the documentation.

`python -m tests.admin.shop PORT` serves it: the dashboard at `/admin/jobs`, and `POST /repair`, from which on the bank
answers. Its jobs are on the memory broker, with a worker of the queues `payments` and `images` in this process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from asyncjobs import App, RetryPolicy, current_job
from asyncjobs.admin import Access, dashboard

HOSTILE = "</pre><img src=x onerror=alert(1)>\u202egnp.exe"
HOSTILE_ID = "evil</bdi><script>alert(2)</script>"

app = App("memory://")
is_repaired = False


@app.job(queue="payments", retry=RetryPolicy(max_retries=2, initial=0.01, jitter=False))
async def charge(order: int, card: str) -> str:
    if not is_repaired:
        raise ConnectionError(f"order {order}: the bank at 203.0.113.7:443 does not answer")
    return f"order {order} charged"


@app.job(queue="payments", retry=RetryPolicy(max_retries=0))
async def refund(note: str) -> None:
    raise LookupError(note)


@app.job(queue="emails")
async def send_email(to: str, subject: str) -> None: ...


@app.job(queue="images")
async def resize(path: str, width: int) -> None:
    if width:
        await asyncio.sleep(0.02)
        return
    job = current_job()
    job.progress(40, 100, "frames")
    job.log.info("frame 40 of %s", path)
    while not is_repaired:
        await asyncio.sleep(0.02)
    job.log.info("the last frame")


@app.job(queue="reports", name="reports.build_the_quarterly_report_of_a_department_with_a_very_long_name")
async def report(day: str) -> None: ...


async def fill() -> None:
    """Leave something on each page, and wait until it has come to rest."""
    for number in range(60):
        await resize.delay(f"/srv/pictures/{number}.png", 400)
    for number in range(12):
        await charge.with_options(tenant="acme" if number % 3 else None).delay(1000 + number, "4111 1111 1111 1111")
    await refund.with_options(job_id=HOSTILE_ID, metadata={"note": HOSTILE}).delay(HOSTILE)
    await app.pause("emails")
    await app.enqueue_many([send_email.request(f"user{number}@example.com", "News") for number in range(312)])
    await report.delay("2026-11-26")
    await report.schedule_in(7200, "2026-11-27")
    await app.add_schedule("nightly-report", report.request("today"), cron="30 3 * * *", timezone="Europe/Berlin")
    await app.add_schedule("thumbnails-of-everything-every-two-hours", resize.request("*", 64), every=7200)
    await app.pause_schedule("thumbnails-of-everything-every-two-hours")
    while (await app.queue_stats("payments")).failed < 13 or (await app.queue_stats("images")).succeeded_total < 60:
        await asyncio.sleep(0.01)
    while not await app.names():
        await asyncio.sleep(0.05)
    await resize.delay("/srv/film.mov", 0)


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncIterator[None]:
    async with app, app.worker(queues=["payments", "images"], concurrency=8):
        await fill()
        yield


async def repair(request: Request) -> Response:
    global is_repaired
    is_repaired = True
    return PlainTextResponse("repaired")


def who(request: Request) -> Access:
    return Access("ada@example.com", "admin")


web = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/repair", repair, methods=["POST"]),
        Mount("/admin/jobs", dashboard(app, authorize=who, title="shop", environment="production")),
    ],
)

if __name__ == "__main__":
    uvicorn.run(web, port=int(sys.argv[1]), log_level=os.environ.get("LOG_LEVEL", "critical"))
