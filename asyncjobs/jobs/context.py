"""The running job, as its handler sees it."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Literal, TypeAlias

from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, to_ms, utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.schedule import SCHEDULE_HEADER, TICK_HEADER
from asyncjobs.core.text import storable
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.events import EventKind, Progress, encode_event
from asyncjobs.jobs.request import Dispatcher
from asyncjobs.ports import Lease

__all__ = ["JobContext", "JobLog", "Shield", "current_job", "log_fields", "running"]

_log = logging.getLogger("asyncjobs.job")

_MAX_LOG_LINE = 8_192

#: Why an attempt must not be cancelled at the moment: its handler is in a thread, or its resources close.
Shield: TypeAlias = Literal["", "thread", "closing"]


class JobContext:
    """The running job: given to middleware and to resource providers, and to handlers by ``current_job()``."""

    # With a leading underscore: of the worker that runs the job, and of what is sent from its handler. The thread is
    # set where there is one.
    __slots__ = (
        "_deadline_ms",
        "_dispatcher",
        "_ends_at",
        "_is_cancelled",
        "_job",
        "_on_event",
        "_progress",
        "_resources",
        "_shield",
        "_thread_id",
        "args",
        "kwargs",
    )

    _thread_id: int

    def __init__(
        self,
        job: Job,
        dispatcher: Dispatcher,
        deadline_ms: int | None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        on_event: Callable[[Lease, bytes], None] | None = None,
        ends_at: float | None = None,
    ) -> None:
        self._job = job
        self._dispatcher = dispatcher
        self._deadline_ms = deadline_ms
        self.args = args
        """The positional arguments with which the handler is called, decoded; middleware may replace them."""
        self.kwargs = {} if kwargs is None else kwargs
        """The keyword arguments with which the handler is called, decoded; middleware may replace them."""
        self._on_event = on_event
        self._progress: Progress | None = None
        self._shield: Shield = ""
        # These are set in one thread and read in another. The time is that of ``time.monotonic``, ``None`` if no
        # timeout ends the attempt.
        self._is_cancelled = False
        self._ends_at = ends_at
        # Those that are open around what runs at the moment.
        self._resources: Any = None

    @property
    def record(self) -> Job:
        """The job as it was when the attempt began."""
        return self._job

    @property
    def id(self) -> str:
        """The job's id; with its tenant, as in ``@acme:invoice-7``."""
        return self._job.id

    @property
    def name(self) -> str:
        """The job's name."""
        return self._job.name

    @property
    def queue(self) -> str:
        """The queue that the job was sent to."""
        return self._job.queue

    @property
    def priority(self) -> str:
        """``critical``, ``high``, ``normal`` or ``low``."""
        return self._job.priority.label

    @property
    def attempt(self) -> int:
        """The number of this attempt; the first is 1."""
        return self._job.attempt

    @property
    def tenant(self) -> str | None:
        """The id of the tenant that the job was sent for; ``None`` without one."""
        return self._job.tenant or None

    @property
    def metadata(self) -> dict[str, Any]:
        """The mapping that the sender gave as ``metadata=``; empty by default."""
        return self._job.metadata

    @property
    def headers(self) -> Mapping[str, str]:
        """What middleware sent along with the job, such as a trace context."""
        return self._job.envelope.headers

    @property
    def schedule(self) -> str | None:
        """The id of the schedule that made the job, with its tenant; ``None`` for a job that was sent."""
        return self.headers.get(SCHEDULE_HEADER)

    @property
    def tick(self) -> datetime | None:
        """The time, in UTC, for which its schedule made the job; earlier than the start where a tick was missed."""
        tick = self.headers.get(TICK_HEADER)
        return utc_time(None if tick is None else int(tick))

    @property
    def due_at(self) -> datetime | None:
        """When the job was due, in UTC: the time of ``schedule_at`` or ``schedule_in``, or its tick.

        ``None`` for a job that was sent to run at once.
        """
        due_ms = self._job.envelope.due_at_ms
        return utc_time(due_ms) if due_ms else self.tick

    @property
    def worker(self) -> str:
        """The id of the worker that runs the job, with the name of its machine and the number of its process."""
        return self._job.worker

    @property
    def created_at(self) -> datetime:
        """When the job was sent, in UTC, by its sender's clock."""
        return utc_time(self._job.created_at_ms)

    @property
    def deadline(self) -> datetime | None:
        """When the timeout will cancel this attempt, in UTC, by the broker's clock; ``None`` without a timeout.

        ``extend_timeout`` moves it.
        """
        return utc_time(self._deadline_ms)

    @property
    def deadline_ms(self) -> int | None:
        """``deadline`` in Unix milliseconds."""
        return self._deadline_ms

    # -- the end of the attempt, for a handler in a thread, which can't be cancelled

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt is being cancelled: by its timeout, its sender, a shutdown, or the loss of its lease.

        An async handler learns of it by ``asyncio.CancelledError``, and a handler in a process is killed. A plain
        function must look, as must what an async handler runs by ``asyncio.to_thread``. May be read in any thread.
        """
        return self._is_cancelled

    def raise_if_cancelled(self) -> None:
        """End a handler in a thread whose attempt is being cancelled; call it now and then where it is safe to stop.

        Raises:
            asyncio.CancelledError: The attempt ``is_cancelled``. ``except Exception`` doesn't catch it.

        Example:
            ```python
            @app.job(timeout=60)
            def resize(paths: list[str]) -> None:
                for path in paths:
                    current_job().raise_if_cancelled()
                    ...
            ```
        """
        if self._is_cancelled:
            raise asyncio.CancelledError

    def extend_timeout(self, seconds: Duration) -> None:
        """Let the attempt go on for ``seconds`` from now, if its timeout would end it earlier.

        So a handler of many steps has a limit for each step in place of one for all. Works in async handlers, in
        threads and in processes. Without a timeout there is nothing to extend.

        Args:
            seconds: Seconds or ``timedelta``.

        Raises:
            ArgumentsError: ``seconds`` is no such duration.
            asyncio.CancelledError: The attempt ``is_cancelled`` already, and can't go on.
        """
        more_s = to_ms("seconds", seconds) / 1000
        self.raise_if_cancelled()
        ends_at, before = time.monotonic() + more_s, self._ends_at
        if before is not None and self._deadline_ms is not None and ends_at > before:
            self._deadline_ms += round((ends_at - before) * 1000)
            self._ends_at = ends_at

    # -- events, for ``JobHandle.events``

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Report how far the job has come, to readers of ``handle.events()``.

        Works in async handlers, in threads and in processes. The event is sent in the background, soon, in one call
        with other events.

        Args:
            done: How much is done, in a unit of your own.
            total: How much there is to do, in the same unit; ``None`` if that isn't known.
            note: A text for people.

        Raises:
            ArgumentsError: ``done`` or ``total`` is no number, or ``note`` no text; or the event has more than 64 KiB.
        """
        if not (isinstance(done, int | float) and isinstance(total, int | float | None) and isinstance(note, str)):
            raise ArgumentsError(
                f"progress({shown(done)}, total={shown(total)}, note={shown(note)}): expected numbers, and text as note"
            )
        self._emit("progress", (done, total, note))
        self._progress = Progress(done, total, note)

    @property
    def last_progress(self) -> Progress | None:
        """What ``progress`` reported last in this process; ``None`` if it was not called here."""
        return self._progress

    def emit(self, data: Any) -> None:
        """Send ``data`` as an event, to readers of ``handle.events()``; otherwise like ``progress``.

        Args:
            data: Anything that msgspec encodes, at most 64 KiB.

        Raises:
            ArgumentsError: The data can't be encoded, or not be read again, or has more than 64 KiB.
        """
        self._emit("data", data)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger for this job.

        Its records carry ``job_id``, ``job_name``, ``queue``, ``attempt``, ``tenant`` and ``trace_id`` as attributes,
        beside those of ``extra=``. Those from INFO on are events of the job too.
        """
        return JobLog(_log, log_fields(self), functools.partial(self._emit, "log"))

    def _emit(self, kind: EventKind, data: Any) -> None:
        if self._on_event is not None:
            job = self._job
            event = encode_event(job.attempt, time.time_ns() // 1_000_000, kind, data)
            self._on_event(Lease(job.queue, job.id, job.priority.value, job.fence), event)


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """The logger of one job: ``emit`` is called with each record from INFO on, whatever level logging is set to."""

    def __init__(self, logger: logging.Logger, fields: dict[str, Any], emit: Callable[[Any], None]) -> None:
        super().__init__(logger, fields)
        self._emit = emit

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log, and emit."""
        if level >= logging.INFO:
            self._emit({"level": logging.getLevelName(level).lower(), "message": _text(level, msg, args)})
        # The record is to name the line of the caller: logging leaves out its own frames, and this is one more.
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        """Add the attributes of the job to those of ``extra=``, which ``LoggerAdapter`` would replace."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def _text(level: int, msg: object, args: Any) -> str:
    """Return a log line as logging formats it; as there, a line that can't be formatted raises nothing."""
    try:
        text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
    except Exception:
        text = f"{msg} {args!r}"
    return storable(text[:_MAX_LOG_LINE])


def log_fields(job: JobContext | Job) -> dict[str, Any]:
    """Return the attributes by which a log record names ``job``.

    ``job_id``, ``job_name``, ``queue``, ``attempt``, ``tenant``, and ``trace_id`` in hex inside a trace, else ``None``.
    """
    # Imported at the first log record: an app that logs nothing does not load OpenTelemetry.
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


#: The job that runs in this context; the worker sets it in the context that it makes for each job.
running: ContextVar[JobContext | None] = ContextVar("asyncjobs_running", default=None)


def current_job() -> JobContext:
    """Return the running job, inside a handler and whatever it calls: on the loop, in a thread or in a process.

    Returns:
        The job's context, with its id, attempt, metadata, deadline and ``progress``.

    Raises:
        LookupError: No job runs here.

    Example:
        ```python
        @app.job
        async def export(path: str) -> None:
            current_job().progress(1, total=3, note=path)
        ```
    """
    context = running.get()
    if context is None:
        raise LookupError("current_job() was called outside a job: it is set only while a worker runs a handler")
    return context
