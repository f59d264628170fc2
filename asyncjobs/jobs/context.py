"""The job that code runs in, as a handler sees it."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.schedule import SCHEDULE_HEADER, TICK_HEADER
from asyncjobs.core.text import storable
from asyncjobs.jobs.events import EventKind, encode_event
from asyncjobs.jobs.request import Dispatcher
from asyncjobs.ports import Lease

__all__ = ["JobContext", "JobLog", "current_job", "log_fields", "running"]

_log = logging.getLogger("asyncjobs.job")

_MAX_LOG_LINE = 8_192


class JobContext:
    """What a handler may know of the job that it runs, and a middleware of the attempt that it is part of.

    ``args`` and ``kwargs``: the decoded arguments, with which the handler is called.
    """

    __slots__ = ("_deadline_ms", "_job", "_tell", "args", "dispatcher", "hold", "kwargs")

    def __init__(
        self,
        job: Job,
        dispatcher: Dispatcher,
        deadline_ms: int | None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        tell: Callable[[Lease, bytes], None] | None = None,
    ) -> None:
        self._job = job
        self.dispatcher = dispatcher
        self._deadline_ms = deadline_ms
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self._tell = tell
        #: Why the attempt must not be cancelled at the moment: ``thread``, ``closing``, or empty.
        self.hold = ""

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Keep the worker from cancelling this attempt inside the block, for some seconds at most."""
        before, self.hold = self.hold, "closing"
        try:
            yield
        finally:
            self.hold = before

    @property
    def record(self) -> Job:
        """The job as it was when the attempt began."""
        return self._job

    @property
    def deadline_ms(self) -> int | None:
        """``deadline`` in Unix milliseconds."""
        return self._deadline_ms

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def name(self) -> str:
        """The job's name."""
        return self._job.name

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._job.queue

    @property
    def priority(self) -> str:
        """``critical``, ``high``, ``normal`` or ``low``."""
        return self._job.priority.label

    @property
    def attempt(self) -> int:
        """Which attempt this is; the first is 1."""
        return self._job.attempt

    @property
    def tenant(self) -> str | None:
        """The tenant that the job was sent for, if any."""
        return self._job.tenant or None

    @property
    def metadata(self) -> dict[str, Any]:
        """The free mapping that the sender gave."""
        return self._job.metadata

    @property
    def headers(self) -> Mapping[str, str]:
        """What middleware sent along: trace context and the like."""
        return self._job.envelope.headers

    @property
    def schedule(self) -> str | None:
        """The id of the schedule that made the job, if one did."""
        return self.headers.get(SCHEDULE_HEADER)

    @property
    def tick(self) -> datetime | None:
        """The time for which its schedule made the job, which may have been missed by some time; in UTC."""
        tick = self.headers.get(TICK_HEADER)
        return utc_time(None if tick is None else int(tick))

    @property
    def created_at(self) -> datetime:
        """When the job was sent, by its sender's clock."""
        return datetime.fromtimestamp(self._job.created_at_ms / 1000, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When the job's timeout will cancel this attempt, by the broker's clock; ``None`` without a timeout."""
        return utc_time(self._deadline_ms)

    # -- what those who follow the job are told

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tell how far the job has come: ``done`` of ``total``, and a ``note``; from handlers of every kind.

        It goes out soon, in one call with whatever else is told meanwhile; ``handle.events()`` receives it.
        """
        self._emit("progress", (done, total, note))

    def emit(self, data: Any) -> None:
        """Tell ``data``, anything that msgspec encodes, at most 64 KiB; raises ``ArgumentsError`` if it doesn't fit."""
        self._emit("data", data)

    @property
    def log(self) -> JobLog:
        """A logger whose records carry the fields of ``log_fields``; those from INFO on are events of the job too."""
        return JobLog(_log, log_fields(self), functools.partial(self._emit, "log"))

    def _emit(self, kind: EventKind, data: Any) -> None:
        if self._tell is not None:
            job = self._job
            event = encode_event(job.attempt, time.time_ns() // 1_000_000, kind, data)
            self._tell(Lease(job.queue, job.id, job.priority.value, job.fence), event)


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """The logger of one job: ``tell`` is given each record from INFO on, whatever the logging is configured to."""

    def __init__(self, logger: logging.Logger, fields: dict[str, Any], tell: Callable[[Any], None]) -> None:
        super().__init__(logger, fields)
        self._tell = tell

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log, and tell."""
        if level >= logging.INFO:
            self._tell({"level": logging.getLevelName(level).lower(), "message": _text(level, msg, args)})
        super().log(level, msg, *args, **kwargs)


def _text(level: int, msg: object, args: Any) -> str:
    """Return a log line as logging writes it; like there, one that can't be formatted is no error of who logs."""
    try:
        text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
    except Exception:
        text = f"{msg} {args!r}"
    return storable(text[:_MAX_LOG_LINE])


def log_fields(job: JobContext | Job) -> dict[str, Any]:
    """Return what a log record tells of ``job``, by attribute of the record.

    ``job_id``, ``job_name``, ``queue``, ``attempt``, ``tenant``, and ``trace_id`` in hex where a trace is going on.
    """
    # Only who logs pays for the import.
    from opentelemetry.trace import get_current_span

    trace_id = get_current_span().get_span_context().trace_id
    return {
        "job_id": job.id,
        "job_name": job.name,
        "queue": job.queue,
        "attempt": job.attempt,
        "tenant": job.tenant or None,
        "trace_id": f"{trace_id:032x}" if trace_id else None,
    }


#: The job that runs in this context; the executor sets it in the context that it makes for each job.
running: ContextVar[JobContext | None] = ContextVar("asyncjobs_running", default=None)


def current_job() -> JobContext:
    """Return the job that this code runs in, in async handlers and in those that run in a thread.

    Raises ``LookupError`` outside a handler.
    """
    context = running.get()
    if context is None:
        raise LookupError("current_job() was called outside a job: it is set only while a worker runs a handler")
    return context
