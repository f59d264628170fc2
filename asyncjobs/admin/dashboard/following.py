"""What the page of a running job follows: its progress and its log lines."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.api.events import EventsQuery, stream
from asyncjobs.admin.api.route import Call
from asyncjobs.admin.dashboard.page import Stream
from asyncjobs.admin.dashboard.shell import choices_of
from asyncjobs.admin.dashboard.shown import as_json, in_time_zone, visible
from asyncjobs.admin.stream import Line
from asyncjobs.jobs.events import JobEvent, Progress

__all__ = ["STREAMS"]


async def follow(call: Call[EventsQuery], request: Request) -> Response:
    """Return what a job tells while it runs, as the script of its page shows it."""
    zone = choices_of(request.cookies).tz
    return await stream(call, request, lambda event: _line(event, zone))


def _line(event: JobEvent, zone: tzinfo) -> Line:
    progress = event.progress
    if progress is not None:
        told = {"done": progress.done, "total": progress.total, "text": visible(_percentage(progress))}
        return Line(event.number, "progress", told)
    text = _text(event.data) if event.kind == "log" else as_json(event.data)
    return Line(event.number, "line", {"at": f"{in_time_zone(event.at, zone):%H:%M:%S}", "text": visible(text)})


def _text(data: Any) -> str:
    return f"{data['level']}: {data['message']}" if isinstance(data, dict) and len(data) == 2 else as_json(data)


def _percentage(progress: Progress) -> str:
    """Return how far a job has come, in words."""
    of = "" if not progress.total else f" of {progress.total:,g} ({progress.done / progress.total:.0%})"
    return f"{progress.done:,g}{of} {progress.note}".strip()


STREAMS = [Stream("/jobs/{id:path}/live", follow, EventsQuery)]
