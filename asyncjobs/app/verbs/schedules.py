"""Schedules as users steer them at run time: add, list, pause, resume, remove, fire at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.duration import Duration, to_ms, utc_time
from asyncjobs.core.options import checked_id
from asyncjobs.core.schedule import Missed, Timing, next_tick, upcoming
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownSchedule
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of, schedule_of, template_of
from asyncjobs.ports import StoredSchedule

__all__ = ["ScheduleInfo", "ScheduleVerbs"]


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands."""

    id: str
    """Its id."""
    name: str
    """The job name."""
    queue: str
    """The queue of its jobs."""
    cron: str | None
    """Its cron expression, ``None`` for an interval."""
    every: float | None
    """Its interval in seconds, ``None`` for a cron expression."""
    timezone: str
    """The IANA name of its time zone."""
    missed: Missed
    """What becomes of ticks when no worker was there: ``once``, ``skip`` or ``all``."""
    bound: int
    """How many missed ticks fire at most, with ``all``."""
    paused: bool
    """Whether it is paused."""
    from_code: bool
    """Whether it belongs to a ``@job(cron=…)`` or ``@job(every=…)``."""
    next_at: datetime | None
    """Its next tick, in UTC; ``None`` while it is paused."""
    last_at: datetime | None
    """The latest tick that has fired, in UTC; ``None`` before the first."""
    arguments: list[Any]
    """The arguments of each of its jobs, in the order of the handler's parameters."""
    tenant: str | None
    """The tenant of its jobs, if they have one."""

    def upcoming(self, count: int = 5, after: datetime | None = None) -> list[datetime]:
        """Return the next ticks, in the schedule's time zone.

        Args:
            count: How many.
            after: The first of them comes after this time (aware); by default after now.
        """
        timing = Timing(
            cron=self.cron or "", every_ms=round((self.every or 0) * 1000), timezone=self.timezone, missed=self.missed
        )
        return upcoming(timing, round((after or datetime.now(UTC)).timestamp() * 1000), count)


class ScheduleVerbs(Verbs):
    """The verbs for schedules. ``queue`` finds a schedule without looking into all queues."""

    @on_app_loop
    async def add_schedule(
        self,
        schedule_id: str,
        request: JobRequest[Any],
        *,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        missed: Missed = "once",
        bound: int = 100,
    ) -> ScheduleInfo:
        """Add a schedule, or replace the one of the same id and queue; each of its ticks enqueues a job.

        Each tick fires once, however many workers there are.

        Args:
            schedule_id: Its id, 1 to 200 characters without white space.
            request: The job of each tick, made by ``job.request(…)``.
            cron: A cron expression: five fields, or six with seconds first; or
            every: an interval in seconds or as a ``timedelta``, counted from 1970.
            timezone: The IANA name of the time zone in which ``cron`` is read.
            missed: What becomes of ticks when no worker was there: ``once`` (the latest fires), ``skip`` (none older
                than a minute fires), ``all`` (the latest ``bound`` of them fire).
            bound: How many missed ticks fire at most, with ``all``; 1 to 1,000.

        Returns:
            The schedule as it stands.

        Raises:
            ArgumentsError: A value is wrong.
            ConfigurationError: ``cron`` is used without the package cronsim.

        Example:
            ``await app.add_schedule("digest:42", digest.request(42), cron="0 8 * * *", timezone="Europe/Berlin")``
        """
        every_ms = None if every is None else to_ms("every", every, least_ms=1_000)
        timing = Timing.of(cron=cron, every_ms=every_ms, timezone=timezone, missed=missed, bound=bound)
        checked_id("schedule_id", schedule_id)
        # Middleware sees the job of each tick, in the worker that fires it, and not this template.
        prepared = self._sender.prepare(request, sent_at_ms=0)
        schedule = schedule_of(schedule_id, timing, prepared)
        now_ms = (await self._broker.schedules(prepared.queue)).now_ms
        tick = next_tick(timing, now_ms)
        await self._broker.put_schedule(prepared.queue, schedule_id, encode_schedule(schedule), tick)
        return await self.find_schedule(schedule_id, queue=prepared.queue)

    @on_app_loop
    async def schedules(self, queue: str | None = None) -> list[ScheduleInfo]:
        """Return all schedules, or those of one queue, the next to fire first."""
        found = [
            _info(one, stored)
            for one in await self._queues(queue)
            for stored in (await self._broker.schedules(one)).schedules
        ]
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda info: (info.next_at or last, info.id))

    @on_app_loop
    async def find_schedule(self, schedule_id: str, *, queue: str | None = None) -> ScheduleInfo:
        """Return a schedule; raise ``UnknownSchedule`` if there is none."""
        where, stored = await self._stored(schedule_id, queue)
        return _info(where, stored)

    async def _stored(self, schedule_id: str, queue: str | None) -> tuple[str, StoredSchedule]:
        for one in await self._queues(queue):
            for stored in (await self._broker.schedules(one)).schedules:
                if stored.id == schedule_id:
                    return one, stored
        where = "in any queue" if queue is None else f"in queue {queue!r}"
        raise UnknownSchedule(f"there is no schedule {schedule_id!r} {where}; app.schedules() lists those there are")

    @on_app_loop
    async def pause_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a schedule fire no more until it is resumed; raise ``UnknownSchedule`` if there is none."""
        where, _ = await self._stored(schedule_id, queue)
        await self._broker.move_schedule(where, schedule_id, None)

    @on_app_loop
    async def resume_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a paused schedule fire again from its next tick on; what it has missed meanwhile is left out.

        Raises ``UnknownSchedule`` if there is none.
        """
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self._broker.schedules(where)).now_ms
        tick = next_tick(decode_schedule(stored.data).timing, now_ms)
        await self._broker.move_schedule(where, schedule_id, tick)

    @on_app_loop
    async def remove_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Forget a schedule; what it has enqueued stays. Raises ``UnknownSchedule`` if there is none.

        One that belongs to the code (``@job(cron=…)``) comes back with the next worker that starts with it.
        """
        where, _ = await self._stored(schedule_id, queue)
        await self._broker.remove_schedule(where, schedule_id)

    @on_app_loop
    async def trigger_schedule(self, schedule_id: str, *, queue: str | None = None) -> JobHandle[Any]:
        """Enqueue a schedule's job now, beside its ticks; raise ``UnknownSchedule`` if there is none."""
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self._broker.schedules(where)).now_ms
        [handle] = await self._sender.send_many([request_of(decode_schedule(stored.data), where, now_ms, new_id())])
        return handle


def _info(queue: str, stored: StoredSchedule) -> ScheduleInfo:
    try:
        schedule = decode_schedule(stored.data)
        template = template_of(schedule, queue)
    except EnvelopeError as error:
        raise ArgumentsError(f"schedule {stored.id!r} of queue {queue!r} can't be read: {error}; remove it") from None
    timing = schedule.timing
    return ScheduleInfo(
        id=stored.id,
        name=schedule.name,
        queue=queue,
        cron=timing.cron or None,
        every=timing.every_ms / 1000 if timing.every_ms else None,
        timezone=timing.timezone,
        missed=timing.missed,
        bound=timing.bound,
        paused=stored.next_ms is None,
        from_code=schedule.from_code,
        next_at=utc_time(stored.next_ms),
        last_at=utc_time(stored.last_ms),
        arguments=template.arguments,
        tenant=template.tenant or None,
    )
