"""Event streams on Redis: one stream a job, in the slot of its queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis.arguments import lease_member
from asyncjobs.brokers.redis.replies import read_events, read_flags
from asyncjobs.brokers.redis.scripts import Value, load
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
        rows: list[Value] = []
        events: list[Value] = []
        for one in emissions:
            rows += _EMIT.rows["emission"](
                member=lease_member(one.lease),
                number=one.number,
                skipped=one.skipped,
                count=len(one.events),
            )
            events += one.events
        return read_flags(await self._on_queue(_EMIT, queue, rows, events, max_events=most, keep_ms=ttl_ms))

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        async with self._endings.watching(self._keys.queue(queue).ended_channel, job_id) as news:
            while True:
                news.clear()
                page = read_events(await self._on_queue(_READ, queue, id=job_id, after=after, limit=limit))
                if page is None:
                    return None
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
