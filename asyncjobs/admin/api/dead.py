"""The routes for groups of dead jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.core.duration import utc_time
from asyncjobs.ports import DeadGroup, GroupState

__all__ = ["ROUTES", "DeadGroups", "Mark", "MarkedGroup", "ToldGroup", "groups", "mark"]


class ToldGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead jobs of one queue that died of the same."""

    queue: str
    """The queue."""
    id: str
    """Its id, for ``group`` of other requests: ``other`` if the queue had too many groups, empty for jobs in none."""
    name: str
    """The job name."""
    error: str
    """The type of the last error."""
    message: str
    """Its message, with placeholders for ids, numbers, times and the like."""
    frame: str
    """Where it was raised, empty if that isn't known."""
    count: int
    """How many jobs there are."""
    first_at: datetime | None
    """When the first of them died; ``null`` of jobs in no group."""
    last_at: datetime | None
    """When the last of them died."""
    hour: int
    """How many of them died within the last hour."""
    day: int
    """How many of them died within the last 24 hours."""
    hours: tuple[int, ...]
    """How many of them died in each of the last 24 hours, the earliest first; empty if none did."""
    sample_id: str
    """The id of the job that died last."""
    state: GroupState
    """``new``, ``seen``, or ``back`` if there were none left for a while."""
    note: str
    """What was noted when it was marked as seen."""


class DeadGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of dead jobs."""

    groups: list[ToldGroup]
    """The groups, the one with the latest death first."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a group is marked."""

    state: Literal["seen", "new"] = "seen"
    """``seen``, or ``new`` to take that back."""
    note: str = ""
    """What others are to know of it; at most 500 characters."""


class MarkedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group that was marked."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    state: GroupState
    """How it is marked."""


async def groups(call: Call[InQueue]) -> DeadGroups:
    """List the dead by what they died of."""
    call.whole_queues()
    queues, _ = call.narrowed(call.query.queue, None)
    return DeadGroups(groups=[_told(group) for group in await call.app.failed_groups(queue=queues)])


async def mark(call: Call[InQueue]) -> MarkedGroup:
    """Mark a group of dead jobs as seen."""
    call.whole_queues()
    group, marked = call.path["id"], call.body
    queues, _ = call.narrowed(call.query.queue, None)
    found = [one.queue for one in await call.app.failed_groups(queue=queues) if one.id == group]
    if not found or not await call.app.mark_group(group, marked.state, queue=found[0], note=marked.note):
        call.not_found(f"group {group!r} of dead jobs")
    return MarkedGroup(id=group, queue=found[0], state=marked.state)


def _told(group: DeadGroup) -> ToldGroup:
    fields = msgspec.structs.asdict(group)
    first_ms, last_ms = fields.pop("first_ms"), fields.pop("last_ms")
    return ToldGroup(
        **fields,
        first_at=utc_time(first_ms) if first_ms else None,
        last_at=utc_time(last_ms) if last_ms else None,
    )


ROUTES = [
    Route("GET", "/dead/groups", "look", groups, DeadGroups, InQueue),
    Route("POST", "/dead/groups/{id:path}/seen", "retry", mark, MarkedGroup, InQueue, body=Mark),
]
