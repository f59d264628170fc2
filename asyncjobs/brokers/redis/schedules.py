"""Schedules on Redis: a queue's own are in its slot, so that a fire and the jobs it makes are one script."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.brokers.redis.scripts import Script, load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.ports import FireReply, Firing, ScheduleList, StoredSchedule

__all__ = ["RedisSchedules"]

_PUT = load("schedule_put")
_LIST = load("schedule_list")
_MOVE = load("schedule_move")
_FIRE = load("schedule_fire")


class RedisSchedules(Session):
    """A ``ports.ScheduleStore``."""

    async def _on_schedules(self, script: Script, queue: str, *args: str | bytes | int) -> object:
        keys = self._keys.queue(queue)
        return await self._run(script, [*keys.fixed, keys.schedules, keys.ticks], keys.base, *args)

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        await self._register(queue)
        return await self._on_schedules(_PUT, queue, schedule_id, data, next_ms) == 1

    async def schedules(self, queue: str) -> ScheduleList:
        reply = await self._on_schedules(_LIST, queue)
        assert isinstance(reply, list)
        now_ms, fields, ticks = reply
        stored = dict(zip(fields[::2], fields[1::2], strict=True))
        due = dict(zip(ticks[::2], ticks[1::2], strict=True))
        found = []
        for field in sorted(stored):
            if field.startswith(b"d:"):
                name = field[2:]
                last = stored.get(b"l:" + name)
                found.append(
                    StoredSchedule(
                        name.decode(),
                        stored[field],
                        int(due[name]) if name in due else None,
                        int(last) if last is not None else None,
                    )
                )
        return ScheduleList(now_ms, found)

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        return await self._on_schedules(_MOVE, queue, schedule_id, "" if next_ms is None else next_ms) == 1

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        return await self._on_schedules(_MOVE, queue, schedule_id, "-") == 1

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        args: list[str | bytes | int] = []
        for firing in firings:
            args += (firing.schedule_id, firing.expected_ms, firing.next_ms, firing.last_ms or "", len(firing.jobs))
            for job in firing.jobs:
                args += (job.id, job.record)
        reply = await self._on_schedules(_FIRE, queue, *args)
        assert isinstance(reply, list)
        return FireReply(reply[0], [mark == 49 for mark in reply[1]])
