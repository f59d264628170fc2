"""The route that tells what is wrong: for alerts, chat bots, and the first page of the dashboard."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.app.triage.finding import Finding
from asyncjobs.app.verbs.problems import Situation, situation_of

__all__ = ["ROUTES", "Problems", "problems", "situation"]


class Problems(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong now."""

    as_of: datetime
    """When it was read, in UTC by this server's clock."""
    bad: int
    """How many of them are ``bad``: jobs don't run, or may be lost."""
    problems: list[Finding]
    """What is wrong, the worst first; empty if all is well."""


async def problems(call: Call[InQueue]) -> Problems:
    """Tell what is wrong now, the worst first."""
    found = (await situation(call)).problems
    return Problems(as_of=datetime.now(UTC), bad=sum(one.level == "bad" for one in found), problems=found)


async def situation(call: Call[InQueue]) -> Situation:
    """Return what is wrong of what the caller may see, and the figures that tell it."""
    call.whole_queues()
    queue, seen = call.query.queue, call.access.queues
    if queue is not None and not call.access.sees_queue(queue):
        call.not_found(f"queue {queue!r}")
    return await situation_of(call.app, seen if queue is None else queue)


ROUTES = [Route("GET", "/problems", "look", problems, Problems, InQueue)]
