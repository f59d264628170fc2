"""What ran under the test kit: each attempt with what it came to, and the error that its handler raised."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.settlement import Verdict
from asyncjobs.core.stored import read_live
from asyncjobs.errors import AsyncJobsError, EnvelopeError, JobFailed
from asyncjobs.jobs.steering import Discard, Retry
from asyncjobs.ports import Claimed

__all__ = ["Attempt", "AttemptOutcome", "Attempts", "failure_of", "raise_errors"]

AttemptOutcome: TypeAlias = Literal["completed", "retrying", "failed", "cancelled", "snoozed", "killed"]
"""What an attempt came to.

``retrying``: it failed, and the job runs again. ``failed``: the job is in the dead letter queue. ``snoozed``: the
handler has raised ``Snooze``. ``killed``: ``Kit.kill_worker`` has ended its worker.
"""

_OUTCOMES: dict[Verdict, AttemptOutcome] = {
    Verdict.COMPLETE: "completed",
    Verdict.RETRY: "retrying",
    Verdict.DEAD: "failed",
    Verdict.CANCEL: "cancelled",
    Verdict.SNOOZE: "snoozed",
}

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to run a job under the test kit, as ``Kit.run`` returns it."""

    name: str
    """The job name."""
    id: str
    """The job's id."""
    queue: str
    """The job's queue."""
    number: int
    """The number of the attempt; the first is 1."""
    outcome: AttemptOutcome
    """What it came to."""
    at: datetime
    """When it ended, in UTC, by the clock of the kit."""
    error: BaseException | None = None
    """What the handler raised; a ``JobFailed`` where that can't be had, as of a timeout; ``None`` without an error."""

    @property
    def is_deliberate(self) -> bool:
        """Whether the handler has decided itself that the attempt failed, by ``Discard`` or ``Retry``."""
        return isinstance(self.error, Discard) or (isinstance(self.error, Retry) and self.outcome == "retrying")


class Attempts:
    """The attempts of one kit, in the order in which they ended; used by several threads and loops."""

    def __init__(self) -> None:
        self.ended: list[Attempt] = []
        """The attempts."""
        self._claimed: dict[_Key, Claimed] = {}
        self._raised: dict[_Key, BaseException] = {}
        self._news: dict[_Key, concurrent.futures.Future[Attempt | None]] = {}

    def began(self, claimed: Claimed) -> None:
        """Note a job that a worker has claimed."""
        key = claimed.queue, claimed.id
        self._claimed[key] = claimed
        self._raised.pop(key, None)
        self._news.setdefault(key, concurrent.futures.Future())

    def news_of(self, queue: str, job_id: str) -> concurrent.futures.Future[Attempt | None] | None:
        """Return the end of the first attempt of a job that was claimed, ``None`` for any other job.

        Its result is ``None`` if the job went back without an attempt.
        """
        return self._news.get((queue, job_id))

    def raised(self, queue: str, job_id: str, error: BaseException) -> None:
        """Note what the handler of a job has raised."""
        self._raised[queue, job_id] = error

    def settled(self, queue: str, job_id: str, verdict: Verdict, after: Job | None, now_ms: int) -> None:
        """Note the end of an attempt; ``after`` is the job as it stands then, where there is a record of it."""
        outcome = _OUTCOMES.get(verdict)
        key = queue, job_id
        if outcome is None:
            self._end(key, None)
            return
        error = self._raised.pop(key, None)
        if error is None and outcome in ("retrying", "failed"):
            error = failure_of(after, job_id)
        self.note(key, outcome, error, now_ms)

    def note(self, key: _Key, outcome: AttemptOutcome, error: BaseException | None, now_ms: int) -> None:
        """Note the end of the attempt of the job that was claimed last under ``key``."""
        claimed = self._claimed[key]
        ended = Attempt(claimed.name, claimed.id, claimed.queue, _number(claimed), outcome, utc_time(now_ms), error)
        self.ended.append(ended)
        self._end(key, ended)

    def _end(self, key: _Key, ended: Attempt | None) -> None:
        news = self._news.get(key)
        if news is not None and not news.done():
            news.set_result(ended)


def failure_of(job: Job | None, job_id: str) -> JobFailed:
    """Return the last error of a job, of which nothing is left but its text."""
    if job is None or not job.errors:
        return JobFailed(job_id, "UnknownError", "there is no record of what went wrong", "")
    last = job.errors[-1]
    return JobFailed(job_id, last.type, last.message, last.traceback)


def raise_errors(attempts: Sequence[Attempt]) -> None:
    """Raise the errors of ``attempts``, but for those by which a handler has decided itself."""
    errors: list[BaseException] = []
    for one in attempts:
        if one.error is None or one.is_deliberate:
            continue
        if not isinstance(one.error, AsyncJobsError):
            one.error.add_note(f"raised by job {one.id} ({one.name}) at attempt {one.number}")
        errors.append(one.error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} jobs failed", errors)


def _number(claimed: Claimed) -> int:
    try:
        return read_live(claimed, claimed.body, claimed.tries).attempt
    except EnvelopeError:
        return 1
