"""A shop on asyncjobs, moved from Celery: mails, payments, pictures, and a report each night.

`asyncjobs worker after:app` runs its worker, and `python after.py` sends some jobs. Both take ASYNCJOBS_URL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncjobs import (
    App,
    Inject,
    JobContext,
    JobFailed,
    JobHandle,
    Middleware,
    Retry,
    RetryPolicy,
    current_job,
    resource,
)
from asyncjobs.middleware import CallNext, DefaultTimeout


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"


@resource(scope="worker")
def open_bank() -> Iterator[Bank]:
    yield Bank()


class LogEnd(Middleware):
    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        result = await call_next(job)
        print(f"{job.name} {job.id}: done")
        return result


app = App(
    retry=RetryPolicy(retry_on=()),  # nothing is retried that doesn't say so
    result_ttl=3600,
    middleware=[DefaultTimeout(300), LogEnd()],
)


@app.job(retry=RetryPolicy(max_retries=5, cap=600, retry_on=(ConnectionError,)))
def send_email(to: str, subject: str) -> str:
    attempt = current_job().attempt
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


@app.job(queue="payments", retry=RetryPolicy(max_retries=8, retry_on=()))
def charge(order: int, cents: int, bank: Bank = Inject(open_bank)) -> str:
    if order == 8 and current_job().attempt == 1:
        raise Retry(after=0.1)
    receipt = bank.charge(order, cents)
    ship.with_options(job_id=f"ship-{order}").schedule_in_sync(0.1, order)
    return receipt


@app.job
def ship(order: int) -> str:
    return f"order {order} shipped"


@app.job(timeout=30)
def thumbnail(path: str, size: int) -> str:
    return f"{path} at {size} px"


@app.job(timeout=1, executor="process")  # a thread can't be killed
def hang() -> None:
    time.sleep(60)


@app.job(cron="0 2 * * *", timezone="Europe/Berlin")
def report() -> str:
    return "the report of the day"


@app.job(every=300)
def refresh_rates(currency: str = "EUR") -> str:
    return f"rates of {currency}"


def outcome(handle: JobHandle[Any]) -> str:
    try:
        return str(app.sync.result(handle, timeout=20))
    except JobFailed as error:
        return f"failed with {error.error_type.rpartition('.')[2]}"


def main() -> None:
    email = send_email.delay_sync("ada@example.com", subject="Hi")
    paid = charge.with_options(job_id="charge-8", priority="critical").delay_sync(8, 1999)
    refused = charge.delay_sync(13, 500)
    picture = thumbnail.delay_sync("cat.png", 64)
    stuck = hang.delay_sync()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    reminder = send_email.with_options(expires=3600).schedule_at_sync(tomorrow, "ada@example.com", "Come back")

    print("email:", outcome(email))
    print("paid:", outcome(paid))
    print("refused:", outcome(refused))
    print("picture:", outcome(picture))
    print("shipped:", outcome(ship.handle("ship-8")))
    print("stuck:", outcome(stuck))
    app.sync.cancel_job(reminder.id)
    print("reminder revoked")


if __name__ == "__main__":
    main()
