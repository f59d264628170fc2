"""The records of jobs in Redis: a header for the scripts, then the body."""

from __future__ import annotations

from typing import NamedTuple

from asyncjobs.core.job import Job
from asyncjobs.core.record.header import (
    CANCELLED,
    COMPLETED,
    Header,
    decode_header,
    decode_newer_header,
    encode_header,
    priority_of,
)
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import read_kept, stand_in
from asyncjobs.errors import EnvelopeError, NewerVersion
from asyncjobs.ports import Claimed, NewJob

__all__ = ["claimed_from", "ended_record", "job_from", "new_record"]


def new_record(job: NewJob) -> bytes:
    """Return the record of a new job."""
    return encode_header(job.name, job.priority, "", job.tenant, job.acks_early) + job.body


def ended_record(settlement: Settlement) -> bytes:
    """Return the record of a job that ends completed or cancelled."""
    one = settlement
    kind = COMPLETED if one.verdict is Verdict.COMPLETE else CANCELLED
    return encode_header(one.name, one.priority, "", one.tenant, one.acks_early, kind) + one.body


def claimed_from(queue: str, job_id: str, fence: int, tries: bytes, record: bytes) -> Claimed:
    """Return a leased job. If its header can't be read, it has no name, and its body is the whole record."""
    try:
        header = decode_header(record)
    except EnvelopeError:
        return Claimed(queue, job_id, "", record, priority_of(record), "", False, fence, tries)
    body = record[header.end :]
    return Claimed(
        queue, job_id, header.name, body, header.priority.value, header.tenant, header.acks_early, fence, tries
    )


class _Kept(NamedTuple):
    queue: str
    id: str
    name: str
    priority: int
    tenant: str
    acks_early: bool


def job_from(
    queue: str,
    job_id: str,
    record: bytes,
    tries: bytes = b"",
    *,
    state: JobState | None = None,
    fence: int = 0,
    due_at_ms: int | None = None,
    finished_at_ms: int | None = None,
) -> Job:
    """Return the job of ``record``, or a stand-in if it can't be read; arguments as of ``core.stored.read_live``."""
    unnamed = _Kept(queue, job_id, "", priority_of(record), "", False)
    try:
        header = decode_header(record)
    except NewerVersion as newer:
        try:
            header = decode_newer_header(record)
        except EnvelopeError:
            kept = unnamed
        else:
            kept, state = _kept(queue, job_id, header), header.state or state
        return stand_in(
            kept,
            tries,
            state or JobState.PENDING,
            version=newer.version,
            fence=fence,
            due_at_ms=due_at_ms,
            finished_at_ms=finished_at_ms,
        )
    except EnvelopeError:
        kept, body = unnamed, record
    else:
        kept, body, state = _kept(queue, job_id, header), record[header.end :], header.state or state
    return read_kept(kept, body, tries, state=state, fence=fence, due_at_ms=due_at_ms, finished_at_ms=finished_at_ms)


def _kept(queue: str, job_id: str, header: Header) -> _Kept:
    return _Kept(queue, job_id, header.name, header.priority.value, header.tenant, header.acks_early)
