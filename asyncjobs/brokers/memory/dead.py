"""The memory broker's verbs for dead jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from asyncjobs.brokers.memory import store
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.ports import DeadGroup, GroupState

__all__ = ["MemoryDead"]


class MemoryDead:
    """Those verbs of a ``ports.JobStore`` that are for dead jobs, and for deleted ones."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]

    async def count_dead(
        self, queue: str, *, tenant: str = "", group: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> int:
        with self._lock:
            dead = self._queue(queue).dead
            if tenant:
                deaths = [entry.at_ms for entry in dead.after("") if entry.tenant == tenant]
            elif group:
                deaths = dead.groups.deaths(group)
            else:
                return dead.count_between(since_ms, until_ms)
            return sum(since_ms <= at_ms and (not until_ms or at_ms < until_ms) for at_ms in deaths)

    async def dead_groups(self, queue: str) -> list[DeadGroup]:
        with self._lock:
            dead = self._queue(queue).dead
            return dead.groups.list(queue, len(dead), self._now_ms())

    async def mark_group(self, queue: str, group: str, state: GroupState, note: str) -> bool:
        with self._lock:
            return self._queue(queue).dead.groups.mark(group, state, note)

    async def retry(self, queue: str, job_ids: Sequence[str], *, delay_ms: int = 0, spread_ms: int = 0) -> list[bool]:
        with self._lock:
            return store.retry(self._queue(queue), job_ids, delay_ms, spread_ms, self._now_ms())

    async def delete(self, queue: str, job_ids: Sequence[str], *, keep_ms: int = 0, deletion: int = 0) -> list[bool]:
        with self._lock:
            now_ms, state = self._now_ms(), self._queue(queue)
            return [store.delete(state, job_id, keep_ms, deletion, now_ms) for job_id in job_ids]

    async def forget_deleted(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._lock:
            now_ms, deleted = self._now_ms(), self._queue(queue).deleted
            return [deleted.take(job_id, now_ms) is not None for job_id in job_ids]

    async def undelete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._lock:
            now_ms = self._now_ms()
            return [store.undelete(self._queue(queue), job_id, now_ms) for job_id in job_ids]
