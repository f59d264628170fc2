"""Every error that asyncjobs raises: one tree, so that ``except AsyncJobsError`` catches them all.

A message says what was given, what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "AppNotOpen",
    "ArgumentsError",
    "AsyncJobsError",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "ConfigurationError",
    "DefinitionError",
    "EnvelopeError",
    "InvalidTransition",
    "JobCancelled",
    "JobFailed",
    "PartlySent",
    "PayloadTooLarge",
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
    """The root of all errors raised by asyncjobs."""


class ConfigurationError(AsyncJobsError, ValueError):
    """A setting, URL or import path is wrong."""


class UnknownSetting(ConfigurationError, TypeError):
    """``App`` was given a keyword that it doesn't have."""


class DefinitionError(AsyncJobsError, TypeError):
    """A job is defined in a way that could not work: a duplicate name, an annotation that can't be decoded."""


class ArgumentsError(AsyncJobsError, TypeError):
    """A call's arguments or options do not fit the job; raised at the call, nothing was sent."""


class PayloadTooLarge(ArgumentsError):
    """The encoded job is larger than ``max_payload`` bytes; nothing was sent."""


class AppNotOpen(AsyncJobsError, RuntimeError):
    """No app is open to send with, or more than one is and the job does not say which."""


class InvalidTransition(AsyncJobsError):
    """A job was asked to move between two states that no rule connects."""


class EnvelopeError(AsyncJobsError):
    """A stored record can't be read: damaged, or written by a newer version."""


class UnknownJobName(AsyncJobsError, LookupError):
    """No handler is registered under the name."""


class UnknownJob(AsyncJobsError, LookupError):
    """No record of the job exists: the id is wrong, or the job ended longer ago than its ``result_ttl``."""


class UnknownSchedule(AsyncJobsError, LookupError):
    """There is no schedule of this id."""


class TenantError(AsyncJobsError):
    """A job can't be run for its tenant; nothing was done in any other schema in its place."""


class UnknownTenant(TenantError, LookupError):
    """Nobody knows the tenant, or its schema isn't there."""


class TenantSuspended(TenantError):
    """The tenant is known, and nothing may be done for it at the moment."""


class ResultError(AsyncJobsError):
    """A result was awaited and there is none: see the subclasses."""


class ResultExpired(ResultError):
    """The job completed, but its result is not kept any longer."""


class ResultTimeout(ResultError, TimeoutError):
    """The job did not end within the ``timeout`` given to ``result()``; it goes on regardless."""


class JobCancelled(ResultError):
    """The job was cancelled; ``reason`` says why."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"job {job_id} was cancelled: {reason}")
        self.job_id = job_id
        self.reason = reason


class JobFailed(ResultError):
    """The job failed for good and is in the dead letter queue.

    ``error_type``, ``error_message`` and ``traceback`` are those of its last attempt.
    """

    def __init__(self, job_id: str, error_type: str, error_message: str, traceback: str) -> None:
        super().__init__(f"job {job_id} failed with {error_type}: {error_message}")
        self.job_id = job_id
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class BrokerError(AsyncJobsError):
    """The broker could not do what it was asked."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """The broker can't be reached, or did not answer in time; what was being sent may be sent again."""


class BrokerRefused(BrokerError):
    """The broker answered and refused: wrong password, too old, out of memory, an unsafe eviction policy."""


class PartlySent(BrokerError):
    """A bulk send broke off: ``sent`` holds the handles of the accepted jobs, ``unsent`` the requests of the others.

    The first of ``unsent`` may have been accepted in spite of the error; with the same ``job_id`` it may be sent again.
    """

    def __init__(self, sent: list[Any], unsent: list[Any], cause: Exception) -> None:
        super().__init__(f"{len(sent)} jobs were sent, {len(unsent)} were not: {cause}")
        self.sent = sent
        self.unsent = unsent


def closest(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to ``given``, or an empty string."""
    match = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
