"""A log record at the start and at the end of each attempt, with the job's fields."""

from __future__ import annotations

import logging
import time
from typing import Any

from asyncjobs.jobs.context import JobContext, log_fields
from asyncjobs.middleware.base import CallNext, Middleware

__all__ = ["Logging"]

_log = logging.getLogger("asyncjobs.job")


class Logging(Middleware):
    """Logs to ``asyncjobs.job`` when an attempt has started, and when it has succeeded or failed.

    Each record has the attributes ``job_id``, ``job_name``, ``queue``, ``attempt``, ``tenant`` and ``trace_id``, and
    the later one ``duration_ms``, so that a JSON formatter finds them.

    Args:
        level: The level of the records; by default ``logging.INFO``.
    """

    def __init__(self, level: int = logging.INFO) -> None:
        self._level = level

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if not _log.isEnabledFor(self._level):
            return await call_next(job)
        fields = log_fields(job)
        _log.log(self._level, "%s started, attempt %d", job.name, job.attempt, extra=fields)
        began = time.perf_counter()
        try:
            value = await call_next(job)
        except BaseException as error:
            fields["duration_ms"] = round((time.perf_counter() - began) * 1000, 3)
            _log.log(self._level, "%s failed: %r", job.name, error, extra=fields)
            raise
        fields["duration_ms"] = round((time.perf_counter() - began) * 1000, 3)
        _log.log(self._level, "%s succeeded", job.name, extra=fields)
        return value
