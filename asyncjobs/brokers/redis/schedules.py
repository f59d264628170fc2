"""Schedules on Redis: a queue's own are in its slot, so that a fire and the jobs it makes are one script."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.brokers.redis.arguments import mode_of
from asyncjobs.brokers.redis.records import new_record
from asyncjobs.brokers.redis.replies import read_flags
from asyncjobs.brokers.redis.scripts import Value, load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.core.portions import portions
from asyncjobs.ports import FireReply, Firing, ScheduleList, StoredSchedule

__all__ = ["RedisSchedules"]

# The latest tick that is read: some day in the year 5138.
_LATEST_MS = 10**14

# How many schedules one script fires. Each may make many small jobs, so a job counts for more bytes than it has.
_FIRED_A_CALL = 250
_JOB_BYTES = 2_048

_PUT = load("schedule_put")
_LIST = load("schedule_list")
_MOVE = load("schedule_move")
_REMOVE = load("schedule_remove")
_FIRE = load("schedule_fire")


class RedisSchedules(Session):
    """A ``ports.ScheduleStore``."""

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        await self._register(queue)
        return bool(await self._on_queue(_PUT, queue, id=schedule_id, data=data, next_tick=next_ms))

    async def schedules(self, queue: str) -> ScheduleList:
        now_ms, fields, ticks = _LIST.reply(*await self._on_queue(_LIST, queue))
        stored = dict(zip(fields[::2], fields[1::2], strict=True))
        due = dict(zip(ticks[::2], ticks[1::2], strict=True))
        found = []
        for field in sorted(stored):
            if field.startswith(b"d:"):
                name = field[2:]
                skipped = stored.get(b"k:" + name)
                last, job = stored.get(b"l:" + name), stored.get(b"j:" + name, b"")
                found.append(
                    StoredSchedule(
                        name.decode(),
                        stored[field],
                        _tick(due[name]) if name in due else None,
                        _tick(last) if last is not None else None,
                        job.decode(),
                        int(stored.get(b"s:" + name, b"0")),
                        _tick(skipped) if skipped is not None else None,
                    )
                )
        return ScheduleList(now_ms, found)

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        next_tick = "" if next_ms is None else next_ms
        return bool(await self._on_queue(_MOVE, queue, id=schedule_id, next_tick=next_tick))

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        return bool(await self._on_queue(_REMOVE, queue, id=schedule_id))

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        now_ms, fired, skipped = 0, [], []
        for part in portions(firings, _size_of, most=_FIRED_A_CALL, portion=self._portion):
            reply = await self._fire(queue, part)
            now_ms = reply.now_ms
            fired += reply.fired
            skipped += reply.skipped
        return FireReply(now_ms, fired, skipped)

    async def _fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        ticks: list[Value] = []
        await self._begin_lines(job for firing in firings for job in firing.jobs)
        jobs: list[Value] = []
        for firing in firings:
            ticks += _FIRE.rows["firing"](
                id=firing.schedule_id,
                expected=firing.expected_ms or 0,
                next_tick=firing.next_ms or 0,
                last="" if firing.last_ms is None else firing.last_ms,
                count=len(firing.jobs),
                overlaps=firing.overlaps,
            )
            for job in firing.jobs:
                within_ms = 0 if job.unique is None else job.unique.within_ms
                jobs += _FIRE.rows["job"](id=job.id, record=new_record(job), mode=mode_of(job.unique), within=within_ms)
        reply = _FIRE.reply(*await self._on_queue(_FIRE, queue, ticks, jobs))
        return FireReply(reply.now_ms, read_flags(reply.fired), read_flags(reply.skipped))


def _size_of(firing: Firing) -> int:
    return sum(len(job.body) + _JOB_BYTES for job in firing.jobs)


def _tick(stored: bytes) -> int:
    """Return a stored tick; Redis writes one that an earlier version has put far off as ``1e+18``, or ``inf``."""
    return int(max(0.0, min(float(stored), _LATEST_MS)))
