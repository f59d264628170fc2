"""A limit for handlers that have none of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.jobs.context import JobContext
from asyncjobs.middleware.base import CallNext, Middleware

__all__ = ["DefaultTimeout"]


class DefaultTimeout(Middleware):
    """Cancels attempts of jobs that set no ``timeout`` after ``limit`` (seconds or ``timedelta``).

    The timeout is the failure of the attempt, retried as its policy says. Sync handlers can't be stopped by it; give
    those a ``timeout`` of their own, which also bounds their lease. Raises ``ArgumentsError`` for a wrong limit.
    """

    def __init__(self, limit: Duration) -> None:
        self._seconds = to_ms("limit", limit, least_ms=1) / 1000

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if job.deadline is not None:
            return await call_next(job)
        try:
            async with asyncio.timeout(self._seconds) as scope:
                return await call_next(job)
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimeoutError(f"the attempt took longer than the default timeout of {self._seconds:g} s") from None
