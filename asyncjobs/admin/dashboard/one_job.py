"""The page of one job, and what is done with it there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from asyncjobs.admin.api import jobs, listing
from asyncjobs.admin.api.route import Call, InQueue
from asyncjobs.admin.dashboard.commands import command, python_call
from asyncjobs.admin.dashboard.page import Attachment, Form, Page, Redirect
from asyncjobs.admin.dashboard.shown import MAX_SHOWN
from asyncjobs.admin.dashboard.timeline import parts_of, timeline
from asyncjobs.admin.door import require
from asyncjobs.admin.problem import Problem
from asyncjobs.core.job import Job
from asyncjobs.core.priority import PriorityName
from asyncjobs.core.view import SECRET, JobDetails
from asyncjobs.errors import ArgumentsError

__all__ = ["FORMS", "PAGES"]

# How many others like it are shown.
_OTHERS = 20


class OneJob(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which job a page shows."""

    done: str = ""
    """What was done to it before."""
    download: Literal["", "arguments", "result"] = ""
    """What to send as a file, in place of the page."""


class Changed(InQueue, frozen=True, forbid_unknown_fields=True):
    """How a job that waits is to be changed."""

    priority: PriorityName | None = None
    """Its new priority; without one, it is to start now."""


class Again(InQueue, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which job is to be sent again."""

    id: str
    """Its id."""


class Changes(Again, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """With which arguments."""

    arguments: str
    """The arguments as JSON, by name; secret ones that are left out are those of the job."""


async def job(call: Call[OneJob]) -> Mapping[str, Any]:
    """Show one job."""
    found = await jobs.job_of(call)
    details = jobs.details_for(call, found)
    if call.query.download:
        raise _file(call, found, details)
    sizes = {"arguments": _size(found.envelope.arguments), "result": len(found.encoded_result)}
    sees = "values" in call.access.permissions
    why, others = await asyncio.gather(_why(call, found), _others(call, found))
    return {
        "job": details,
        "why": why,
        "is_dead": found.state.value == "failed",
        "steps": timeline(details),
        "parts_of": parts_of,
        "sizes": sizes,
        "max_shown": MAX_SHOWN,
        "headers": dict(found.envelope.headers) if sees else {},
        "facts": _facts(found),
        "others": others,
        "priorities": get_args(PriorityName),
        "command": command("show", found.id, options={"queue": found.queue}),
        "python": python_call("find_job", found.id, options={"queue": found.queue}),
    }


async def _why(call: Call[OneJob], found: Job) -> str | None:
    """Return why the job doesn't run, if it waits or is dead."""
    if found.state.value not in ("pending", "retrying", "failed"):
        return None
    return (await jobs.told_why(call, found)).sentence


async def _others(call: Call[OneJob], found: Job) -> list[listing.EndedJob]:
    """Return how the last jobs of the same name ended, of those that the caller may see."""
    if not found.name:
        return []
    tenant = found.tenant or None if call.access.tenants is not None else None
    asked = listing.EndedQuery(queue=found.queue, name=found.name, tenant=tenant, limit=_OTHERS)
    return (await listing.ended(call.asking(asked))).jobs


def _facts(found: Job) -> dict[str, str]:
    """Return what links to other programs may be made of; without what isn't known."""
    trace = found.envelope.headers.get("traceparent", "").split("-")
    facts = {
        "id": found.id,
        "name": found.name,
        "queue": found.queue,
        "tenant": found.tenant,
        "worker": found.worker or (found.errors[-1].worker if found.errors else ""),
        "trace_id": trace[1] if len(trace) == 4 else "",
    }
    return {name: value for name, value in facts.items() if value}


def _size(raw: msgspec.Raw) -> int:
    return len(memoryview(raw))


def _file(call: Call[OneJob], found: Job, details: JobDetails) -> Attachment:
    """Return arguments or the result as a file."""
    require(call.access, "values")
    what = call.query.download
    value = details.arguments if what == "arguments" else details.result
    data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return Attachment(f"{what}-{found.id}.json.txt", data)


async def change(call: Call[Changed]) -> Redirect:
    """Give a job that waits another priority, or let it start now."""
    found = await jobs.job_of(call)
    wanted = call.query.priority
    given: dict[str, Any] = {"delay": 0} if wanted is None else {"priority": wanted}
    reply = await call.app.edit_job(found.id, queue=found.queue, **given)
    if reply != "edited":
        raise Problem(409, f"job {found.id} no longer waits: {reply}")
    return Redirect("jobs", found.id, queue=found.queue, done="run" if wanted is None else "priority")


async def ask_again(call: Call[Again]) -> Mapping[str, Any]:
    """Show the arguments of a job, to be changed and sent in a new one."""
    require(call.access, "values")
    query = call.query
    found = await jobs.job_of(call.asking(InQueue(query.queue), id=query.id))
    details = jobs.details_for(call.asking(InQueue(query.queue)), found)
    if details.arguments is None:
        raise _unreadable(found)
    if _size(found.envelope.arguments) > MAX_SHOWN // 2:
        raise Problem(409, f"the arguments of job {found.id} are too large to be edited here; send it by Python")
    shown = {name: value for name, value in details.arguments.items() if name not in found.secret}
    return {"job": details, "shown": shown, "secret": found.secret, "is_known": bool(found.parameters)}


async def again(call: Call[Changes]) -> Redirect:
    """Send a new job with changed arguments."""
    require(call.access, "values")
    query = call.query
    found = await jobs.job_of(call.asking(InQueue(query.queue), id=query.id))
    try:
        given = msgspec.json.decode(query.arguments.encode())
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"the arguments are no JSON: {error}") from None
    if not isinstance(given, dict):
        raise Problem(400, "arguments: expected a JSON object of names and values")
    if found.encrypted_with:
        raise _unreadable(found)
    handle = await call.app.send(found.name, _arguments(found, given), **_options(found))
    return Redirect("jobs", handle.id, queue=found.queue, done="again")


def _unreadable(found: Job) -> Problem:
    why = f": they are encrypted with key {found.encrypted_with}" if found.encrypted_with else ""
    return Problem(409, f"the arguments of job {found.id} can't be read here{why}")


def _arguments(found: Job, given: dict[str, Any]) -> list[Any] | dict[str, Any]:
    """Return the arguments of the new job; those that are secret and aren't given are those of the old one.

    Raises:
        ArgumentsError: One stands there as it is shown in place of a secret one.
    """
    if SECRET in given.values():
        raise ArgumentsError(f"{SECRET} stands in place of a secret value; leave it out to keep the value")
    kept = found.named_arguments
    whole = {**{name: kept[name] for name in found.secret if name in kept}, **given}
    if found.parameters:
        return whole
    # Without names, arguments go by their positions.
    names = [*map(str, range(len(whole)))]
    if sorted(whole) != sorted(names):
        return whole
    return [whole[name] for name in names]


def _options(found: Job) -> dict[str, Any]:
    """Return the options that the new job has of the old one."""
    options: dict[str, Any] = {"queue": found.queue, "priority": found.priority}
    if found.tenant:
        options["tenant"] = found.tenant
    if found.metadata:
        options["metadata"] = found.metadata
    return options


PAGES = [
    Page("/again", "again.html", ask_again, Again, needs="edit"),
    Page("/jobs/{id:path}", "job.html", job, OneJob),
]

FORMS = [
    Form("/again", "edit", again, Changes),
    Form("/jobs/{id:path}/edit", "edit", change, Changed),
]
