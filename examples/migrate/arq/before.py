"""A shop on arq: mails, payments, parcels, pictures and a report each night.

`arq before.WorkerSettings` runs its worker, and `python before.py` sends some jobs. Both take REDIS_URL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from arq import Retry, create_pool, cron
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus
from arq.worker import func

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))

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


async def startup(ctx: dict[str, Any]) -> None:
    ctx["bank"] = Bank()
    ctx["mailer"] = Mailer()


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["bank"].close()
    await ctx["mailer"].close()


async def on_job_start(ctx: dict[str, Any]) -> None:
    ctx["began"] = time.perf_counter()


async def after_job_end(ctx: dict[str, Any]) -> None:
    log.info("job %s took %.3f s", ctx["job_id"], time.perf_counter() - ctx.get("began", 0))


# The jobs.


async def send_email(ctx: dict[str, Any], to: str, subject: str) -> str:
    """Send one mail; the server asks to come back later now and then."""
    mailer: Mailer = ctx["mailer"]
    try:
        await mailer.send(to, subject)
    except ConnectionRefusedError as error:
        raise Retry(defer=ctx["job_try"] * 0.1) from error
    return f"sent {subject!r} to {to} at attempt {ctx['job_try']}"


async def charge(ctx: dict[str, Any], order: int, amount: Decimal) -> str:
    """Charge an order; the job's id keeps the bank from charging twice."""
    bank: Bank = ctx["bank"]
    try:
        receipt = await bank.charge(order, amount, key=ctx["job_id"])
    except BankAway as error:
        raise Retry(defer=0.1) from error
    redis: ArqRedis = ctx["redis"]
    await redis.enqueue_job("ship", order, _job_id=f"ship-{order}", _defer_by=timedelta(seconds=0.2))
    return receipt


async def ship(ctx: dict[str, Any], order: int) -> str:
    """Hand an order to the carrier."""
    return f"order {order} shipped"


def _resize(path: str, size: int) -> str:
    time.sleep(0.05)  # blocks, as Pillow does
    return f"{path} at {size} px"


async def thumbnail(ctx: dict[str, Any], path: str, size: int) -> str:
    """Make a small picture; blocks, so in a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, _resize, path, size)


async def import_catalogue(ctx: dict[str, Any], rows: int) -> int:
    """Read a catalogue; at most once, and for an hour at most."""
    for _ in range(rows):
        await asyncio.sleep(0.01)
    return rows


async def report(ctx: dict[str, Any]) -> str:
    """Sum up the day, each night at two."""
    return f"report of {datetime.now(UTC):%Y-%m-%d}"


class WorkerSettings:
    functions = [
        send_email,
        func(charge, max_tries=8, keep_result=timedelta(days=1)),
        ship,
        func(thumbnail, timeout=30),
        func(import_catalogue, timeout=3600, max_tries=1),
    ]
    cron_jobs = [cron(report, hour=2, minute=0)]
    redis_settings = REDIS
    on_startup = startup
    on_shutdown = shutdown
    on_job_start = on_job_start
    after_job_end = after_job_end
    max_jobs = 50
    job_timeout = 60
    max_tries = 4
    keep_result = 600
    allow_abort_jobs = True


# The program that sends.


async def outcome(job: Job) -> str:
    try:
        return str(await job.result(timeout=10, poll_delay=0.05))
    except Exception as error:
        return f"failed with {type(error).__name__}: {error}"


async def main() -> None:
    redis = await create_pool(REDIS)
    email = await redis.enqueue_job("send_email", "ada@example.com", subject="Welcome!")
    paid = await redis.enqueue_job("charge", 8, Decimal("19.99"), _job_id="charge-8")
    again = await redis.enqueue_job("charge", 8, Decimal("19.99"), _job_id="charge-8")
    refused = await redis.enqueue_job("charge", 13, Decimal("5.00"), _job_id="charge-13")
    picture = await redis.enqueue_job("thumbnail", "cat.png", 64)
    catalogue = await redis.enqueue_job("import_catalogue", 10_000)
    reminder = await redis.enqueue_job("send_email", "ada@example.com", "Come back", _defer_by=timedelta(days=1))

    print("email:", await outcome(email))
    print("paid:", await outcome(paid))
    print("sent again:", again is not None)
    print("refused:", await outcome(refused))
    print("picture:", await outcome(picture))
    print("shipped:", await outcome(Job("ship-8", redis)))
    print("import aborted:", await catalogue.abort(timeout=10))
    print("reminder waits:", await reminder.status() is JobStatus.deferred)
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main())
