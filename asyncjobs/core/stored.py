"""From a job to the bytes that a broker keeps, and back."""

from __future__ import annotations

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, Final, decode_envelope, decode_final, encode
from asyncjobs.core.record.header import decode_header, encode_header, ended_header, header_size, tenant_in
from asyncjobs.core.record.tries import Tries, unpack_tries
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import EnvelopeError

__all__ = ["encode_ended", "encode_live", "read_job", "read_placed", "unreadable_job"]


def encode_live(job: Job) -> bytes:
    """Return the record of a job that has not ended."""
    return encode_header(job.name, job.priority.value, "", job.tenant, job.acks_early) + encode(job.envelope)


def encode_ended(job: Job, record: bytes) -> bytes:
    """Return the record of the ended ``job``, around the body of the live ``record`` that it was read from."""
    assert job.state in ENDED, f"{job.id} is {job.state.value}"
    final = Final(
        envelope=msgspec.Raw(memoryview(record)[header_size(record) :]),
        **({"result": msgspec.Raw(job.result)} if job.result else {}),
        reason=job.reason,
        failures=job.failures,
        deaths=job.deaths,
        errors=job.errors,
        fence=job.fence,
        started_at_ms=job.started_at_ms,
        finished_at_ms=job.finished_at_ms or 0,
    )
    return ended_header(record, job.state) + encode(final)


def read_job(
    job_id: str,
    queue: str,
    record: bytes,
    tries: bytes | None = None,
    *,
    state: JobState | None = None,
    fence: int = 0,
    due_at_ms: int | None = None,
    finished_at_ms: int | None = None,
) -> Job:
    """Return the job that ``record`` and the stored ``tries`` tell of.

    ``state`` is what the broker knows from where it found a live job; by default it is pending, or retrying once an
    attempt has failed. Raises ``EnvelopeError`` for a record that can't be read.
    """
    header = decode_header(record)
    body = memoryview(record)[header.end :]
    if header.state is not None:
        final = decode_final(body)
        return Job(
            id=job_id,
            name=header.name,
            queue=queue,
            priority=header.priority,
            state=header.state,
            envelope=decode_envelope(final.envelope),
            tenant=header.tenant,
            acks_early=header.acks_early,
            failures=final.failures,
            deaths=final.deaths,
            errors=final.errors,
            fence=final.fence,
            started_at_ms=final.started_at_ms,
            finished_at_ms=final.finished_at_ms,
            result=bytes(final.result),
            reason=final.reason,
        )
    so_far = unpack_tries(tries)
    if state is None:
        state = JobState.RETRYING if so_far.failures else JobState.PENDING
    return Job(
        id=job_id,
        name=header.name,
        queue=queue,
        priority=header.priority,
        state=state,
        envelope=decode_envelope(body),
        tenant=header.tenant,
        acks_early=header.acks_early,
        failures=so_far.failures,
        deaths=so_far.deaths,
        errors=so_far.errors,
        fence=fence,
        due_at_ms=due_at_ms,
        finished_at_ms=finished_at_ms,
    )


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
        state = state or JobState.PENDING
        return unreadable_job(job_id, queue, Priority.LOW, tries, state, tenant=tenant_in(record))


def unreadable_job(
    job_id: str,
    queue: str,
    priority: Priority,
    tries: bytes | None,
    state: JobState,
    *,
    fence: int = 0,
    tenant: str = "",
) -> Job:
    """Return a stand-in for a job whose record can't be read, so that it can still be failed and listed."""
    try:
        so_far = unpack_tries(tries)
    except EnvelopeError:
        so_far = Tries()
    return Job(
        id=job_id,
        name="",
        queue=queue,
        priority=priority,
        state=state,
        envelope=Envelope(),
        tenant=tenant,
        fence=fence,
        failures=so_far.failures,
        deaths=so_far.deaths,
        errors=so_far.errors,
    )
