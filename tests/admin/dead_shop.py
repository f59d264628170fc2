"""A shop whose bank was away: 2,010 jobs are dead of it, and a few of something else. For tests in a browser.

`python -m tests.admin.dead_shop PORT` serves its dashboard at `/admin/jobs`. The bank answers again, but for one card.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.admin import Access, dashboard

DEAD = 2_010

app = App("memory://")
is_away = True


@app.job(queue="payments", retry=RetryPolicy(max_retries=0), result_ttl=600)
async def charge(order: int) -> int:
    if is_away or order == DEAD - 1:
        raise ConnectionError(f"connection to 10.0.0.{order % 200}:5432 refused, order {order + 10_000}")
    return order


@app.job(queue="payments", retry=RetryPolicy(max_retries=0))
async def refund(note: str) -> None:
    raise LookupError(f"no such payment: {note}")


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncIterator[None]:
    global is_away
    async with app:
        await app.enqueue_many([charge.request(number) for number in range(DEAD)])
        await app.enqueue_many([refund.request(note) for note in ("a", "b", "c")])
        await Worker(app, queues=["payments"], concurrency=50).run_until_empty()
        is_away = False
        async with app.worker(queues=["payments"], concurrency=10):
            yield


def who(request: Request) -> Access:
    return Access("ada@example.com", "admin")


web = Starlette(
    lifespan=lifespan,
    routes=[Mount("/admin/jobs", dashboard(app, authorize=who, title="shop", environment="production"))],
)

if __name__ == "__main__":
    uvicorn.run(web, port=int(sys.argv[1]), log_level=os.environ.get("LOG_LEVEL", "critical"))
