"""Writes what scripts take as one text: a lease, a time."""

from __future__ import annotations

from typing import Protocol

__all__ = ["lease_member", "time_given"]


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
