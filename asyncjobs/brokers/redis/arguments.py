"""Writes what scripts take as one text: a lease, a time, a label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from asyncjobs.brokers.redis.keys import BY_NAME, BY_TENANT
from asyncjobs.ports import Suspendable

__all__ = ["label_of", "labelled", "lease_member", "time_given"]

_KINDS: dict[Suspendable, str] = {"name": BY_NAME, "tenant": BY_TENANT}


class _Leased(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def fence(self) -> int: ...


def lease_member(lease: _Leased) -> str:
    """Return the member of the leased set: ``fence:priority:id``."""
    return f"{lease.fence}:{lease.priority}:{lease.id}"


def time_given(delay_ms: int | None, due_at_ms: int | None) -> str:
    """Return a time as ``include/due.lua`` reads it: that long from now, at that Unix time, or ``""`` for neither."""
    if due_at_ms is not None:
        return f"@{due_at_ms}"
    return "" if delay_ms is None else f"+{delay_ms}"


def label_of(kind: Suspendable, which: str) -> str:
    """Return the label of a job name or a tenant."""
    return _KINDS[kind] + which


def labelled(labels: Iterable[str]) -> list[tuple[Suspendable, str]]:
    """Return the kinds and names of ``labels``, sorted, without that of the queue."""
    found = [
        (kind, label.removeprefix(start))
        for label in labels
        for kind, start in _KINDS.items()
        if label.startswith(start)
    ]
    return sorted(found)
