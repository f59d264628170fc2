"""Resources injected into a handler, and middleware of one's own around it: `python examples/resources.py`.

The database is SQLite in memory; no server is needed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

from asyncjobs import App, Inject, JobContext, JobFailed, Middleware, RetryPolicy, resource
from asyncjobs.middleware import CallNext


class Timing(Middleware):
    """Says how long each attempt took, also one that failed."""

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        began = time.perf_counter()
        try:
            return await call_next(job)
        finally:
            print(f"{job.name} took {(time.perf_counter() - began) * 1000:.1f} ms")


app = App("memory://", middleware=[Timing()], retry=RetryPolicy(max_retries=0))


@resource(scope="worker")
async def database() -> AsyncIterator[sqlite3.Connection]:
    """One for all jobs of the worker."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE payments (number INTEGER PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents > 0))")
    yield connection
    print("payments:", connection.execute("SELECT number, cents FROM payments").fetchall())
    connection.close()


async def transaction(connection: sqlite3.Connection = Inject(database)) -> AsyncIterator[sqlite3.Cursor]:
    """One for each attempt: kept if the handler returns, undone if it does not."""
    with connection:
        yield connection.cursor()


@app.job(queue="payments")
async def pay(number: int, amounts: list[int], db: sqlite3.Cursor = Inject(transaction)) -> int:
    for cents in amounts:
        db.execute("INSERT INTO payments VALUES (?, ?)", (number, cents))
        number += 1
    return number


async def main() -> None:
    async with app, app.worker(concurrency=1):
        paid = await pay.delay(1, [500, 250])
        refused = await pay.delay(3, [100, -1])  # the first of the two is undone
        print("next number:", await paid.result(timeout=10))
        try:
            await refused.result(timeout=10)
        except JobFailed as error:
            print(error)


if __name__ == "__main__":
    asyncio.run(main())
