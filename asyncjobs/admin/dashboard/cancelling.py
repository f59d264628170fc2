"""The page that cancels all jobs of a filter that wait or run, in portions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from asyncjobs.admin.api import bulk, listing
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Reason
from asyncjobs.admin.dashboard.page import TYPED_FROM, Form, Number, Page, Redirect, is_mistyped
from asyncjobs.app.counting import Count

__all__ = ["FORMS", "PAGES"]

_EXAMPLES = 5


class CancelAll(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which jobs are to be cancelled, and how far that is."""

    state: Literal["ready", "scheduled", "running", "parked"] = "ready"
    """The state of the jobs."""
    name: str | None = None
    """Only jobs of this name."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    text: str | None = None
    """Only jobs in which this text stands."""
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Only jobs that were sent before this time; by default now, so that what is sent meanwhile is left out."""
    why: Reason = ""
    """The reason, for the audit and for who waits for a result."""
    cursor: Annotated[str, msgspec.Meta(max_length=8_000)] = ""
    """Where the next portion goes on."""
    did: Number = 0
    """How many jobs were cancelled so far."""
    count: Number = 0
    """How many jobs there were when the page asked."""
    mistyped: Literal["", "1"] = ""
    """Whether another number was typed than that of the jobs."""

    @property
    def filter(self) -> dict[str, str | None]:
        """The filter as parameters of another page."""
        return {name: getattr(self, name) for name in ("state", "queue", "name", "tenant", "text")}


class CancelAllNow(CancelAll, frozen=True, forbid_unknown_fields=True):
    """What the page that asks says, once it is answered."""

    typed: str = ""
    """The number of jobs, typed by hand."""


async def asked(call: Call[CancelAll]) -> Mapping[str, Any]:
    """Say how many jobs would be cancelled, and ask; or how far it has come."""
    query = call.query
    if query.cursor:
        # What was counted first says how far it is.
        return {"count": Count(query.count), "examples": [], "until": query.until, "typed_from": TYPED_FROM}
    listed = listing.ListedQuery(**query.filter, limit=_EXAMPLES)  # type: ignore[arg-type]
    found = await listing.listed(call.asking(listed))
    reply = await bulk.cancel(_asking(call, bulk.Cancel(filter=_which(query), dry_run=True)))
    count = Count(reply.matched, reply.matched_all)
    return {"count": count, "examples": found.jobs, "until": query.until or _now(), "typed_from": TYPED_FROM}


async def cancel(call: Call[CancelAllNow]) -> Redirect:
    """Cancel the first portion, or the next one; and go on to the page that says how far it is."""
    query = call.query
    until = query.until or _now()
    told = {**query.filter, "until": until.isoformat(), "why": query.why}
    if not query.cursor and is_mistyped(query.typed, query.count):
        return Redirect("cancel", **told, mistyped="1")
    body = bulk.Cancel(filter=_which(query), until=until, cursor=query.cursor, why=query.why)
    reply = await bulk.cancel(_asking(call, body))
    did = str(query.did + reply.done)
    if reply.next is None:
        return Redirect("jobs", **query.filter, done="cancel", n=did)
    return Redirect("cancel", **told, did=did, count=str(query.count), cursor=reply.next)


def _now() -> datetime:
    """Return the time before which a job was sent that is here now; ids are told to the millisecond."""
    return datetime.now(UTC) + timedelta(milliseconds=1)


def _asking(call: Call[Any], body: bulk.Cancel) -> Call[NoQuery]:
    return call.asking(NoQuery())._replace(body=body)


def _which(query: CancelAll) -> bulk.WhichLive:
    return bulk.WhichLive(**query.filter)  # type: ignore[arg-type]


PAGES = [Page("/cancel", "cancel.html", asked, CancelAll, needs="cancel")]

FORMS = [Form("/cancel", "cancel", cancel, CancelAllNow)]
