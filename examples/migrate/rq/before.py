"""A shop on RQ: mails, payments and pictures.

`rq worker --with-scheduler payments default` runs its worker, and `python before.py` sends some jobs. Both take
REDIS_URL, the worker as RQ_REDIS_URL too.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

from redis import Redis
from rq import Callback, Queue, Retry, get_current_job
from rq.job import Job

redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
queue = Queue(connection=redis)
payments = Queue("payments", connection=redis, default_timeout=60)


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"


bank = Bank()


def send_email(to: str, subject: str) -> str:
    job = get_current_job()
    assert job is not None
    attempt = 6 - (job.retries_left or 0)
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


def charge(order: int, cents: int) -> str:
    receipt = bank.charge(order, cents)
    queue.enqueue(ship, order, job_id=f"ship-{order}")
    return receipt


def alarm(job: Job, connection: Any, *error: Any) -> None:
    print(f"{job.func_name} {job.id} has failed")


def ship(order: int) -> str:
    return f"order {order} shipped"


def thumbnail(path: str, size: int) -> str:
    return f"{path} at {size} px"


def hang() -> None:
    time.sleep(60)


def outcome(job: Job) -> str:
    result = job.latest_result(timeout=30)
    while result is not None and result.type == result.Type.RETRIED:
        time.sleep(0.05)
        result = job.latest_result(timeout=30)
    assert result is not None
    if result.type == result.Type.SUCCESSFUL:
        return str(result.return_value)
    error = (result.exc_string or "").strip().splitlines()[-1]
    return f"failed with {error.partition(':')[0].rpartition('.')[2]}"


def main() -> None:
    email = queue.enqueue("before.send_email", "ada@example.com", subject="Hi", retry=Retry(max=5), result_ttl=600)
    paid = payments.enqueue("before.charge", 8, 1999, job_id="charge-8", on_failure=Callback("before.alarm"))
    refused = payments.enqueue("before.charge", 13, 500, on_failure=Callback("before.alarm"))
    picture = queue.enqueue("before.thumbnail", "cat.png", 64, job_timeout=30)
    stuck = queue.enqueue("before.hang", job_timeout=1)
    reminder = queue.enqueue_in(timedelta(days=1), "before.send_email", "ada@example.com", "Come back")

    print("email:", outcome(email))
    print("paid:", outcome(paid))
    print("refused:", outcome(refused))
    print("picture:", outcome(picture))
    print("shipped:", outcome(Job.fetch("ship-8", connection=redis)))
    print("stuck:", outcome(stuck))
    reminder.cancel()
    print("reminder canceled:", reminder.is_canceled)


if __name__ == "__main__":
    main()
