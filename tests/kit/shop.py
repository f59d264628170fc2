"""An app with jobs for the tests of the kit; no server is there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncjobs import (
    App,
    Cancel,
    Discard,
    JobContext,
    JobHandle,
    JobRequest,
    Limit,
    Middleware,
    RateLimited,
    Retry,
    RetryPolicy,
    Snooze,
    current_job,
    job,
)
from asyncjobs.middleware import CallNext, Send
from asyncjobs.testing import Attempt

__all__ = ["MONDAY", "NOWHERE", "Address", "Shop", "job_of_no_app", "outcomes"]

# No server is there: what reaches it would fail.
NOWHERE = "redis://127.0.0.1:1/0"
DECISIONS = {
    "retry": Retry(after=5),
    "snooze": Snooze(60),
    "cancel": Cancel("unwanted"),
    "discard": Discard("unneeded"),
    "refused": RateLimited(after=60),
}
MONDAY = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@dataclass
class Address:
    street: str
    number: int


class Noting(Middleware):
    """Notes what passes it."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        self.passed.append("enqueue")
        handles = await send([request.with_headers({"by": "noting"}) for request in requests])
        self.passed.append("sent")
        return handles

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        self.passed.append(f"process {job.headers['by']}")
        return await call_next(job)


@job
async def job_of_no_app(number: int) -> int:
    """A job of no app."""
    return number + 1


class Shop:
    """An app with jobs, and what they did."""

    def __init__(self) -> None:
        self.layer = Noting()
        self.app = app = App(NOWHERE, middleware=[self.layer])
        self.done: list[Any] = []

        @app.job(queue="mail")
        async def send(to: str, subject: str = "Hi") -> str:
            self.done.append(to)
            return f"to {to}"

        @app.job
        async def deliver(to: Address, parts: list[str]) -> str:
            self.done.append((to, parts))
            return to.street

        @app.job(retry=RetryPolicy(max_retries=2, jitter=False))
        async def fail(number: int) -> None:
            self.done.append(current_job().attempt)
            raise ValueError(number)

        @app.job(limits=Limit("provider", running=5))
        async def decide(how: str) -> None:
            if not self.done:
                self.done.append(how)
                raise DECISIONS[how]

        @app.job
        async def parent(number: int) -> str:
            self.done.append(number)
            return (await send.with_options(queue="children").delay(f"child {number}")).id

        @app.job
        def threaded(number: int) -> int:
            self.done.append(threading.current_thread().name)
            return number * 2

        self.send, self.deliver, self.fail, self.decide = send, deliver, fail, decide
        self.parent, self.threaded = parent, threaded


def outcomes(attempts: Sequence[Attempt]) -> list[tuple[str, int, str]]:
    return [(one.name, one.number, one.outcome) for one in attempts]
