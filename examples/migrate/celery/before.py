"""A shop on Celery: mails, payments, pictures, and a report each night.

`celery -A before worker --beat -Q celery,payments` runs its worker, and `python before.py` sends some jobs. Both take
REDIS_URL.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery, signals
from celery.result import AsyncResult
from celery.schedules import crontab

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("before", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    task_time_limit=300,
    result_expires=3600,
    timezone="Europe/Berlin",
    task_routes={"before.charge": {"queue": "payments"}},
    beat_schedule={
        "report": {"task": "before.report", "schedule": crontab(hour=2, minute=0)},
        "rates": {"task": "before.refresh_rates", "schedule": 300.0, "args": ("EUR",)},
    },
)


class CardRefused(Exception):
    """The bank has answered, and the answer is no."""


class Bank:
    """Stands for an HTTP client of the bank."""

    def charge(self, order: int, cents: int) -> str:
        if order == 13:
            raise CardRefused("the card has expired")
        return f"order {order}: {cents} cents"


bank: Bank | None = None


@signals.worker_process_init.connect
def open_bank(**_: Any) -> None:
    global bank
    bank = Bank()


@signals.task_postrun.connect
def log_end(task_id: str, task: Any, state: str, **_: Any) -> None:
    print(f"{task.name} {task_id}: {state}")


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_backoff=1, retry_jitter=True, max_retries=5)
def send_email(self: Any, to: str, subject: str) -> str:
    attempt = self.request.retries + 1
    if attempt == 1:
        raise ConnectionRefusedError("450 try again later")
    return f"sent {subject!r} to {to} at attempt {attempt}"


@app.task(bind=True, max_retries=8)
def charge(self: Any, order: int, cents: int) -> str:
    assert bank is not None
    if order == 8 and self.request.retries == 0:
        raise self.retry(countdown=0.1)
    receipt = bank.charge(order, cents)
    ship.apply_async((order,), countdown=0.1, task_id=f"ship-{order}")
    return receipt


@app.task(ignore_result=False)
def ship(order: int) -> str:
    return f"order {order} shipped"


@app.task(time_limit=30)
def thumbnail(path: str, size: int) -> str:
    return f"{path} at {size} px"


@app.task(time_limit=1)
def hang() -> None:
    time.sleep(60)


@app.task
def report() -> str:
    return "the report of the day"


@app.task
def refresh_rates(currency: str) -> str:
    return f"rates of {currency}"


def outcome(result: AsyncResult[Any]) -> str:
    try:
        return str(result.get(timeout=20))
    except Exception as error:
        return f"failed with {type(error).__name__}"


def main() -> None:
    email = send_email.delay("ada@example.com", subject="Hi")
    paid = charge.apply_async((8, 1999), task_id="charge-8", priority=0)
    refused = charge.delay(13, 500)
    picture = thumbnail.delay("cat.png", 64)
    stuck = hang.delay()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    reminder = send_email.apply_async(("ada@example.com", "Come back"), eta=tomorrow, expires=90_000)

    print("email:", outcome(email))
    print("paid:", outcome(paid))
    print("refused:", outcome(refused))
    print("picture:", outcome(picture))
    print("shipped:", outcome(AsyncResult("ship-8", app=app)))
    print("stuck:", outcome(stuck))
    reminder.revoke()
    print("reminder revoked")


if __name__ == "__main__":
    main()
