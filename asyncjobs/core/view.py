"""Jobs as plain data: what the command line prints as JSON, and what an API sends.

Views are structs that msgspec encodes to JSON, with the names and the order of their fields. Times are in UTC.
"""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.lines import gates_in, group_in
from asyncjobs.core.record.version import DECODING_ERRORS, VERSION
from asyncjobs.errors import EncryptionError

__all__ = ["SECRET", "AttemptError", "JobDetails", "JobSummary", "job_details", "job_summary"]

#: What stands in place of a secret value.
SECRET = "‹secret›"

# Levels of nesting, and calls, that are left free for the code that encodes a view.
_MARGIN = 50


class AttemptError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong in one attempt."""

    attempt: int
    """The number of the attempt; 1 is the first."""
    started_at: datetime | None
    """When the attempt began, ``None`` where none began."""
    at: datetime
    """When the attempt ended."""
    type: str
    """The exception's type, with its module unless it is built in."""
    message: str
    """The exception's text."""
    traceback: str
    """The traceback, empty where there was no exception."""
    worker: str | None
    """The id of the worker that ran it, ``None`` where none did, or that isn't known."""


class JobSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as one of many."""

    id: str
    """Its id; with its tenant, as in ``@acme:invoice-7``."""
    name: str
    """The job name, empty for a damaged record."""
    queue: str
    """Its queue."""
    state: str
    """``pending``, ``running``, ``retrying``, ``completed``, ``failed`` or ``cancelled``."""
    priority: str
    """``critical``, ``high``, ``normal`` or ``low``."""
    tenant: str | None
    """The id of its tenant, ``None`` if it has none."""
    version: int = VERSION
    """The version of its record, where a newer asyncjobs has written it; else left out of JSON."""
    attempt: int
    """Which attempt runs or comes next, or was the last; 1 is the first."""
    arguments: dict[str, Any] | None
    """Its arguments by the names of the handler's parameters; by their positions, from ``"0"`` on, where no code at
    hand and no worker knows the job. ``‹secret›`` in place of a secret one. ``None`` where they can't be read."""
    encrypted_with: str = ""
    """The id of the key with which arguments, result or errors are encrypted, where they can't be decrypted; else left
    out of JSON."""
    metadata: dict[str, Any]
    """The mapping that its sender gave with it."""
    created_at: datetime
    """When it was sent, by its sender's clock."""
    due_at: datetime | None
    """When it may start, ``None`` if it may start now or has started."""
    started_at: datetime | None
    """When its last attempt began, ``None`` while it waits, and where no attempt began."""
    duration_ms: float | None
    """How long that attempt ran, or has run so far, in milliseconds; ``None`` where that isn't known."""
    worker: str | None
    """The id of the worker that runs it, ``None`` while it waits."""
    group: str = ""
    """The group in whose turn it runs, as ``fair_by`` says; left out of JSON where it has none."""
    gates: tuple[str, ...] = ()
    """The limits by name that hold for it, as ``customer=42``; left out of JSON where there are none."""


class JobDetails(JobSummary, frozen=True, kw_only=True):
    """A job with what it came to."""

    finished_at: datetime | None
    """When it ended or went to the dead letter queue, ``None`` before."""
    result: Any
    """What the handler of a completed job returned; ``None`` too where it isn't kept."""
    reason: str | None
    """Why it was cancelled, ``None`` if it wasn't."""
    failures: int
    """How many of its attempts failed."""
    deaths: int
    """In how many of its attempts the worker died."""
    errors: list[AttemptError]
    """The last errors, oldest first."""
    unique_key: str = ""
    """The key under which it is unique in its queue, a hash of its name, its tenant and the arguments that count; left
    out of JSON where it isn't."""


def job_summary(job: Job) -> JobSummary:
    """Return ``job`` as one of many that wait or run."""
    return JobSummary(**_summary(job))


def job_details(job: Job) -> JobDetails:
    """Return ``job`` with what it came to."""
    return JobDetails(
        **_summary(job),
        finished_at=utc_time(job.finished_at_ms),
        result=_result(job),
        reason=job.reason or None,
        failures=job.failures,
        deaths=job.deaths,
        errors=[
            AttemptError(
                attempt=error.attempt,
                started_at=utc_time(error.started_at_ms),
                at=utc_time(error.at_ms),
                type=error.type,
                message=error.message,
                traceback=error.traceback,
                worker=error.worker or None,
            )
            for error in job.errors
        ],
        unique_key=job.unique_key,
    )


def _summary(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "state": job.state.value,
        "priority": job.priority.label,
        "tenant": job.tenant or None,
        "version": job.version,
        "attempt": job.attempt,
        "arguments": _arguments(job),
        "encrypted_with": job.encrypted_with,
        "metadata": {name: _plain(value) for name, value in job.metadata.items()},
        "created_at": utc_time(job.created_at_ms),
        "due_at": utc_time(job.due_at_ms),
        "started_at": utc_time(job.started_at_ms),
        "duration_ms": job.duration_ms,
        "worker": job.worker or None,
        "group": group_in(job.line),
        "gates": tuple(gates_in(job.line)),
    }


def _arguments(job: Job) -> dict[str, Any] | None:
    # A record that can't be read has no name. A readable one may still hold arguments that no decoder takes, such as
    # text that isn't UTF-8: msgspec checks a ``Raw`` only when it is decoded.
    if not job.name or job.is_newer:
        return None
    try:
        arguments = job.named_arguments.items()
        return {name: SECRET if name in job.secret else _plain(value) for name, value in arguments}
    except (*DECODING_ERRORS, EncryptionError, TypeError, ValueError):
        return None


def _result(job: Job) -> Any:
    try:
        return _plain(job.result)
    except (*DECODING_ERRORS, EncryptionError):
        return None


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON has it, or as text where JSON has no form for it."""
    try:
        return _as_json(value)
    except RecursionError:
        return f"<a {type(value).__name__} that is nested too deep>"


def _as_json(value: Any) -> Any:
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
    except TypeError:
        # A mapping whose keys are neither text nor numbers, as of ``dict[tuple[int, int], str]``.
        return repr(value)
    # The view is encoded further down the stack, with levels of its own around the value.
    msgspec.json.encode(functools.reduce(lambda inner, _: [inner], range(_MARGIN), plain))
    return plain
