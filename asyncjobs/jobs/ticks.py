"""Schedules between the code and the broker: stored, read again, and turned into the jobs of their ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.options import UNSET, CallOptions, DefinitionOptions
from asyncjobs.core.schedule import SCHEDULE_HEADER, TICK_HEADER, Schedule
from asyncjobs.core.stored import encode_live, read_job
from asyncjobs.errors import EnvelopeError
from asyncjobs.jobs.request import JobRequest
from asyncjobs.ports import NewJob

__all__ = [
    "decode_schedule",
    "encode_schedule",
    "jobs_of",
    "request_of",
    "template_of",
]

_decoder = msgspec.msgpack.Decoder(Schedule)
encode_schedule = msgspec.msgpack.Encoder().encode


def decode_schedule(data: bytes) -> Schedule:
    """Return the schedule that ``encode_schedule`` stored; raise ``EnvelopeError`` if it can't be read."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise EnvelopeError(f"the record of a schedule is damaged: {error}") from None


def template_of(schedule: Schedule, queue: str) -> Job:
    """Return the job that each tick makes anew; raise ``EnvelopeError`` if its record can't be read."""
    return read_job(schedule.id, queue, schedule.record)


def jobs_of(schedule: Schedule, queue: str, ticks: Sequence[int]) -> list[NewJob]:
    """Return the jobs of ``ticks``; a tick's job always has the same id, ``<schedule>@<tick>``."""
    if not ticks:
        return []
    template = template_of(schedule, queue)
    jobs = []
    for tick in ticks:
        headers = {**template.envelope.headers, SCHEDULE_HEADER: schedule.id, TICK_HEADER: str(tick)}
        expires_ms = template.envelope.expires_at_ms
        envelope = msgspec.structs.replace(
            template.envelope, headers=headers, created_at_ms=tick, expires_at_ms=expires_ms and tick + expires_ms
        )
        job_id = f"{schedule.id}@{tick}"
        jobs.append(NewJob(queue, job_id, encode_live(msgspec.structs.replace(template, id=job_id, envelope=envelope))))
    return jobs


def request_of(schedule: Schedule, queue: str, tick: int, job_id: str = "") -> JobRequest[Any]:
    """Return what asks for the job of ``tick``; prepared as sent at that time, it is the job of ``jobs_of``.

    ``job_id``: another id than that of the tick.
    """
    template = template_of(schedule, queue)
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
            job_id=job_id or f"{schedule.id}@{tick}",
            tenant=template.tenant or UNSET,
            acks="early" if template.acks_early else "late",
        ),
        returns=Any,
        id=job_id or f"{schedule.id}@{tick}",
        headers={**envelope.headers, SCHEDULE_HEADER: schedule.id, TICK_HEADER: str(tick)},
    )
