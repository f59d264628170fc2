"""What a broker promises about schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.ports.records import FireReply, Firing, ScheduleList

__all__ = ["ScheduleStore"]


class ScheduleStore(Protocol):
    """Schedules of a queue; each verb is atomic."""

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        """Add or replace a schedule, its first tick at ``next_ms``; return whether anything has changed.

        One that is known with the same ``data`` goes on as it was; one that is paused stays paused.
        """
        ...

    async def schedules(self, queue: str) -> ScheduleList:
        """Return the schedules of ``queue``."""
        ...

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        """Pause a schedule (``None``), or let a paused one go on at ``next_ms``; return whether there is one."""
        ...

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        """Forget a schedule; return whether there was one. What it has enqueued stays."""
        ...

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        """Enqueue the jobs of ticks that are due, each tick once however many workers ask."""
        ...
