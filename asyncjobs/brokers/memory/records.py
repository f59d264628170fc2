"""Reads and marks stored records by position, as the Redis scripts do (``lua/header.lua``), without decoding them."""

from __future__ import annotations

from msgspec import Raw

from asyncjobs.core.envelope import Final, encode
from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record import read_job, unreadable_job
from asyncjobs.core.states import JobState
from asyncjobs.errors import EnvelopeError

__all__ = ["as_cancelled", "is_ended", "is_parked", "is_readable", "marked", "name_of", "read_placed"]

_HEADER_BYTES = 7
_VERSION = ord("1")
_LIVE = ord("-")
_PARKED = ord("p")


def is_readable(record: bytes) -> bool:
    """Say whether ``record`` has a whole header of our version; its body may be damaged all the same."""
    return (
        len(record) >= _HEADER_BYTES
        and record[0] == _VERSION
        and len(record) >= _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    )


def is_parked(record: bytes) -> bool:
    """Say whether the readable ``record`` is marked as parked."""
    return record[1] == _PARKED


def is_ended(record: bytes) -> bool:
    """Say whether the readable ``record`` is that of an ended job."""
    return record[1] not in (_LIVE, _PARKED)


def name_of(record: bytes) -> bytes:
    """Return the job name in the readable ``record``, as UTF-8."""
    return record[_HEADER_BYTES : _HEADER_BYTES + record[3]]


def marked(record: bytes, *, parked: bool) -> bytes:
    """Return the live ``record`` marked as parked or not."""
    return record[:1] + (b"p" if parked else b"-") + record[2:]


def as_cancelled(record: bytes, reason: str, now_ms: int) -> bytes:
    """Return the readable live ``record`` as that of a cancelled job; the envelope's bytes stay as they are."""
    head = _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    final = Final(envelope=Raw(memoryview(record)[head:]), reason=reason, finished_at_ms=now_ms)
    return b"1x" + record[2:head] + encode(final)


def read_placed(
    job_id: str,
    queue: str,
    record: bytes,
    tries: bytes | None,
    state: JobState | None,
    *,
    fence: int = 0,
    due_at_ms: int | None = None,
    finished_at_ms: int | None = None,
) -> Job:
    """Return the job of ``record``, found in ``state`` (see ``read_job``), or a stand-in if it can't be read."""
    try:
        return read_job(
            job_id,
            queue,
            record,
            tries,
            state=state,
            fence=fence,
            due_at_ms=due_at_ms,
            finished_at_ms=finished_at_ms,
        )
    except EnvelopeError:
        return unreadable_job(job_id, queue, Priority.LOW, tries, state or JobState.PENDING)
