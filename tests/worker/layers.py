"""What tests of middleware share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncjobs import JobContext, JobRequest, Middleware, RetryPolicy
from asyncjobs.middleware import CallNext, Send

__all__ = ["NO_RETRY", "Noting"]

NO_RETRY = RetryPolicy(max_retries=0)


class Noting(Middleware):
    """Notes what passes it, on both sides."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        self.seen.append(f"{self.name} sends {len(requests)}")
        stamped = [one.with_headers({self.name: str(len(one.headers))}) for one in requests]
        handles = await send(stamped)
        self.seen.append(f"{self.name} sent")
        return handles

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        self.seen.append(f"{self.name} before")
        value = await call_next(job)
        self.seen.append(f"{self.name} after")
        return f"{value} by {self.name}"
