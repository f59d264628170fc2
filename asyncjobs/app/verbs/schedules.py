"""Schedules as users steer them at run time: add, list, pause, resume, remove, fire at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from asyncjobs.app.sender import at_home
from asyncjobs.app.verbs.tenants import TenantVerbs
from asyncjobs.core.duration import Duration, to_ms, utc_time
from asyncjobs.core.options import checked_id
from asyncjobs.core.schedule import Missed, Schedule, Timing, next_tick, upcoming
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownSchedule
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of, template_of
from asyncjobs.ports import StoredSchedule

__all__ = ["ScheduleInfo", "ScheduleVerbs"]


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands.

    ``next_at`` is ``None`` while it is paused, ``last_at`` before its first fire. ``every``: seconds, for an interval.
    ``arguments``: those of each job, in the order of the handler's parameters.
    """

    id: str
    name: str
    queue: str
    cron: str | None
    every: float | None
    timezone: str
    missed: Missed
    bound: int
    paused: bool
    from_code: bool
    next_at: datetime | None
    last_at: datetime | None
    arguments: list[Any]
    tenant: str | None

    def upcoming(self, count: int = 5, after: datetime | None = None) -> list[datetime]:
        """Return the next ``count`` times, after now or ``after`` (aware), in the schedule's time zone."""
        timing = Timing(
            cron=self.cron or "", every_ms=round((self.every or 0) * 1000), timezone=self.timezone, missed=self.missed
        )
        return upcoming(timing, round((after or datetime.now(UTC)).timestamp() * 1000), count)


class ScheduleVerbs(TenantVerbs):
    """The verbs of an app for schedules. Each takes ``queue``, to find a schedule without looking into all queues."""

    @at_home
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
        """Enqueue the job of ``request`` (``job.request(…)``) by ``cron``, or ``every`` (seconds, ``timedelta``).

        ``timezone``: an IANA name. ``missed``: what becomes of ticks when no worker was there: ``once`` (the latest
        fires), ``skip`` (none older than a minute), ``all`` (the latest ``bound`` of them). Each tick fires once,
        however many workers there are; intervals are counted from 1970. A schedule of the same id and queue is
        replaced. Raises ``ArgumentsError`` for what is wrong, ``ConfigurationError`` without cronsim.
        """
        every_ms = None if every is None else to_ms("every", every, least_ms=1_000)
        timing = Timing.of(cron=cron, every_ms=every_ms, timezone=timezone, missed=missed, bound=bound)
        checked_id("schedule_id", schedule_id)
        # Middleware sees the job of each tick, in the worker that fires it, and not this template.
        prepared = self.prepare(request, sent_at_ms=0)
        schedule = Schedule(id=schedule_id, name=request.name, timing=timing, record=prepared.record)
        now_ms = (await self.broker.schedules(prepared.queue)).now_ms
        tick = next_tick(timing, now_ms)
        await self.broker.put_schedule(prepared.queue, schedule_id, encode_schedule(schedule), tick)
        return await self.find_schedule(schedule_id, queue=prepared.queue)

    @at_home
    async def schedules(self, queue: str | None = None) -> list[ScheduleInfo]:
        """Return all schedules, or those of one queue, the next to fire first."""
        found = [
            _info(one, stored)
            for one in await self._queues(queue)
            for stored in (await self.broker.schedules(one)).schedules
        ]
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda info: (info.next_at or last, info.id))

    @at_home
    async def find_schedule(self, schedule_id: str, *, queue: str | None = None) -> ScheduleInfo:
        """Return a schedule; raise ``UnknownSchedule`` if there is none."""
        where, stored = await self._stored(schedule_id, queue)
        return _info(where, stored)

    async def _stored(self, schedule_id: str, queue: str | None) -> tuple[str, StoredSchedule]:
        for one in await self._queues(queue):
            for stored in (await self.broker.schedules(one)).schedules:
                if stored.id == schedule_id:
                    return one, stored
        where = "in any queue" if queue is None else f"in queue {queue!r}"
        raise UnknownSchedule(f"there is no schedule {schedule_id!r} {where}; app.schedules() lists those there are")

    @at_home
    async def pause_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a schedule fire no more until it is resumed; raise ``UnknownSchedule`` if there is none."""
        where, _ = await self._stored(schedule_id, queue)
        await self.broker.move_schedule(where, schedule_id, None)

    @at_home
    async def resume_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a paused schedule fire again from its next tick on; what it has missed meanwhile is left out.

        Raises ``UnknownSchedule`` if there is none.
        """
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self.broker.schedules(where)).now_ms
        tick = next_tick(decode_schedule(stored.data).timing, now_ms)
        await self.broker.move_schedule(where, schedule_id, tick)

    @at_home
    async def remove_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Forget a schedule; what it has enqueued stays. Raises ``UnknownSchedule`` if there is none.

        One that belongs to the code (``@job(cron=…)``) comes back with the next worker that starts with it.
        """
        where, _ = await self._stored(schedule_id, queue)
        await self.broker.remove_schedule(where, schedule_id)

    @at_home
    async def trigger_schedule(self, schedule_id: str, *, queue: str | None = None) -> JobHandle[Any]:
        """Enqueue a schedule's job now, beside its ticks; raise ``UnknownSchedule`` if there is none."""
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self.broker.schedules(where)).now_ms
        [handle] = await self.enqueue_many([request_of(decode_schedule(stored.data), where, now_ms, new_id())])
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
