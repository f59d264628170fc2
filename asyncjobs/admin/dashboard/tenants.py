"""The pages of tenants, and the purge of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from asyncjobs.admin.api import purging, queues
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Reason
from asyncjobs.admin.dashboard.keeping import kept
from asyncjobs.admin.dashboard.page import Done, Form, Number, Page, Redirect
from asyncjobs.admin.dashboard.shown import visible
from asyncjobs.app.counting import Count
from asyncjobs.app.tenants import TenantStats

__all__ = ["FORMS", "PAGES", "TENANTS_S", "own_tenants"]

#: How old the list of tenants may be: many jobs are looked at for it.
TENANTS_S = 5.0


class Tenants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenants a page lists."""

    after: str = ""
    """Behind whom they begin; empty for the first ones."""


class OneTenant(Done, frozen=True, forbid_unknown_fields=True):
    """Which tenant a page shows."""

    n: Number = 0
    """With how many jobs it was done."""


class Purge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a purge is, or none yet."""

    why: Reason = ""
    """The reason, for the audit."""
    cursor: Annotated[str, msgspec.Meta(max_length=8_000)] = ""
    """Where the next portion goes on."""
    did: Number = 0
    """With how many jobs it was done so far."""
    count: Number = 0
    """How many jobs there were when the page asked."""
    mistyped: Literal["", "1"] = ""
    """Whether something else was typed than the id of the tenant."""


class AskedPurge(Purge, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which tenant is to be purged, and how far that is."""

    tenant: str
    """The id of the tenant."""


class PurgeNow(Purge, frozen=True, forbid_unknown_fields=True):
    """What the page that asks says, once it is answered."""

    typed: str = ""
    """The id of the tenant, typed by hand."""


async def tenants(call: Call[Tenants]) -> Mapping[str, Any]:
    """List the tenants."""
    if call.access.tenants is not None:
        return {"own": await own_tenants(call), "found": None}

    after = call.query.after

    async def load() -> queues.ListedTenants:
        return await queues.tenants(call.asking(queues.TenantsQuery(after=after)))

    return {"own": None, "found": await kept(call, ("tenants", after), TENANTS_S, load)}


async def own_tenants(call: Call[Any]) -> list[TenantStats]:
    """Return the figures of the tenants of a caller who may see some alone."""
    return [await queues.tenant(call.asking(NoQuery(), id=one)) for one in call.access.tenants or ()]


async def tenant(call: Call[OneTenant]) -> Mapping[str, Any]:
    """Show one tenant."""
    return {"tenant": await queues.tenant(call.asking(NoQuery()))}


async def asked(call: Call[AskedPurge]) -> Mapping[str, Any]:
    """Say how many jobs a purge would end, and ask; or how far it has come."""
    query = call.query
    # While it goes on, what was counted first says how far it is.
    asked = call.asking(InQueue(), id=query.tenant)
    count = Count(query.count) if query.cursor else await purging.count_purged(asked)
    return {"tenant": query.tenant, "count": count}


async def purge(call: Call[PurgeNow]) -> Redirect:
    """End the jobs of a tenant, or go on with that."""
    query, tenant = call.query, call.path["id"]
    if not query.cursor and not _is_typed(query.typed, tenant):
        return Redirect("purge", tenant=tenant, why=query.why, mistyped="1")
    body = purging.Purge(cursor=query.cursor, why=query.why)
    reply = await purging.purge(call.asking(InQueue())._replace(body=body))
    did = str(query.did + reply.done)
    if reply.next is None:
        return Redirect("tenants", tenant, done="purge", n=did)
    on = {"did": did, "count": str(query.count), "cursor": reply.next}
    return Redirect("purge", tenant=tenant, why=query.why, **on)


def _is_typed(typed: str, tenant: str) -> bool:
    """Return whether what was typed is the id of the tenant, or what the page shows of it, but for blanks around."""
    # What can't be seen of an id is typed as it is written out.
    known = {tenant, visible(tenant)}
    return typed != "" and (typed in known or typed.strip() in {one.strip() for one in known} - {""})


PAGES = [
    Page("/tenants", "tenants.html", tenants, Tenants),
    Page("/tenants/{id:path}", "tenant.html", tenant, OneTenant),
    # Not below the tenant's page: a tenant's id may end in "/purge".
    Page("/purge", "purge.html", asked, AskedPurge, needs="delete"),
]

FORMS = [Form("/tenants/{id:path}/purge", "delete", purge, PurgeNow)]
