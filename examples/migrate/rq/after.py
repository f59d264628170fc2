"""A shop on asyncjobs, moved from RQ: mails, payments and pictures.

`asyncjobs worker after:app --queues payments,default` runs its worker, and `python after.py` sends some jobs. Both take
ASYNCJOBS_URL.
"""

from __future__ import annotations

import time
from typing import Any

from asyncjobs import App, JobContext, JobFailed, JobHandle, JobState, Middleware, RetryPolicy, current_job
from asyncjobs.middleware import CallNext, DefaultTimeout


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"


bank = Bank()


class Alarm(Middleware):
    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        try:
            return await call_next(job)
        except Exception:
            if job.queue == "payments":
                print(f"{job.name} {job.id} has failed")
            raise


app = App(
    retry=RetryPolicy(max_retries=0),  # what has no retry= is not retried
    result_ttl=500,
    middleware=[DefaultTimeout(180), Alarm()],
)


@app.job(retry=RetryPolicy(max_retries=5, initial=0), result_ttl=600)
def send_email(to: str, subject: str) -> str:
    attempt = current_job().attempt
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


@app.job(queue="payments", timeout=60)
def charge(order: int, cents: int) -> str:
    receipt = bank.charge(order, cents)
    ship.with_options(job_id=f"ship-{order}").delay_sync(order)
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


def outcome(handle: JobHandle[Any]) -> str:
    try:
        return str(app.sync.result(handle, timeout=20))
    except JobFailed as error:
        return f"failed with {error.error_type.rpartition('.')[2]}"


def main() -> None:
    email = send_email.delay_sync("ada@example.com", subject="Hi")
    paid = charge.with_options(job_id="charge-8").delay_sync(8, 1999)
    refused = charge.delay_sync(13, 500)
    picture = thumbnail.delay_sync("cat.png", 64)
    stuck = hang.delay_sync()
    reminder = send_email.schedule_in_sync(86_400, "ada@example.com", "Come back")

    print("email:", outcome(email))
    print("paid:", outcome(paid))
    print("refused:", outcome(refused))
    print("picture:", outcome(picture))
    print("shipped:", outcome(ship.handle("ship-8")))
    print("stuck:", outcome(stuck))
    app.sync.cancel_job(reminder.id)
    print("reminder canceled:", app.sync.find_job(reminder.id).state is JobState.CANCELLED)


if __name__ == "__main__":
    main()
