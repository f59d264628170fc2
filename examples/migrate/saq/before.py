"""A shop on SAQ: mails, payments, pictures, and a report each night.

`saq before.settings` runs its worker, and `python before.py` sends some jobs. Both take REDIS_URL.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from saq import CronJob, Job, Queue
from saq.job import TERMINAL_STATUSES

queue = Queue.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    async def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"

    async def close(self) -> None: ...


async def startup(ctx: dict[str, Any]) -> None:
    ctx["bank"] = Bank()


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["bank"].close()


async def before_process(ctx: dict[str, Any]) -> None:
    ctx["began"] = time.perf_counter()


async def after_process(ctx: dict[str, Any]) -> None:
    print(f"{ctx['job'].function} took {time.perf_counter() - ctx['began']:.3f} s")


async def send_email(ctx: dict[str, Any], *, to: str, subject: str) -> str:
    attempt = ctx["job"].attempts
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


async def charge(ctx: dict[str, Any], *, order: int, cents: int) -> str:
    receipt: str = await ctx["bank"].charge(order, cents)
    await queue.enqueue("ship", order=order, key=f"ship-{order}")
    return receipt


async def ship(ctx: dict[str, Any], *, order: int) -> str:
    return f"order {order} shipped"


def thumbnail(ctx: dict[str, Any], *, path: str, size: int) -> str:
    time.sleep(0.05)  # blocks, as Pillow does
    return f"{path} at {size} px"


async def import_catalogue(ctx: dict[str, Any], *, rows: int) -> int:
    for done in range(rows):
        await asyncio.sleep(0.01)
        if done % 100 == 0:
            await ctx["job"].update(progress=(done + 1) / rows)
    return rows


async def report(ctx: dict[str, Any]) -> str:
    return "the report of the day"


settings = {
    "queue": queue,
    "functions": [send_email, charge, ship, thumbnail, import_catalogue],
    "concurrency": 20,
    "cron_jobs": [CronJob(report, cron="0 2 * * *", timeout=600)],
    "startup": startup,
    "shutdown": shutdown,
    "before_process": before_process,
    "after_process": after_process,
}


async def end(job: Job) -> None:
    while job.status not in TERMINAL_STATUSES:
        await asyncio.sleep(0.05)
        await job.refresh()


async def outcome(job: Job | None) -> str:
    assert job is not None
    await end(job)
    error = (job.error or "").strip().rpartition("\n")[2].rpartition(".")[2]
    return str(job.result) if job.status == "complete" else f"{job.status.value} with {error}"


async def main() -> None:
    email = await queue.enqueue("send_email", to="ada@example.com", subject="Hi", retries=5, retry_delay=0.1)
    paid = await queue.enqueue("charge", order=8, cents=1999, key="charge-8", timeout=60)
    again = await queue.enqueue("charge", order=8, cents=1999, key="charge-8", timeout=60)
    refused = await queue.enqueue("charge", order=13, cents=500, key="charge-13", timeout=60)
    picture = await queue.enqueue("thumbnail", path="cat.png", size=64)
    catalogue = await queue.enqueue("import_catalogue", rows=10_000, timeout=3600)
    await queue.enqueue("send_email", to="ada@example.com", subject="Come back", scheduled=time.time() + 86_400)

    print("email:", await outcome(email))
    print("paid:", await outcome(paid))
    print("sent again:", again is not None)
    print("refused:", await outcome(refused))
    print("picture:", await outcome(picture))
    assert catalogue is not None
    await catalogue.refresh()
    print("import has progress:", catalogue.progress > 0)
    await catalogue.abort("the wrong file")
    await end(catalogue)
    print("import aborted:", catalogue.status == "aborted")
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
