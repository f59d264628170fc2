"""What workers add to the figures over time, on Redis: counts of runs, and samples."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from asyncjobs.brokers.redis.scripts import Value, load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.ports import GaugeReading, RunCounts

__all__ = ["RedisSeries"]

_BEGIN_GAUGES = load("begin_gauges")
_COUNT_RUNS = load("count_runs")
_KEEP_GAUGES = load("keep_gauges")

_encode = msgspec.msgpack.Encoder().encode
_row = _COUNT_RUNS.rows["run"]


class RedisSeries(Session):
    """Those verbs of a ``ports.Work`` that are for figures over time."""

    async def count_runs(self, counts: Mapping[str, Sequence[RunCounts]]) -> None:
        async def count(queue: str) -> None:
            rows: list[Value] = []
            for one in counts[queue]:
                rows += _row(
                    name=one.name,
                    succeeded=one.succeeded,
                    failed=one.failed,
                    retried=one.retried,
                    cancelled=one.cancelled,
                    run_us=one.run_us,
                    runs=_packed(one.runs),
                    waits=_packed(one.waits),
                )
            await self._on_queue(_COUNT_RUNS, queue, rows)

        await self._each(list(counts), count)

    async def begin_gauges(self, queues: Sequence[str]) -> list[str]:
        if not self._one_slot:
            won = await self._run_each(_BEGIN_GAUGES, [[queue] for queue in queues])
            return list(itertools.compress(queues, won))

        # In a Cluster, a queue that can't be reached must not keep the others from being looked at.
        async def begin(queue: str) -> str:
            return queue if await self._on_queue(_BEGIN_GAUGES, queue) else ""

        return [queue for queue in await self._each(queues, begin) if queue]

    async def keep_gauges(self, readings: Sequence[GaugeReading]) -> None:
        for one in readings:
            await self._on_queue(_KEEP_GAUGES, one.queue, gauges=_encode(one.gauges), arrived=one.arrived_ever)


def _packed(histogram: Mapping[int, int]) -> bytes:
    """Return a histogram as scripts take it."""
    return _encode([*itertools.chain.from_iterable(histogram.items())])
