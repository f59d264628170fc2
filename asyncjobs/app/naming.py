"""The names of the arguments of jobs, which the code of an app tells, and not the record of a job."""

from __future__ import annotations

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.errors import ArgumentsError, DefinitionError, UnknownJobName
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.registry import Registry

__all__ = ["named"]


def named(job: Job, registry: Registry) -> Job:
    """Return ``job`` with the names of its arguments, where ``registry`` has a handler that they fit."""
    if not job.name or job.is_newer:
        return job
    try:
        signature = signature_of(registry.get(job.name))
        names = signature.names_of(job.envelope.arguments, job.envelope.keywords)
    except (UnknownJobName, DefinitionError, ArgumentsError, NameError):
        return job
    return msgspec.structs.replace(job, parameters=names) if names else job
