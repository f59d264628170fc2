"""The schedules that the code declares, by ``@job(cron=…)`` and ``@job(every=…)``."""

from __future__ import annotations

from asyncjobs.core.schedule import Schedule
from asyncjobs.worker.host import WorkerHost

__all__ = ["schedules_in_code"]


def schedules_in_code(host: WorkerHost) -> dict[str, list[Schedule]]:
    """Return the schedules of the code, by queue; raise ``DefinitionError`` for one that could not run."""
    found: dict[str, list[Schedule]] = {}
    for definition in host.registry:
        timing = definition.options.timing
        if timing is not None:
            job = host.prepare(definition.scheduled(), sent_at_ms=0)
            schedule = Schedule(
                id=definition.name, name=definition.name, timing=timing, record=job.record, from_code=True
            )
            found.setdefault(job.queue, []).append(schedule)
    return found
