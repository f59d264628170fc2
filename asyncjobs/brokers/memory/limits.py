"""How many jobs of a queue may run, at once and in a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from asyncjobs.brokers.memory.limit import Limit
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.retention import QUEUE_KEEP_MS

__all__ = ["MemoryLimits"]


class MemoryLimits:
    """A ``ports.Limits`` under the broker's lock."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]
    _list: Callable[[Iterable[str], int], None]

    async def declare_limit(self, queue: str, limit: QueueLimit) -> QueueLimit:
        with self._lock:
            state = self._queue(queue)
            if state.limit is None and not limit:
                return limit
            kept = state.limit = state.limit or Limit()
            before, kept.declared = kept.declared, limit
            state.ring()
            return before

    async def set_limit(self, queue: str, limit: QueueLimit | None, by: str) -> bool:
        with self._lock:
            self._list([queue], self._now_ms() + QUEUE_KEEP_MS)
            state = self._queue(queue)
            kept = state.limit = state.limit or Limit()
            if kept.set_by_hand == limit:
                return False
            kept.set_by_hand, kept.set_by = limit, by if limit is not None else ""
            state.ring()
            return True
