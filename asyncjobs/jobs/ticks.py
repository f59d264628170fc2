"""Schedules between the code and the broker: stored, read again, and turned into requests for jobs of their ticks."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from asyncjobs.core.encrypted import refuse_encrypted
from asyncjobs.core.identity import kept_id
from asyncjobs.core.job import Job
from asyncjobs.core.options import UNSET, CallOptions, DefinitionOptions
from asyncjobs.core.record.version import DECODING_ERRORS, unreadable
from asyncjobs.core.schedule import SCHEDULE_HEADER, TICK_HEADER, Schedule, Timing
from asyncjobs.core.stored import read_live
from asyncjobs.errors import ArgumentsError, DefinitionError
from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.values.codec import ANY
from asyncjobs.ports import NewJob

__all__ = ["decode_schedule", "encode_schedule", "request_of", "scheduled_request", "schedule_of", "template_of"]

R = TypeVar("R")

_decoder = msgspec.msgpack.Decoder(Schedule)
encode_schedule = msgspec.msgpack.Encoder().encode


def decode_schedule(data: bytes) -> Schedule:
    """Return the schedule that ``encode_schedule`` stored.

    Raises:
        EnvelopeError: It is damaged, or (``NewerVersion``) of a later version.
    """
    try:
        return _decoder.decode(data)
    except DECODING_ERRORS as error:
        raise unreadable("the record of a schedule", data, error) from None


def schedule_of(
    schedule_id: str, timing: Timing, request: JobRequest[Any], template: NewJob, *, from_code: bool = False
) -> Schedule:
    """Return the schedule whose ticks each make the job of ``request``; ``template`` is that job, as sent at 0."""
    return Schedule(
        id=schedule_id,
        name=template.name,
        timing=timing,
        body=template.body,
        priority=template.priority,
        tenant=template.tenant,
        acks_early=template.acks_early,
        from_code=from_code,
        unique=request._unique,
    )


def template_of(schedule: Schedule, queue: str) -> Job:
    """Return the job that each tick makes anew; raise ``EnvelopeError`` if its record can't be read."""
    kept = NewJob(
        queue, schedule.id, schedule.name, schedule.body, schedule.priority, schedule.tenant, schedule.acks_early
    )
    return read_live(kept, schedule.body)


def scheduled_request(definition: JobDefinition[..., R]) -> JobRequest[R]:
    """Return the call that the schedule of ``@job(cron=…)`` or ``@job(every=…)`` makes.

    Raises:
        DefinitionError: The handler needs arguments.
    """
    try:
        return definition._new_request((), {}, CallOptions())
    except ArgumentsError as error:
        raise DefinitionError(
            f"job {definition.name!r} has a schedule, so all its parameters need defaults: {error}; or give them with "
            "app.add_schedule(…)"
        ) from error


def request_of(
    schedule: Schedule, queue: str, tick_ms: int, job_id: str = "", *, encryption: Encryption | None = None
) -> JobRequest[Any]:
    """Return the request for the job of one tick, to be prepared as sent at that time.

    Args:
        schedule: The schedule.
        queue: Its queue.
        tick_ms: The tick, in Unix milliseconds.
        job_id: The job's id. By default that of the tick, ``<schedule>@<tick>``, which is always the same.
        encryption: Decrypts the arguments of the schedule.

    Raises:
        EnvelopeError: The record of the schedule can't be read, or (``EncryptionError``) its arguments can't be
            decrypted.
    """
    job_id = kept_id(schedule.tenant, job_id or f"{schedule.id}@{tick_ms}")
    template = template_of(schedule, queue)
    if encryption is not None:
        template = encryption.readable(template)
    refuse_encrypted(f"the arguments of schedule {schedule.id} are", template.envelope.arguments)
    envelope = template.envelope
    return JobRequest(
        name=template.name,
        arguments=bytes(envelope.arguments),
        keywords=envelope.keywords,
        signature=envelope.signature,
        defaults=DefinitionOptions(),
        options=CallOptions(
            queue=queue,
            priority=template.priority,
            max_retries=UNSET if envelope.max_retries is None else envelope.max_retries,
            timeout_ms=UNSET if envelope.timeout_ms is None else envelope.timeout_ms,
            result_ttl_ms=UNSET if envelope.result_ttl_ms is None else envelope.result_ttl_ms,
            expires_ms=envelope.expires_at_ms or UNSET,
            metadata=envelope.metadata or UNSET,
            job_id=job_id,
            tenant=template.tenant or UNSET,
            acks="early" if template.acks_early else "late",
        ),
        _returns=ANY,
        _unique=schedule.unique,
        id=job_id,
        headers={**envelope.headers, SCHEDULE_HEADER: schedule.id, TICK_HEADER: str(tick_ms)},
    )
