"""Which queued jobs the code at hand could not run: asked before a deploy."""

from __future__ import annotations

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import unreadable_job
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownJobName
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.ticks import decode_schedule, template_of
from asyncjobs.ports import Broker, Place, StoredSchedule

__all__ = ["Problem", "check_jobs"]

_PAGE = 500
_PLACES: tuple[Place, ...] = ("ready", "scheduled", "running", "parked")


class Problem(msgspec.Struct, kw_only=True):
    """Jobs of one ``name`` in one ``queue`` that could not be run, and why: ``count`` of them, ``example`` an id."""

    queue: str
    name: str
    reason: str
    example: str
    count: int = 0


async def check_jobs(broker: Broker, registry: Registry) -> tuple[list[Problem], int]:
    """Return what the jobs of ``registry`` could not run of all that waits or runs, and how many jobs were looked at.

    Schedules count as jobs. All are decoded: what a parameter's type is made of may have changed under the same name.
    """
    problems: dict[tuple[str, str, str], Problem] = {}
    looked_at = 0

    def note(job: Job, reason: str | None) -> None:
        if reason is not None:
            key = job.queue, job.name, reason
            problem = problems.setdefault(key, Problem(queue=job.queue, name=job.name, reason=reason, example=job.id))
            problem.count += 1

    for queue in await broker.queues():
        for place in _PLACES:
            offset = 0
            while True:
                jobs, entries = await broker.browse(queue, place, offset, _PAGE)
                for job in jobs:
                    note(job, _reason(job, registry))
                looked_at += len(jobs)
                offset += entries
                if entries < _PAGE:
                    break
        for stored in (await broker.schedules(queue)).schedules:
            job = _job_of(stored, queue)
            note(job, _reason(job, registry))
            looked_at += 1
    return sorted(problems.values(), key=lambda one: (one.queue, one.name, one.reason)), looked_at


def _job_of(stored: StoredSchedule, queue: str) -> Job:
    try:
        return template_of(decode_schedule(stored.data), queue)
    except EnvelopeError:
        return unreadable_job(stored.id, queue, Priority.LOW, None, JobState.PENDING)


def _reason(job: Job, registry: Registry) -> str | None:
    if not job.name:
        return "its record can't be read"
    try:
        signature_of(registry.get(job.name)).decode(job.envelope.arguments, job.envelope.keywords)
    except (ArgumentsError, UnknownJobName) as error:
        return str(error)
    return None
