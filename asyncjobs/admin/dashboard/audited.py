"""Where what an entry of the audit is about is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asyncjobs.app.audit import SUBJECT_CHARS, AuditEntry
from asyncjobs.core.retention import UNGROUPED

__all__ = ["Place", "place_of"]

# Of what a verb has one, and the page of it.
_PAGES = {
    "retry_job": "jobs",
    "cancel_job": "jobs",
    "edit_job": "jobs",
    "send": "jobs",
    "add_schedule": "schedules",
    "trigger_schedule": "schedules",
    "pause_schedule": "schedules",
    "resume_schedule": "schedules",
    "suspend_name": "names",
    "resume_name": "names",
    "suspend_tenant": "tenants",
    "resume_tenant": "tenants",
    "purge_tenant": "tenants",
}
_OF_DEAD = {"name", "error", "tenant", "group", "since", "until"}
_OF_LIVE = {"state", "name", "tenant", "text", "until"}


class Place(NamedTuple):
    """A page, as ``url_of`` takes it."""

    parts: tuple[str, ...]
    """The parts of its path."""
    query: Mapping[str, str]
    """What stands behind the question mark."""


def place_of(entry: AuditEntry) -> Place | None:
    """Return the page of what an entry is about: of one thing, or of the jobs that pass its filter now.

    Where a text may have been cut, there is none.
    """
    page, given = _PAGES.get(entry.verb), entry.filter
    if any(len(text) >= SUBJECT_CHARS for text in (entry.subject, *given.values())):
        return None
    if page is not None:
        has_queue = page in ("jobs", "schedules")
        return Place((page, entry.subject), {"queue": entry.queue} if has_queue else {})
    if entry.subject:
        return None
    if entry.verb in ("retry_failed", "delete_failed") and given.keys() <= _OF_DEAD:
        group = {"group": given["group"] or UNGROUPED} if "group" in given else {}
        return Place(("dead",), {**given, **group, "queue": entry.queue})
    if entry.verb == "cancel_jobs" and given.keys() <= _OF_LIVE:
        # What is left was sent before that time, and the page of jobs has no times.
        which = {name: value for name, value in given.items() if name != "until"}
        return Place(("jobs",), {"state": "any", **which, "queue": entry.queue})
    return None
