"""What a broker promises about schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.ports.records import FireReply, Firing, ScheduleList

__all__ = ["ScheduleStore"]


class ScheduleStore(Protocol):
    """The verbs for the schedules of a queue; each is atomic."""

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        """Add or replace a schedule.

        A schedule that is known with the same ``data`` goes on as it was, and a paused one stays paused.

        Args:
            queue: The queue.
            schedule_id: The schedule's id.
            data: The encoded ``core.schedule.Schedule``; to a broker, bytes.
            next_ms: Its first tick, in Unix milliseconds.

        Returns:
            Whether that changed anything.
        """
        ...

    async def schedules(self, queue: str) -> ScheduleList:
        """Return the schedules of ``queue``."""
        ...

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        """Pause a schedule, or let a paused one go on; a schedule that isn't paused keeps its tick.

        Args:
            queue: The queue.
            schedule_id: The schedule's id.
            next_ms: The tick at which it goes on, in Unix milliseconds; ``None`` pauses it.

        Returns:
            Whether there is such a schedule.
        """
        ...

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        """Delete a schedule; the jobs that it has enqueued stay.

        Args:
            queue: The queue.
            schedule_id: The schedule's id.

        Returns:
            Whether there was such a schedule.
        """
        ...

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        """Enqueue the jobs of ticks that are due, each tick once, however many workers try.

        Args:
            queue: The queue.
            firings: The ticks and their jobs, by schedule.

        Returns:
            Which of the firings took effect, and the broker's clock.
        """
        ...
