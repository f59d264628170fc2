"""The pages that show and change how many jobs may run: of queues, and through their gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from asyncjobs.admin.api import limits
from asyncjobs.admin.api.route import Call, NoQuery
from asyncjobs.admin.dashboard.page import Form, Page, Redirect
from asyncjobs.app.gates import MAX_LOOKED_THROUGH, GateStats, limit_of
from asyncjobs.app.limited import QueueLimits

__all__ = ["FORMS", "PAGES"]

# How many values of each limit are shown of one queue, and how many on the page of all queues.
_SHOWN = 50
_SHOWN_OF_ALL = 10


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which limits a page shows."""

    queue: str | None = None
    """Only those of this queue; by default those of all."""
    done: str = ""
    """What was done before: ``limit``."""
    gate: str = ""
    """To which gate."""


class OneLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which limit is to change."""

    gate: str = ""
    """A limit by name, or one of its gates; empty for that of the queue."""


class LimitForm(OneLimit, frozen=True, forbid_unknown_fields=True):
    """What a form says of a limit; an empty field is no limit."""

    running: str = ""
    """How many jobs may run at once."""
    rate: str = ""
    """How many jobs may start in a time."""


async def listed_limits(call: Call[Limits]) -> Mapping[str, Any]:
    """List the limits, and what waits."""
    wanted = call.query.queue
    most = _SHOWN_OF_ALL if wanted is None else _SHOWN
    # One more than are shown tells whether there are more.
    asked = call.asking(limits.GatesQuery(limit=MAX_LOOKED_THROUGH if call.query.gate else most + 1))
    if wanted is None:
        found = (await limits.limits(asked)).queues
    else:
        found = [await limits.gates(call.asking(asked.query, name=wanted))]
    changed = next((limit_of(one.gates, call.query.gate) for one in found if one.queue == wanted), None)
    return {"queues": [_shown(one, most) for one in found], "changed": changed, "shown": most}


def _shown(queue: QueueLimits, most: int) -> Mapping[str, Any]:
    """Return what is shown of the limits of a queue: those in use, those of which nothing is, and how many are cut."""
    busy: list[GateStats] = []
    idle: list[GateStats] = []
    counts: dict[str, int] = {}
    for gate in queue.gates:
        is_value = gate.gate != gate.rule
        counts[gate.rule] = counts.get(gate.rule, 0) + is_value
        if counts[gate.rule] > most:
            continue
        is_used = is_value or gate.is_each or gate.in_use or gate.waiting or gate.opens_at or gate.is_set
        (busy if is_used else idle).append(gate)
    return {
        "queue": queue.queue,
        "running": queue.running,
        "limit": queue.limit,
        "busy": busy,
        "idle": idle,
        "cut": [rule for rule, count in counts.items() if count > most],
        "is_busy": queue.limit is not None or bool(busy),
    }


async def asked_to_limit(call: Call[OneLimit]) -> Mapping[str, Any]:
    """Ask what a limit is to be."""
    queue = await limits.gates(call.asking(limits.GatesQuery(limit=MAX_LOOKED_THROUGH)))
    gate = limit_of(queue.gates, call.query.gate) if call.query.gate else None
    return {"queue": queue, "gate": gate, "limit": queue.limit if not call.query.gate else gate}


async def set_limit(call: Call[LimitForm]) -> Redirect:
    """Limit how many jobs run."""
    running, rate = call.query.running.strip(), call.query.rate.strip()
    number = int(running) if running.isdecimal() else running or None
    change = limits.LimitChange(
        gate=call.query.gate.strip(),
        running=number,  # type: ignore[arg-type]  # the app refuses a text
        rate=rate or None,
    )
    return _changed((await limits.set_limit(call.asking(NoQuery())._replace(body=change))).queue, change.gate)


async def reset_limit(call: Call[OneLimit]) -> Redirect:
    """Let a limit be again as the program declares it."""
    change = limits.LimitReset(gate=call.query.gate)
    return _changed((await limits.reset_limit(call.asking(NoQuery())._replace(body=change))).queue, change.gate)


def _changed(queue: str, gate: str) -> Redirect:
    if gate:
        return Redirect("limits", queue=queue, gate=gate, done="limit")
    return Redirect("queues", queue, done="limit")


PAGES = [
    Page("/limits", "limits.html", listed_limits, Limits),
    Page("/queues/{name:path}/limit", "limit.html", asked_to_limit, OneLimit, needs="pause"),
]

FORMS = [
    Form("/queues/{name:path}/limit", "pause", set_limit, LimitForm),
    Form("/queues/{name:path}/limit/reset", "pause", reset_limit, OneLimit),
]
