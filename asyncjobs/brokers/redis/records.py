"""The records of jobs in Redis: a header for the scripts, then the body."""

from __future__ import annotations

from typing import NamedTuple

from asyncjobs.core.job import Job
from asyncjobs.core.record.header import (
    CANCELLED,
    COMPLETED,
    COMPLETED_BRIEFLY,
    Header,
    decode_header,
    decode_newer_header,
    encode_header,
    flow_key,
    line_part,
    priority_of,
    unique_part,
)
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import NO_SITUATION, Situation, read_kept, stand_in
from asyncjobs.errors import EnvelopeError, NewerVersion
from asyncjobs.ports import Claimed, NewJob

__all__ = ["claimed_from", "ended_record", "job_from", "new_record"]

# Headers with a key differ from one another, and would drive the others out of the cache.
_unlike_others = encode_header.__wrapped__


def new_record(job: NewJob) -> bytes:
    """Return the record of a new job."""
    if job.unique is not None or job.line:
        key = flow_key(job.unique_key, job.line)
        return _unlike_others(job.name, job.priority, key, job.tenant, job.acks_early) + job.body
    return encode_header(job.name, job.priority, "", job.tenant, job.acks_early) + job.body


def ended_record(settlement: Settlement) -> bytes:
    """Return the record of a job that ends completed or cancelled."""
    one = settlement
    if one.verdict is not Verdict.COMPLETE:
        kind = CANCELLED
    else:
        # What is kept for longer than a tombstone is kept for its result.
        kind = COMPLETED if one.ttl_ms > TOMBSTONE_MS else COMPLETED_BRIEFLY
    if one.unique_key:
        key = flow_key(one.unique_key)
        return _unlike_others(one.name, one.priority, key, one.tenant, one.acks_early, kind) + one.body
    return encode_header(one.name, one.priority, "", one.tenant, one.acks_early, kind) + one.body


def claimed_from(queue: str, job_id: str, fence: int, tries: bytes, record: bytes) -> Claimed:
    """Return a leased job. If its header can't be read, it has no name, and its body is the whole record."""
    try:
        header = decode_header(record)
    except EnvelopeError:
        return Claimed(queue, job_id, "", record, priority_of(record), "", False, fence, tries)
    body = record[header.end :]
    line, unique_key = (line_part(header.key), unique_part(header.key)) if header.key else ("", "")
    return Claimed(
        queue,
        job_id,
        header.name,
        body,
        header.priority.value,
        header.tenant,
        header.acks_early,
        fence,
        tries,
        unique_key,
        line,
    )


class _Kept(NamedTuple):
    queue: str
    id: str
    name: str
    priority: int
    tenant: str
    acks_early: bool
    unique_key: str = ""
    line: str = ""


def job_from(
    queue: str,
    job_id: str,
    record: bytes,
    tries: bytes = b"",
    *,
    state: JobState | None = None,
    situation: Situation = NO_SITUATION,
    left_ms: int = -1,
) -> Job:
    """Return the job of ``record``, or a stand-in if it can't be read; arguments as of ``core.stored.read_kept``."""
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
        return stand_in(kept, tries, state or JobState.PENDING, version=newer.version, situation=situation)
    except EnvelopeError:
        kept, body = unnamed, record
    else:
        kept, body, state = _kept(queue, job_id, header), record[header.end :], header.state or state
    return read_kept(kept, body, tries, state=state, situation=situation, left_ms=left_ms)


def _kept(queue: str, job_id: str, header: Header) -> _Kept:
    named = queue, job_id, header.name, header.priority.value, header.tenant
    return _Kept(*named, header.acks_early, unique_part(header.key), line_part(header.key))
