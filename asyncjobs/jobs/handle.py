"""The handle of a sent job: its state, its result, its cancellation."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Generic, Protocol, TypeVar, cast

from asyncjobs.core.bounds import checked_count
from asyncjobs.core.duration import to_ms
from asyncjobs.core.encrypted import key_id_of, missing_key
from asyncjobs.core.job import Job, JobError
from asyncjobs.core.record.version import newer_version
from asyncjobs.core.states import JobState
from asyncjobs.errors import (
    AsyncJobsError,
    EncryptionError,
    EnvelopeError,
    JobCancelled,
    JobFailed,
    ResultError,
    ResultExpired,
    UnknownJob,
)
from asyncjobs.jobs.causes import cause_of
from asyncjobs.jobs.events import JobEvent, JobEvents, decode_event
from asyncjobs.jobs.values.codec import ANY, Codec
from asyncjobs.ports import CancelReply, EventPage

__all__ = ["JobHandle", "JobLookup", "unknown_job"]

_log = logging.getLogger("asyncjobs.app")

R_co = TypeVar("R_co", covariant=True)

_MAX_EVENTS_A_PAGE = 200

# How long the removal of a job may take at least, however little of the timeout is left.
_LEAST_REMOVAL_S = 1.0

# Stands for the last error of a dead job whose errors can't be read.
_UNREADABLE = JobError("EnvelopeError", "its errors can't be read here", "", 1, 0)


class JobLookup(Protocol):
    """What a handle, or a worker, asks of the app about jobs."""

    async def find(self, job_id: str, *, queue: str) -> Job | None:
        """Return the job as it stands, or ``None`` if there is no record."""
        ...

    async def named(self, job: Job) -> Job:
        """Return ``job`` as ``find`` would: decrypted, with the names of its arguments, and which are secret."""
        ...

    async def cancel(self, job_id: str, *, queue: str, reason: str) -> CancelReply:
        """Cancel the job; see ``JobStore.cancel``."""
        ...

    async def wait_for_end(self, job_id: str, *, queue: str, timeout: float | None) -> Job | None:
        """Wait until the job has ended or is dead, and return it; ``None`` if there is no record.

        While the broker is away it waits too, until the timeout. Raises ``EncryptionError`` for a result that can't be
        decrypted.
        """
        ...

    async def forget(self, job_id: str, *, queue: str) -> None:
        """Forget an ended job; see ``Intake.forget``."""
        ...

    async def read_events(
        self, job_id: str, *, queue: str, after: int, limit: int, timeout: float | None
    ) -> EventPage | None:
        """Return the events numbered above ``after``; wait for the first while there is none, or the broker is away."""
        ...


class JobHandle(Generic[R_co]):
    """One sent job; make one anew with ``job.handle(id)``, or without its code with ``app.handle(id, queue=…)``."""

    __slots__ = ("_lookup", "_returns", "_sent", "id", "is_new", "queue")

    id: str
    """The id of the job; with its tenant, as in ``@acme:invoice-7``."""

    queue: str
    """The queue of the job."""

    is_new: bool
    """Whether this send made the job; ``False`` if a job of the same id had been sent before, or counts as the same
    by ``unique`` or ``debounce`` of ``@job``: then the handle is that of the other job."""

    def __init__(
        self,
        lookup: JobLookup,
        queue: str,
        job_id: str,
        *,
        returns: Codec = ANY,
        is_new: bool = True,
        sent: bool = False,
    ) -> None:
        self._lookup = lookup
        self._returns = returns
        self._sent = sent
        self.queue = queue
        self.id = job_id
        self.is_new = is_new

    def __repr__(self) -> str:
        return f"JobHandle(queue={self.queue!r}, id={self.id!r})"

    async def refresh(self) -> Job:
        """Return the job as it stands now.

        Raises:
            UnknownJob: There is no record of the job, and this handle doesn't come from sending it.
            ResultExpired: The job has ended, and its record isn't kept any longer.
            BrokerUnavailable: The broker can't be reached.
        """
        job = await self._lookup.find(self.id, queue=self.queue)
        if job is None:
            raise self._absent()
        return job

    async def status(self) -> JobState:
        """Return the state of the job now; raises as ``refresh`` does."""
        return (await self.refresh()).state

    async def result(self, timeout: float | timedelta | None = None, *, forget: bool = False) -> R_co:
        """Wait until the job has ended, also while the broker is away.

        Args:
            timeout: How long to wait: seconds or ``timedelta``; by default for ever.
            forget: Whether to remove the job once its result is read, with its events, in place of keeping it for
                ``result_ttl``. What isn't returned is not removed. If the removal fails, or takes longer than is left
                of ``timeout`` and than a second, that is logged. If this call is cancelled, the job may be gone though
                its result was not returned.

        Returns:
            What its handler returned.

        Raises:
            ResultTimeout: The job has not ended by then. It goes on.
            JobFailed: The job is in the dead letter queue. Its ``__cause__`` is what the handler raised, of the same
                class where this process has imported that.
            JobCancelled: The job was cancelled.
            ResultExpired: The job has ended, and its result isn't kept, or not any longer.
            ResultError: The result doesn't fit the handler's return annotation, or can't be decrypted.
            NewerVersion: A newer asyncjobs has run the job, and this one can't read its result.
            UnknownJob: There is no record of the job, and this handle doesn't come from sending it.
            BrokerUnavailable: The broker could not be reached until the timeout.

        Example:
            ``text = await handle.result(timeout=10)``
        """
        seconds = None if timeout is None else to_ms("timeout", timeout) / 1000
        began = time.monotonic()
        try:
            job = await self._lookup.wait_for_end(self.id, queue=self.queue, timeout=seconds)
        except EncryptionError as error:
            raise ResultError(str(error)) from error
        if job is None:
            raise self._absent()
        if job.state is JobState.CANCELLED:
            raise JobCancelled(job.id, job.reason)
        if job.state is JobState.FAILED:
            last = job.errors[-1] if job.errors else _UNREADABLE
            raise JobFailed(job.id, last.type, last.message, last.traceback) from cause_of(last.type, last.message)
        if not job.encoded_result:
            if job.is_newer:
                raise newer_version(f"the result of job {job.id}", job.version)
            raise ResultExpired(
                f"job {job.id} completed, but its result isn't kept: its result_ttl is 0, or has passed"
            )
        try:
            result = cast("R_co", self._returns.decode(job.encoded_result))
        except Exception as error:
            # Code of the types may raise anything.
            if key_id := key_id_of(job.encoded_result):
                raise ResultError(missing_key(f"the result of job {job.id} is", key_id, ())) from error
            raise ResultError(
                f"the result of job {job.id} does not fit the handler's return annotation: {error}; "
                "read it with app.handle(id, queue=…), which takes any value"
            ) from error
        if forget:
            left = None if seconds is None else began + seconds - time.monotonic()
            await self._forget(None if left is None else max(_LEAST_REMOVAL_S, left))
        return result

    async def _forget(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._lookup.forget(self.id, queue=self.queue)
        except (AsyncJobsError, TimeoutError) as error:
            # The result, which is at hand, is not lost for that.
            why = str(error) or "the broker has not answered in time"
            _log.warning("job %s, whose result was read, may be kept until its result_ttl has passed: %s", self.id, why)

    async def events(self, after: int = 0) -> AsyncIterator[JobEvent]:
        """Yield the events of the job, those of the past first, until it has ended.

        While the broker is away it waits, and then goes on where it was: no event is left out, and none comes twice.

        Args:
            after: The number of the last event that is known already; 0 for all.

        Yields:
            The events. ``dropped`` says how many are missing before one: because the job has told more than is kept, or
            because a newer asyncjobs has written them.

        Raises:
            ArgumentsError: ``after`` is no number of an event.
            UnknownJob: There are neither a record nor events of the job, and this handle doesn't come from sending it.
            ResultExpired: The job has ended, and neither its record nor its events are kept any longer.

        Example:
            ``async for event in handle.events(after=last): …``
        """
        page = JobEvents(events=[], next=checked_count("after", after), is_over=False)
        # The last event that was yielded: those after it that can't be read count as dropped.
        last = page.next
        while not page.is_over:
            page = await self._events_after(page.next, last, None)
            for event in page.events:
                yield event
                last = event.number

    async def next_events(self, after: int = 0, *, timeout: float | timedelta = 0) -> JobEvents:
        """Return the next events of the job; if there are none yet, wait for the first.

        For those who can't keep a loop of ``events`` running, such as a web server that is asked again and again.

        Args:
            after: ``next`` of the events before; 0 for all.
            timeout: How long to wait for the first: seconds or ``timedelta``; by default not at all.

        Returns:
            The events, none if there was none in time, and whether there can be more.

        Raises:
            ArgumentsError: ``after`` is no number of an event, or ``timeout`` is negative.
            UnknownJob: There are neither a record nor events of the job, and this handle doesn't come from sending it.
            ResultExpired: The job has ended, and neither its record nor its events are kept any longer.
            BrokerUnavailable: The broker could not be reached until the timeout.

        Example:
            ``page = await handle.next_events(after=last, timeout=10)``
        """
        after = checked_count("after", after)
        return await self._events_after(after, after, to_ms("timeout", timeout) / 1000)

    async def _events_after(self, after: int, last: int, timeout: float | None) -> JobEvents:
        page = await self._lookup.read_events(
            self.id, queue=self.queue, after=after, limit=_MAX_EVENTS_A_PAGE, timeout=timeout
        )
        if page is None:
            raise self._absent()
        events: list[JobEvent] = []
        unread: EnvelopeError | None = None
        for number, stored in page.events:
            after = number
            try:
                events.append(decode_event(number, stored, number - last - 1))
            except EnvelopeError as error:
                unread = unread or error
            else:
                last = number
        if unread is not None:
            _log.warning("events of job %s are left out: %s", self.id, unread)
        return JobEvents(events=events, next=after, is_over=page.is_over)

    async def cancel(self, reason: str = "cancelled by its sender") -> bool:
        """Cancel the job: at once while it waits; while it runs, by cancelling its handler, within a second.

        Args:
            reason: Why, as the job's record will say.

        Returns:
            Whether there was something to cancel: ``False`` if the job has ended or is in the dead letter queue.

        Raises:
            UnknownJob: There is no record of the job, and this handle doesn't come from sending it.
            BrokerUnavailable: The broker can't be reached.
        """
        reply = await self._lookup.cancel(self.id, queue=self.queue, reason=reason)
        if reply == "unknown" and not self._sent:
            raise self._absent()
        return reply in ("cancelled", "running")

    def _absent(self) -> Exception:
        if self._sent:
            return ResultExpired(f"job {self.id} has ended and its record isn't kept any longer; see result_ttl")
        return unknown_job(self.id, self.queue)


def unknown_job(job_id: str, queue: str | None) -> UnknownJob:
    """Return the error that there is no record of a job in ``queue``, or for ``None`` in any."""
    where = "in any queue" if queue is None else f"in queue {queue!r}"
    return UnknownJob(
        f"there is no record of job {job_id!r} {where}: the id or the queue is wrong, or the job ended longer ago than "
        "its result_ttl"
    )
