"""The schedules that the code declares, by ``@job(cron=…)`` and ``@job(every=…)``."""

from __future__ import annotations

import msgspec

from asyncjobs.core.schedule import Schedule
from asyncjobs.jobs.ticks import schedule_of, scheduled_request
from asyncjobs.worker.host import WorkerHost

__all__ = ["schedules_in_code"]


def schedules_in_code(host: WorkerHost) -> dict[str, list[Schedule]]:
    """Return the schedules of the code that one worker fires for all, by queue.

    Raises:
        DefinitionError: One could not run.
    """
    found: dict[str, list[Schedule]] = {}
    for definition in host.registry:
        timing = definition.options.timing
        if timing is not None and not timing.every_worker:
            request = scheduled_request(definition)
            # Under the id of the schedule, to which encryption binds the arguments.
            kept = msgspec.structs.replace(request, id=definition.name, _unique=None)
            template = host.sender.prepare(kept, sent_at_ms=0)
            schedule = schedule_of(definition.name, timing, request, template, from_code=True)
            found.setdefault(template.queue, []).append(schedule)
    return found
