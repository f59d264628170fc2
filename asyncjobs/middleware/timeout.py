"""A limit for handlers that have none of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.jobs.context import JobContext
from asyncjobs.middleware.base import CallNext, Middleware

__all__ = ["DefaultTimeout"]


class DefaultTimeout(Middleware):
    """Cancels an attempt after a time, if its job has no ``timeout``.

    The cancelled attempt has failed, and is retried as the job's policy says. A plain function in a thread can't be
    stopped by it; give its job a ``timeout``, which also bounds how long the worker keeps it.

    Args:
        limit: Seconds or ``timedelta``, at least 1 ms.

    Raises:
        ArgumentsError: ``limit`` is no such duration.
    """

    def __init__(self, limit: Duration) -> None:
        self._limit_s = to_ms("limit", limit, least_ms=1) / 1000

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if job.deadline is not None:
            return await call_next(job)
        try:
            async with asyncio.timeout(self._limit_s) as scope:
                return await call_next(job)
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimeoutError(f"the attempt took longer than the default timeout of {self._limit_s:g} s") from None
