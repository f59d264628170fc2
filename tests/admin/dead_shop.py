"""A shop whose bank was away: 2,010 jobs are dead of it, and a few of something else. For tests in a browser.

It is one of those that `tests.admin.street` opens, with its dashboard at `/admin/jobs`. The bank answers again, but for
one card.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.admin import dashboard
from tests.admin.shop import who

__all__ = ["dead_shop"]

DEAD = 2_010


@asynccontextmanager
async def dead_shop() -> AsyncIterator[Starlette]:
    """Open the shop; its worker runs for as long as the block."""
    app = App("memory://", shutdown_timeout=0)
    is_away = True

    @app.job(name="charge", queue="payments", retry=RetryPolicy(max_retries=0), result_ttl=600)
    async def charge(order: int) -> int:
        if is_away or order == DEAD - 1:
            raise ConnectionError(f"connection to 10.0.0.{order % 200}:5432 refused, order {order + 10_000}")
        return order

    @app.job(name="refund", queue="payments", retry=RetryPolicy(max_retries=0))
    async def refund(note: str) -> None:
        raise LookupError(f"no such payment: {note}")

    async with app:
        await app.enqueue_many([charge.request(number) for number in range(DEAD)])
        await app.enqueue_many([refund.request(note) for note in ("a", "b", "c")])
        await Worker(app, queues=["payments"], concurrency=50).run_until_empty()
        is_away = False
        async with app.worker(queues=["payments"], concurrency=10):
            pages = dashboard(app, authorize=who, title="shop", environment="production")
            yield Starlette(routes=[Mount("/admin/jobs", pages)])
