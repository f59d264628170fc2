"""The routes that suspend and resume job names and tenants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, Route, Why, one_by_one

__all__ = [
    "ROUTES",
    "Suspension",
    "queues_of",
    "resume_name",
    "resume_tenant",
    "suspend_name",
    "suspend_tenant",
    "tenant_of",
]


class Suspension(msgspec.Struct, frozen=True, kw_only=True):
    """Whether jobs of a name or a tenant are held back."""

    which: str
    """The name, or the id of the tenant."""
    suspended: bool
    """Whether it is suspended."""


async def suspend_name(call: Call[InQueue]) -> Suspension:
    """Suspend a job name: workers start no job of it."""
    call.whole_queues()
    return await _change(call, call.path["name"], call.app.suspend_name, suspended=True)


async def resume_name(call: Call[InQueue]) -> Suspension:
    """Resume a suspended job name."""
    call.whole_queues()
    return await _change(call, call.path["name"], call.app.resume_name, suspended=False)


async def suspend_tenant(call: Call[InQueue]) -> Suspension:
    """Suspend a tenant: workers start no job of it."""
    return await _change(call, tenant_of(call), call.app.suspend_tenant, suspended=True)


async def resume_tenant(call: Call[InQueue]) -> Suspension:
    """Resume a suspended tenant."""
    return await _change(call, tenant_of(call), call.app.resume_tenant, suspended=False)


async def _change(
    call: Call[InQueue], which: str, verb: Callable[..., Awaitable[Any]], *, suspended: bool
) -> Suspension:
    """Suspend or resume in the queue that is asked for, or in all that the caller may see."""
    why = {"why": call.body.why} if suspended else {}
    for queue in queues_of(call):
        await verb(which, queue=queue, **why)
    return Suspension(which=which, suspended=suspended)


def queues_of(call: Call[InQueue]) -> Sequence[str | None]:
    """Return what a verb is to be called with that takes a queue, or ``None`` for all: what the caller may see."""
    wanted = call.query.queue
    if wanted is None:
        return one_by_one(call.access.queues)
    if not call.access.sees_queue(wanted):
        call.not_found(f"queue {wanted!r}")
    return [wanted]


def tenant_of(call: Call[InQueue]) -> str:
    """Return the tenant of the path, if the caller may see it."""
    tenant = call.path["id"]
    if call.access.tenants is not None and tenant not in call.access.tenants:
        call.not_found(f"tenant {tenant!r}")
    return tenant


ROUTES = [
    Route("POST", "/names/{name:path}/suspend", "pause", suspend_name, Suspension, InQueue, body=Why),
    Route("POST", "/names/{name:path}/resume", "pause", resume_name, Suspension, InQueue),
    Route("POST", "/tenants/{id:path}/suspend", "pause", suspend_tenant, Suspension, InQueue, body=Why),
    Route("POST", "/tenants/{id:path}/resume", "pause", resume_tenant, Suspension, InQueue),
]
