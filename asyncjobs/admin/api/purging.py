"""The route that purges a tenant, in portions that leave the server to others."""

from __future__ import annotations

import time
from typing import get_args

import msgspec

from asyncjobs.admin.api.bulk import PORTION_S, BulkReply
from asyncjobs.admin.api.holds import queues_of, tenant_of
from asyncjobs.admin.api.route import Call, InQueue, Reason, Route
from asyncjobs.app.acting import acting, actor
from asyncjobs.app.counting import Count, count_jobs
from asyncjobs.app.verbs.sweeping import SweepPosition, purge_within
from asyncjobs.core.cursor import cursor_of, read_cursor
from asyncjobs.ports import Place

__all__ = ["ROUTES", "Purge", "count_purged", "purge"]


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tenant is purged."""

    cursor: str = ""
    """``next`` of the reply before, of the same tenant and queue."""
    dry_run: bool = False
    """Whether to count the jobs alone, and do nothing."""
    why: Reason = ""
    """The reason, for the audit; at most 500 characters."""


async def purge(call: Call[InQueue]) -> BulkReply:
    """Cancel the jobs of a tenant that wait or run, and delete its dead ones for good, in portions of two seconds."""
    tenant, asked = tenant_of(call), call.body
    if asked.dry_run:
        count = await count_purged(call)
        return BulkReply(matched=count.number, matched_all=count.is_whole, done=0, next=None)
    queues = queues_of(call)
    begin = read_cursor("cursor", asked.cursor, SweepPosition, tenant, *queues)
    done, ends_at = 0, time.monotonic() + PORTION_S
    with acting(actor().by, actor().via, note=asked.why or actor().note):
        for queue in queues:
            here, rest = await purge_within(call.app, ends_at, tenant, queue=queue, begin=begin)
            done += here
            if rest is not None:
                after = cursor_of(rest, tenant, *queues)
                return BulkReply(matched=done, matched_all=False, done=done, next=after)
    return BulkReply(matched=done, done=done, next=None)


async def count_purged(call: Call[InQueue]) -> Count:
    """Return how many jobs a purge of the tenant of the path would end, of what the caller may see."""
    tenant = tenant_of(call)
    counts = [await count_jobs(call.app, get_args(Place), queue=queue, tenant=tenant) for queue in queues_of(call)]
    return Count(sum(one.number for one in counts), all(one.is_whole for one in counts))


ROUTES = [Route("POST", "/tenants/{id:path}/purge", "delete", purge, BulkReply, InQueue, body=Purge)]
