"""Event streams on Redis: one stream a job, in the slot of its queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.ports import Emission, EventPage

__all__ = ["RedisEvents"]

_EVENTS_A_CALL = 1_000

# Events are looked for again this often, whatever the channel says.
_LOOK_AGAIN_S = 60.0

_EMIT = load("emit")
_READ = load("read_events")


class RedisEvents(Session):
    """A ``ports.EventStore``."""

    async def emit(self, emissions: Sequence[Emission], most: int, ttl_ms: int) -> list[bool]:
        replies: list[bool] = []
        for emission in emissions:
            lease, skipped, done = emission.lease, emission.skipped, False
            member = f"{lease.fence}:{lease.priority}:{lease.id}"
            for start in range(0, len(emission.events), _EVENTS_A_CALL):
                events = emission.events[start : start + _EVENTS_A_CALL]
                reply = await self._on_queue(
                    _EMIT, lease.queue, most, ttl_ms, lease.id, member, skipped, len(events), *events
                )
                skipped, done = 0, reply == b"1"
            replies.append(done)
        return replies

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        async with self._endings.watching(self._keys.queue(queue).ended_channel, job_id) as news:
            while True:
                news.clear()
                reply = await self._on_queue(_READ, queue, job_id, after, limit)
                if reply is None:
                    return None
                is_over, fields = reply
                each = iter(fields)
                page = EventPage(list(zip(each, each, strict=True)), is_over == 1)
                left = _LOOK_AGAIN_S if deadline is None else min(_LOOK_AGAIN_S, deadline - time.monotonic())
                if page.events or page.is_over or left <= 0:
                    return page
                try:
                    async with asyncio.timeout(left):
                        await news.wait()
                except TimeoutError:
                    continue
