"""The routes for schedules."""

from __future__ import annotations

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.app.verbs.schedules import ScheduleInfo

__all__ = ["ROUTES", "ListedSchedules", "TriggeredSchedule", "pause", "resume", "schedule", "schedules", "trigger"]


class ListedSchedules(msgspec.Struct, frozen=True, kw_only=True):
    """Schedules."""

    schedules: list[ScheduleInfo]
    """The schedules that the caller may see. Without the permission ``values``, their arguments are left out."""


class TriggeredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was run now."""

    id: str
    """The schedule's id."""
    job: str
    """The id of the job that was sent."""
    queue: str
    """The queue of the job."""


async def schedules(call: Call[InQueue]) -> ListedSchedules:
    """List the schedules."""
    found = await call.app.schedules(call.query.queue)
    return ListedSchedules(schedules=[_shown(call, one) for one in found if call.access.sees(one.queue, one.tenant)])


async def schedule(call: Call[InQueue]) -> ScheduleInfo:
    """Show one schedule."""
    return await _schedule(call)


async def trigger(call: Call[InQueue]) -> TriggeredSchedule:
    """Send a job of a schedule now."""
    found = await _schedule(call)
    handle = await call.app.trigger_schedule(found.id, queue=found.queue)
    return TriggeredSchedule(id=found.id, job=handle.id, queue=handle.queue)


async def pause(call: Call[InQueue]) -> ScheduleInfo:
    """Pause a schedule."""
    found = await _schedule(call)
    await call.app.pause_schedule(found.id, queue=found.queue)
    return await _schedule(call)


async def resume(call: Call[InQueue]) -> ScheduleInfo:
    """Resume a paused schedule."""
    found = await _schedule(call)
    await call.app.resume_schedule(found.id, queue=found.queue)
    return await _schedule(call)


async def _schedule(call: Call[InQueue]) -> ScheduleInfo:
    """Return the schedule of the path, if the caller may see it."""
    schedule_id = call.path["id"]
    found = await call.app.find_schedule(schedule_id, queue=call.query.queue)
    if not call.access.sees(found.queue, found.tenant):
        call.not_found(f"schedule {schedule_id!r}")
    return _shown(call, found)


def _shown(call: Call[InQueue], schedule: ScheduleInfo) -> ScheduleInfo:
    return schedule if "values" in call.access.permissions else msgspec.structs.replace(schedule, arguments=[])


ROUTES = [
    Route("GET", "/schedules", "look", schedules, ListedSchedules, InQueue),
    Route("GET", "/schedules/{id:path}", "look", schedule, ScheduleInfo, InQueue),
    Route("POST", "/schedules/{id:path}/trigger", "schedule", trigger, TriggeredSchedule, InQueue),
    Route("POST", "/schedules/{id:path}/pause", "schedule", pause, ScheduleInfo, InQueue),
    Route("POST", "/schedules/{id:path}/resume", "schedule", resume, ScheduleInfo, InQueue),
]
