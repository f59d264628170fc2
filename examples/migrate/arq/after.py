"""A shop on asyncjobs, moved from arq: mails, payments, parcels, pictures and a report each night.

`asyncjobs worker after:app` runs its worker, and `python after.py` sends some jobs. Both take ASYNCJOBS_URL.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from asyncjobs import (
    App,
    Inject,
    JobContext,
    JobFailed,
    JobHandle,
    JobState,
    Middleware,
    Retry,
    RetryPolicy,
    current_job,
    resource,
)
from asyncjobs.middleware import CallNext, DefaultTimeout

log = logging.getLogger("shop")


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class BankAway(Exception):
    """The bank has not answered."""


@dataclass
class Bank:
    """Stands for an HTTP client of the bank."""

    calls: int = 0
    is_open: bool = True

    async def charge(self, order: int, amount: Decimal, key: str) -> str:
        self.calls += 1
        await asyncio.sleep(0.01)
        if order == 13:
            raise CardRefused("the card has expired")
        if order == 8 and self.calls < 3:
            raise BankAway("no answer in time")
        return f"{key}: {amount} EUR"

    async def close(self) -> None:
        self.is_open = False


@dataclass
class Mailer:
    """Stands for a connection to the mail server."""

    sent: list[str] = field(default_factory=list)
    is_busy: bool = True

    async def send(self, to: str, subject: str) -> None:
        if self.is_busy:
            self.is_busy = False
            raise ConnectionRefusedError("450 try again later")
        self.sent.append(f"{subject} to {to}")

    async def close(self) -> None:
        self.sent.clear()


# What a worker has, and what it does around each job.


@resource(scope="worker")
async def open_bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.close()


@resource(scope="worker")
async def open_mailer() -> AsyncIterator[Mailer]:
    mailer = Mailer()
    yield mailer
    await mailer.close()


class Timing(Middleware):
    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        began = time.perf_counter()
        try:
            return await call_next(job)
        finally:
            log.info("job %s took %.3f s", job.id, time.perf_counter() - began)


app = App(
    retry=RetryPolicy(max_retries=3, retry_on=()),
    result_ttl=600,
    concurrency=50,
    middleware=[DefaultTimeout(60), Timing()],
)


# The jobs.


@app.job
async def send_email(to: str, subject: str, mailer: Mailer = Inject(open_mailer)) -> str:
    """Send one mail; the server asks to come back later now and then."""
    attempt = current_job().attempt
    try:
        await mailer.send(to, subject)
    except ConnectionRefusedError as error:
        raise Retry(after=attempt * 0.1) from error
    return f"sent {subject!r} to {to} at attempt {attempt}"


@app.job(retry=RetryPolicy(max_retries=7, retry_on=()), result_ttl=86_400)
async def charge(order: int, amount: Decimal, bank: Bank = Inject(open_bank)) -> str:
    """Charge an order; the job's id keeps the bank from charging twice."""
    try:
        receipt = await bank.charge(order, amount, key=current_job().id)
    except BankAway as error:
        raise Retry(after=0.1) from error
    await ship.with_options(job_id=f"ship-{order}").schedule_in(0.2, order)
    return receipt


@app.job
async def ship(order: int) -> str:
    """Hand an order to the carrier."""
    return f"order {order} shipped"


@app.job(timeout=30)
def thumbnail(path: str, size: int) -> str:
    """Make a small picture; blocks, so in a thread."""
    time.sleep(0.05)  # blocks, as Pillow does
    return f"{path} at {size} px"


@app.job(timeout=3600, acks="early")
async def import_catalogue(rows: int) -> int:
    """Read a catalogue; at most once, and for an hour at most."""
    for _ in range(rows):
        await asyncio.sleep(0.01)
    return rows


@app.job(cron="0 2 * * *")
async def report() -> str:
    """Sum up the day, each night at two."""
    return f"report of {datetime.now(UTC):%Y-%m-%d}"


# The program that sends.


async def outcome(handle: JobHandle[Any]) -> str:
    try:
        return str(await handle.result(timeout=10))
    except JobFailed as error:
        return f"failed with {error.error_type.rpartition('.')[2]}: {error.error_message}"


async def main() -> None:
    async with app:
        email = await send_email.delay("ada@example.com", subject="Welcome!")
        paid = await charge.with_options(job_id="charge-8").delay(8, Decimal("19.99"))
        again = await charge.with_options(job_id="charge-8").delay(8, Decimal("19.99"))
        refused = await charge.with_options(job_id="charge-13").delay(13, Decimal("5.00"))
        picture = await thumbnail.delay("cat.png", 64)
        catalogue = await import_catalogue.delay(10_000)
        reminder = await send_email.schedule_in(86_400, "ada@example.com", "Come back")

        print("email:", await outcome(email))
        print("paid:", await outcome(paid))
        print("sent again:", again.is_new)
        print("refused:", await outcome(refused))
        print("picture:", await outcome(picture))
        print("shipped:", await outcome(ship.handle("ship-8")))
        print("import aborted:", await catalogue.cancel())
        print("reminder waits:", await reminder.status() is JobState.PENDING)


if __name__ == "__main__":
    asyncio.run(main())
