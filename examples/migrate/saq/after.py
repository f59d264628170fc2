"""A shop on asyncjobs, moved from SAQ: mails, payments, pictures, and a report each night.

`asyncjobs worker after:app` runs its worker, and `python after.py` sends some jobs. Both take ASYNCJOBS_URL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from asyncjobs import (
    App,
    Inject,
    JobCancelled,
    JobContext,
    JobFailed,
    JobHandle,
    Middleware,
    RetryPolicy,
    current_job,
    resource,
)
from asyncjobs.middleware import CallNext, DefaultTimeout


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    async def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"

    async def close(self) -> None: ...


@resource(scope="worker")
async def open_bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.close()


class Timing(Middleware):
    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        began = time.perf_counter()
        try:
            return await call_next(job)
        finally:
            print(f"{job.name} took {time.perf_counter() - began:.3f} s")


app = App(
    retry=RetryPolicy(max_retries=0),  # SAQ's retries=1
    result_ttl=600,
    concurrency=20,
    middleware=[DefaultTimeout(10), Timing()],
)


@app.job(retry=RetryPolicy(max_retries=4, initial=0.1, backoff="constant", jitter=False))
async def send_email(to: str, subject: str) -> str:
    attempt = current_job().attempt
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


@app.job(timeout=60)
async def charge(order: int, cents: int, bank: Bank = Inject(open_bank)) -> str:
    receipt = await bank.charge(order, cents)
    await ship.with_options(job_id=f"ship-{order}").delay(order)
    return receipt


@app.job
async def ship(order: int) -> str:
    return f"order {order} shipped"


@app.job
def thumbnail(path: str, size: int) -> str:
    time.sleep(0.05)  # blocks, as Pillow does
    return f"{path} at {size} px"


@app.job(timeout=3600)
async def import_catalogue(rows: int) -> int:
    for done in range(rows):
        await asyncio.sleep(0.01)
        current_job().progress(done, rows)
    return rows


@app.job(cron="0 2 * * *", timeout=600)
async def report() -> str:
    return "the report of the day"


async def outcome(handle: JobHandle[Any]) -> str:
    try:
        return str(await handle.result(timeout=10))
    except JobFailed as error:
        return f"failed with {error.error_type.rpartition('.')[2]}: {error.error_message}"


async def main() -> None:
    async with app:
        email = await send_email.delay(to="ada@example.com", subject="Hi")
        paid = await charge.with_options(job_id="charge-8").delay(order=8, cents=1999)
        again = await charge.with_options(job_id="charge-8").delay(order=8, cents=1999)
        refused = await charge.with_options(job_id="charge-13").delay(order=13, cents=500)
        picture = await thumbnail.delay(path="cat.png", size=64)
        catalogue = await import_catalogue.delay(rows=10_000)
        await send_email.schedule_in(86_400, to="ada@example.com", subject="Come back")

        print("email:", await outcome(email))
        print("paid:", await outcome(paid))
        print("sent again:", again.is_new)
        print("refused:", await outcome(refused))
        print("picture:", await outcome(picture))
        async for event in catalogue.events():
            print("import has progress:", event.kind == "progress")
            break
        await catalogue.cancel("the wrong file")
        try:
            await catalogue.result(timeout=10)
        except JobCancelled:
            print("import aborted: True")


if __name__ == "__main__":
    asyncio.run(main())
