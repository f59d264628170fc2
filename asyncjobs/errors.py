"""The errors of asyncjobs. They are one tree, so that ``except AsyncJobsError`` catches each of them.

A message says what was given, what was expected, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "AlreadySent",
    "AppNotOpen",
    "ArgumentsError",
    "AsyncJobsError",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "ConfigurationError",
    "DefinitionError",
    "EncryptionError",
    "EnvelopeError",
    "InvalidTransition",
    "JobCancelled",
    "JobFailed",
    "NewerVersion",
    "PartlySent",
    "PayloadTooLarge",
    "QueueUnavailable",
    "ResultError",
    "ResultExpired",
    "ResultTimeout",
    "TenantError",
    "TenantSuspended",
    "UnknownJob",
    "UnknownJobName",
    "UnknownSchedule",
    "UnknownSetting",
    "UnknownTenant",
    "closest",
]


class AsyncJobsError(Exception):
    """The base of every error that asyncjobs raises."""


class ConfigurationError(AsyncJobsError, ValueError):
    """A setting, a URL or an import path is wrong, or a package that a feature needs is not installed.

    In most cases raised when the app or the worker is made.
    """


class UnknownSetting(ConfigurationError, TypeError):
    """``App`` was given a keyword argument that it doesn't have. The message names the closest one."""


class DefinitionError(AsyncJobsError, TypeError):
    """A job is defined in a way that can't work, as with a name that is taken or an annotation that can't be decoded.

    Raised by ``@job``. For an annotation that names something defined further down, raised at the job's first use.
    """


class ArgumentsError(AsyncJobsError, TypeError):
    """An argument or an option is wrong, such as one that doesn't fit the job's handler.

    Raised at the call; nothing was sent or changed.
    """


class PayloadTooLarge(ArgumentsError):
    """The encoded job is larger than the setting ``max_payload``; nothing was sent.

    Store the data elsewhere and send its key, or raise the setting.
    """


class AppNotOpen(AsyncJobsError, RuntimeError):
    """There is no open app to use, or several are open and the job belongs to none of them.

    Open the app (``async with app:``), or name it (``.with_options(app=app)``). Also raised by a synchronous method
    that is called inside a running event loop, by a worker in another event loop than its app's, and by a call from
    another loop or thread if the app's own loop does not run, or has ended.
    """


class InvalidTransition(AsyncJobsError):
    """A job can't go from the one state to the other, as from ``completed`` to ``running``."""


class EnvelopeError(AsyncJobsError):
    """A stored record can't be read: it is damaged, or (``NewerVersion``) written by a newer version of asyncjobs."""


class NewerVersion(EnvelopeError):
    """A stored record was written by a newer version of asyncjobs, and this one can't read it.

    Workers leave such jobs to newer workers. Upgrade the program that raised this.

    Args:
        message: What was read, and the versions.
        version: The version of the record.
    """

    version: int
    """The version of the record."""

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


class EncryptionError(EnvelopeError):
    """A stored value can't be decrypted, or isn't encrypted where it must be.

    It is encrypted with a key that this program doesn't have, or it was changed, or it belongs to another job. A job
    whose arguments can't be decrypted goes to the dead letter queue with this error, and can be retried from there.
    """


class UnknownJobName(AsyncJobsError, LookupError):
    """No handler is registered under a job name. Import the module that defines it before the worker starts."""


class UnknownJob(AsyncJobsError, LookupError):
    """There is no record of a job: its id or queue is wrong, or the job ended longer ago than its ``result_ttl``."""


class UnknownSchedule(AsyncJobsError, LookupError):
    """There is no schedule with the id; ``app.schedules()`` lists those that exist."""


class TenantError(AsyncJobsError):
    """A tenant can't be served. No other schema was used in place of its own."""


class UnknownTenant(TenantError, LookupError):
    """There is no such tenant, or its schema isn't in the database."""


class TenantSuspended(TenantError):
    """The tenant exists, but nothing may be done for it at the moment."""


class ResultError(AsyncJobsError):
    """A result was awaited, and there is none to return; a subclass says why.

    ``ResultError`` itself is raised for a result that doesn't fit the handler's return annotation. A job whose result
    can't be encoded fails with this type of error.
    """


class ResultExpired(ResultError):
    """The job has ended, and its result isn't kept, or not any longer. Give the job a longer ``result_ttl``."""


class ResultTimeout(ResultError, TimeoutError):
    """The job has not ended within the ``timeout`` of ``result()``. It goes on, and may be awaited again."""


class JobCancelled(ResultError):
    """The job whose result was awaited was cancelled."""

    job_id: str
    """The job's id."""

    reason: str
    """Why it was cancelled."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"job {job_id} was cancelled: {reason}")
        self.job_id = job_id
        self.reason = reason


class JobFailed(ResultError):
    """The job whose result was awaited has failed for good, and is in the dead letter queue.

    ``app.retry_job`` runs it again.

    ``__cause__`` is an exception of the class of the last error, with its text, if this process has imported that
    class; else ``None``. Attributes that an ``__init__`` of the class sets are missing.
    """

    job_id: str
    """The job's id."""

    error_type: str
    """The type of its last error, with its module unless it is built in."""

    error_message: str
    """The text of its last error."""

    traceback: str
    """The traceback of its last error, empty where there was no exception."""

    def __init__(self, job_id: str, error_type: str, error_message: str, traceback: str) -> None:
        super().__init__(f"job {job_id} failed with {error_type}: {error_message}")
        self.job_id = job_id
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class BrokerError(AsyncJobsError):
    """A call to the broker failed; a subclass says whether it is worth another try."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """The broker can't be reached, or did not answer in time.

    The call may have taken effect or not. It may be repeated: a job that is sent again under its ``job_id`` is one job.
    """


class QueueUnavailable(BrokerUnavailable):
    """The primary of a Cluster that has a queue can't be reached; other queues may be served meanwhile."""


class BrokerRefused(BrokerError):
    """The broker answered, and refused: a wrong password, an old version, no memory left, an unsafe eviction policy.

    The same call fails again until the server is set right.
    """


class AlreadySent(AsyncJobsError):
    """A job that is ``Unique(on_conflict="raise")`` was sent while another one holds its key. Nothing was sent.

    Args:
        name: The job name.
    """

    job_id: str
    """The id of the other job."""

    queue: str
    """Its queue."""

    def __init__(self, name: str, job_id: str, queue: str) -> None:
        super().__init__(
            f"{name} was sent already: job {job_id} in queue {queue!r} counts as the same; await that one, or choose "
            "on_conflict='keep' to be given its handle"
        )
        self.job_id = job_id
        self.queue = queue


class PartlySent(BrokerError):
    """``enqueue_many`` broke off: the broker has accepted some jobs, and failed at others.

    Jobs of the first 1,000 requests in ``unsent`` may have been accepted in spite of the error. Requests with a
    ``job_id`` may be sent again, since the same id sent twice is one job.

    Args:
        cause: The error of the broker.
    """

    sent: list[Any]
    """The handles of the accepted jobs."""

    unsent: list[Any]
    """The requests of the other jobs."""

    def __init__(self, sent: list[Any], unsent: list[Any], cause: Exception) -> None:
        super().__init__(f"{len(sent)} jobs were sent, {len(unsent)} were not: {cause}")
        self.sent = sent
        self.unsent = unsent


def closest(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name that is closest to another, or an empty string.

    Args:
        given: The other name.
        known: The known names.
    """
    # Not needed while nothing is misspelt.
    import difflib

    match = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
