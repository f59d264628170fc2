"""What ``app.audit()`` returns, and how a verb notes what it did."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from asyncjobs.app.acting import NOTE_CHARS, actor, is_acting
from asyncjobs.core.duration import utc_time
from asyncjobs.core.text import storable
from asyncjobs.errors import BrokerError
from asyncjobs.ports import AuditRecord, Operations

__all__ = ["SUBJECT_CHARS", "AuditEntry", "audit_entry", "note", "said"]

_log = logging.getLogger("asyncjobs.audit")

#: How much of a subject, and of each part of a filter, is kept.
SUBJECT_CHARS = 300

# The reason of a cancellation for which none is given.
_DEFAULT_REASON = "cancelled by request"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, when, by whom and from where."""

    id: str
    """The place of the entry, for ``app.audit(before=…)``."""
    at: datetime
    """When, in UTC by the broker's clock."""
    by: str
    """Who: a user, or the process as host and id; see ``acting``."""
    via: str
    """From where: ``cli``, ``api``, ``dashboard``, ``python``, or what the program has said."""
    verb: str
    """What: the verb of ``App``, such as ``retry_failed``."""
    queue: str
    """In which queue; empty if it was in several."""
    subject: str
    """To what: the id of a job or a schedule, a job name, a tenant or a queue; of several jobs their ids, where they
    are many the first ones and ``…``; empty for the jobs of a filter."""
    filter: dict[str, str]
    """Which jobs, if it was the jobs of a filter."""
    count: int
    """To how many jobs, or to one thing."""
    note: str
    """Why, in the words of who did it; empty if nothing was said."""


def audit_entry(record: AuditRecord) -> AuditEntry:
    """Return an entry as the broker keeps it."""
    fields = msgspec.structs.asdict(record)
    at_ms = fields.pop("at_ms")
    return AuditEntry(**fields, at=utc_time(at_ms))


async def note(
    broker: Operations,
    verb: str,
    subject: str | Sequence[str] = "",
    *,
    queue: str | Collection[str] | None = None,
    which: Mapping[str, Any] | None = None,
    count: int = 1,
    why: str = "",
    of_one: bool = False,
) -> None:
    """Note what a verb did, once it has; if that fails, log it, since it is done.

    Args:
        broker: Where to note it.
        verb: The verb of the app.
        subject: To what it was done; of several jobs, their ids.
        queue: In which queue, or queues; ``None`` for all.
        which: The filter of the jobs to which it was done.
        count: To how many. If it is none, nothing is noted.
        why: Why; by default as ``acting`` says.
        of_one: Whether it was done to a single job or schedule. Programs do that as their own work, on ways that are
            often taken, so it is noted inside ``acting`` alone.
    """
    if not count or (of_one and not is_acting()):
        return
    by = actor()
    told = {name: str(value) for name, value in (which or {}).items() if value is not None}
    if queue is not None and not isinstance(queue, str):
        told["queue"] = ", ".join(queue)
    record = AuditRecord(
        by=by.by,
        via=by.via,
        verb=verb,
        queue=str(queue) if isinstance(queue, str) else "",
        subject=storable(subject if isinstance(subject, str) else _listed(subject))[:SUBJECT_CHARS],
        filter={name: storable(value)[:SUBJECT_CHARS] for name, value in told.items()},
        count=int(count),
        note=(why or by.note)[:NOTE_CHARS],
    )
    try:
        await broker.audit(record)
    except BrokerError as error:
        _log.warning("%s by %s was done and could not be noted: %s", verb, by.by, error)


def said(reason: str) -> str:
    """Return the reason of a cancellation, empty where it tells no more than an entry does without it."""
    return "" if reason in (_DEFAULT_REASON, f"cancelled by {actor().by}") else reason


def _listed(ids: Sequence[str]) -> str:
    """Return ids as one text; where they are too many for an entry, the first ones."""
    text, more = ", ".join(ids), ", …"
    if len(text) <= SUBJECT_CHARS:
        return text
    told = ""
    for one in ids:
        longer = f"{told}, {one}" if told else one
        if len(longer) + len(more) > SUBJECT_CHARS:
            break
        told = longer
    return told + more if told else text
