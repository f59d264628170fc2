"""The memory broker's verbs for figures over time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.ports import GaugeReading, RunCounts, Runs, Series, Step

__all__ = ["MemorySeries"]


class MemorySeries:
    """Those verbs of a ``ports.Work`` and of a ``ports.JobStats`` that are for figures over time."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]

    async def count_runs(self, counts: Mapping[str, Sequence[RunCounts]]) -> None:
        with self._lock:
            for queue, runs in counts.items():
                self._queue(queue).ledger.count_runs(runs, self._now_ms())

    async def begin_gauges(self, queues: Sequence[str]) -> list[str]:
        with self._lock:
            now_ms = self._now_ms()
            return [queue for queue in queues if self._queue(queue).ledger.begin_gauges(now_ms)]

    async def keep_gauges(self, readings: Sequence[GaugeReading]) -> None:
        with self._lock:
            for one in readings:
                self._queue(one.queue).ledger.keep_gauges(one, self._now_ms())

    async def series(self, queue: str, step: Step, count: int, skip: int = 0) -> Series:
        with self._lock:
            return self._queue(queue).ledger.series(step, count, skip, self._now_ms())

    async def runs(self, queue: str, count: int, skip: int = 0, name: str | None = None) -> Runs:
        with self._lock:
            now_ms = self._now_ms()
            return Runs(now_ms, self._queue(queue).ledger.runs(count, skip, name, now_ms))
