"""The check before a deploy: which queued jobs the new code can't run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from asyncjobs.app.verbs.all import AllVerbs
from asyncjobs.app.verbs.paging import pages
from asyncjobs.app.why import knows
from asyncjobs.core.job import Job
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import stand_in
from asyncjobs.errors import ArgumentsError, EncryptionError, EnvelopeError, NewerVersion, UnknownJobName
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.ticks import decode_schedule, template_of
from asyncjobs.ports import NewJob, Place, StoredSchedule, WorkerInfo

__all__ = ["Problem", "check_jobs"]

_PLACES: tuple[Place, ...] = ("ready", "scheduled", "running", "parked")


class Problem(msgspec.Struct, kw_only=True):
    """Jobs of one name in one queue that can't be run, all for the same reason."""

    queue: str
    """The queue."""
    name: str
    """The job name, empty for records that can't be read."""
    reason: str
    """Why they can't be run."""
    example: str
    """The id of one of them."""
    count: int = 0
    """How many there are."""


async def check_jobs(app: AllVerbs) -> tuple[list[Problem], int]:
    """Return the waiting and running jobs that the code of ``app``, which is open, can't run.

    Schedules count as jobs; those of the code can be run, since its workers store them anew. The arguments of each are
    decoded, since a parameter's type may have changed under the same name.

    Returns:
        The problems, sorted, and how many jobs were checked.
    """
    broker, registry, encryption = app._broker, app.registry, app._encryption
    workers = await broker.workers()
    problems: dict[tuple[str, str, str], Problem] = {}
    looked_at = 0

    def note(job: Job, reason: str | None) -> None:
        if reason is not None:
            key = job.queue, job.name, reason
            problem = problems.setdefault(key, Problem(queue=job.queue, name=job.name, reason=reason, example=job.id))
            problem.count += 1

    for queue in await broker.queues():
        for place in _PLACES:
            async for jobs in pages(broker, queue, place):
                for job in jobs:
                    note(job, _reason(job, registry, encryption, workers))
                looked_at += len(jobs)
        for stored in (await broker.schedules(queue)).schedules:
            job, is_replaced = _job_of(stored, queue, registry)
            note(job, None if is_replaced else _reason(job, registry, encryption, workers))
            looked_at += 1
    return sorted(problems.values(), key=lambda one: (one.queue, one.name, one.reason)), looked_at


def _job_of(stored: StoredSchedule, queue: str, registry: Registry) -> tuple[Job, bool]:
    """Return the job of a schedule, and whether a worker of this code stores the schedule anew, or removes it."""
    try:
        schedule = decode_schedule(stored.data)
        return template_of(schedule, queue), schedule.from_code and schedule.name in registry.names()
    except EnvelopeError as error:
        version = error.version if isinstance(error, NewerVersion) else VERSION
        return stand_in(NewJob(queue, stored.id, "", b""), b"", JobState.PENDING, version=version), False


def _reason(job: Job, registry: Registry, encryption: Encryption | None, workers: Sequence[WorkerInfo]) -> str | None:
    if job.is_newer:
        return f"a newer asyncjobs has written its record, of version {job.version}"
    if not job.name:
        return "its record can't be read"
    try:
        signature = signature_of(registry.get(job.name))
        if encryption is not None:
            job = encryption.readable(job)
        signature.decode(job.envelope.arguments, job.envelope.keywords)
    except EncryptionError as error:
        # Without the id, so that many are told as one.
        return str(error).replace(f"of job {job.id} ", "")
    except UnknownJobName as error:
        return f"{error} {_known_by(job, workers)}"
    except ArgumentsError as error:
        return str(error)
    return None


def _known_by(job: Job, workers: Sequence[WorkerInfo]) -> str:
    """Return a sentence on the workers that could run a job that this code doesn't know."""
    able = [one for one in workers if job.queue in one.queues and knows(one, job.name)]
    if not able:
        return "No worker that is running knows it either."
    others = f" and {len(able) - 1} more" if len(able) > 1 else ""
    return f"The running worker {able[0].id}{others} can run it."
