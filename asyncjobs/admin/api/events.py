"""The route for the events of a job: progress, log lines and data, as JSON or as a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.api.jobs import show
from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.admin.stream import STREAM_S, Line, event_stream, last_event_id
from asyncjobs.errors import ResultExpired, UnknownJob
from asyncjobs.jobs.events import JobEvent, JobEvents
from asyncjobs.jobs.handle import JobHandle

__all__ = ["ROUTES", "EventsQuery", "events", "stream"]


class EventsQuery(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which events of a job."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """``next`` of the reply before; 0 for all events that are kept."""
    wait: Annotated[float, msgspec.Meta(ge=0, le=STREAM_S)] = 0.0
    """How many seconds to wait for an event if there is none yet, 0 to 10."""


async def events(call: Call[EventsQuery]) -> JobEvents:
    """Show what a job tells while it runs; as a stream with ``Accept: text/event-stream``."""
    job = await show(call)
    return await _next(call, call.app.handle(job.id, queue=job.queue), call.query.after, call.query.wait)


async def stream(
    call: Call[EventsQuery],
    request: Request,
    line: Callable[[JobEvent], Line] = lambda one: Line(one.number, one.kind, one),
) -> Response:
    """Return the events as a stream that ends after ten seconds, and goes on where a browser says.

    Args:
        call: The request, once its caller is known.
        request: The request itself.
        line: Returns what is sent for an event.
    """
    job = await show(call)
    handle = call.app.handle(job.id, queue=job.queue)
    page = JobEvents(events=[], next=last_event_id(request.headers) or call.query.after, is_over=False)

    async def read(seconds: float) -> list[Line] | None:
        nonlocal page
        if page.is_over:
            return None
        page = await _next(call, handle, page.next, seconds)
        lines = [line(one) for one in page.events]
        return [*lines, Line(None, "end", {"next": page.next})] if page.is_over else lines

    return event_stream(read)


async def _next(call: Call[EventsQuery], handle: JobHandle[Any], after: int, seconds: float) -> JobEvents:
    """Return the next events of a job that the caller may see."""
    try:
        page = await handle.next_events(after, timeout=seconds)
    except (UnknownJob, ResultExpired):
        return JobEvents(events=[], next=after, is_over=True)
    if "values" in call.access.permissions:
        return page
    return msgspec.structs.replace(page, events=[_hidden(one) for one in page.events])


def _hidden(event: JobEvent) -> JobEvent:
    """Return an event without what the handler gave to ``emit``."""
    return msgspec.structs.replace(event, data=None) if event.kind == "data" else event


ROUTES = [Route("GET", "/jobs/{id:path}/events", "look", events, JobEvents, EventsQuery, stream=stream)]
