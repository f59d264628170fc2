"""Event streams on Redis: one stream a job, in the slot of its queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from asyncjobs.brokers.grouping import by_queue, in_order
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
        replies: dict[str, list[bool]] = {}
        for queue, group in by_queue(emissions).items():
            replies[queue] = []
            for part in _parts(group):
                replies[queue] += await self._emit(queue, part, most, ttl_ms)
        return in_order(emissions, replies)

    async def _emit(self, queue: str, emissions: Sequence[Emission], most: int, ttl_ms: int) -> list[bool]:
        args: list[str | bytes | int] = []
        for one in emissions:
            lease = one.lease
            member = f"{lease.fence}:{lease.priority}:{lease.id}"
            args += (lease.id, member, f"{lease.fence}:{one.number}", one.skipped, len(one.events), *one.events)
        return [mark == 49 for mark in await self._on_queue(_EMIT, queue, most, ttl_ms, *args)]

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


def _parts(emissions: Sequence[Emission]) -> Iterator[Sequence[Emission]]:
    """Cut ``emissions`` so that no call carries many more than ``_EVENTS_A_CALL`` events."""
    start = count = 0
    for end, emission in enumerate(emissions, 1):
        count += len(emission.events)
        if count >= _EVENTS_A_CALL or end == len(emissions):
            yield emissions[start:end]
            start, count = end, 0
