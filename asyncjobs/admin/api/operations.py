"""The routes for who looks after the jobs: what was done by hand, and how the broker's server is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from asyncjobs.admin.api.route import Call, NoQuery, Route
from asyncjobs.app.audit import AuditEntry
from asyncjobs.app.verbs.operations import Deploy
from asyncjobs.ports import ServerState

__all__ = ["ROUTES", "AuditQuery", "AuditReply", "ListedDeploys", "ServerReply", "audit", "deploys", "server"]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    """How many entries at most."""
    before: str = ""
    """The ``next`` of the page before; empty for the latest."""


class AuditReply(msgspec.Struct, frozen=True, kw_only=True):
    """What was done by hand, latest first."""

    entries: list[AuditEntry]
    """The entries of queues that the caller may see. The list may be empty although there is a next page. Without the
    permission ``values``, a ``text`` that jobs were searched for is left out."""
    next: str | None
    """``before`` of the earlier entries, ``null`` if there are none."""


class ListedDeploys(msgspec.Struct, frozen=True, kw_only=True):
    """Deploys."""

    deploys: list[Deploy]
    """The last 100 deploys, the earliest first."""


class ServerReply(ServerState, frozen=True, kw_only=True):
    """How the broker's server is."""

    as_of: datetime
    """When it was asked, in UTC by this server's clock."""


async def audit(call: Call[AuditQuery]) -> AuditReply:
    """Show what was done by hand: by whom, from where and why."""
    call.whole_queues()
    limit = call.query.limit
    found = await call.app.audit(limit, before=call.query.before)
    queues = call.access.queues
    entries = [_told(call, one) for one in found if queues is None or one.queue in queues]
    return AuditReply(entries=entries, next=found[-1].id if len(found) == limit else None)


def _told(call: Call[AuditQuery], entry: AuditEntry) -> AuditEntry:
    """Return an entry without what the caller may not see of jobs."""
    if "text" not in entry.filter or "values" in call.access.permissions:
        return entry
    return msgspec.structs.replace(entry, filter={**entry.filter, "text": "…"})


async def deploys(call: Call[NoQuery]) -> ListedDeploys:
    """List when the last deploys began."""
    call.whole_queues()
    return ListedDeploys(deploys=await call.app.deploys())


async def server(call: Call[NoQuery]) -> ServerReply:
    """Show the version, memory, persistence, replicas and clock of the broker's server."""
    call.whole_queues()
    found = await call.app.server()
    return ServerReply(kind=found.kind, nodes=found.nodes, as_of=datetime.now(UTC))


ROUTES = [
    Route("GET", "/audit", "look", audit, AuditReply, AuditQuery),
    Route("GET", "/deploys", "look", deploys, ListedDeploys),
    Route("GET", "/server", "look", server, ServerReply),
]
