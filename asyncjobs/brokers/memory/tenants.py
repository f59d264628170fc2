"""The memory broker's verbs for what ended: histories, and the figures of tenants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.retention import MINUTE_MS
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.ports import TenantEnd, TenantFigures

__all__ = ["MemoryTenants"]


class MemoryTenants:
    """These verbs of a ``ports.JobStats``."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]

    async def history(self, queue: str, limit: int, *, name: str = "", tenant: str = "") -> list[HistoryEntry]:
        with self._lock:
            ledger, now_ms = self._queue(queue).ledger, self._now_ms()
            return ledger.tenant_history(tenant, limit, now_ms) if tenant else ledger.history(name, limit, now_ms)

    async def tenant_figures(self, asked: Sequence[tuple[str, str]]) -> list[TenantFigures]:
        with self._lock:
            now_ms, found = self._now_ms(), [(self._queue(queue), tenant) for queue, tenant in asked]
            return [one.ledger.tenant_figures(tenant, one.dead.count(tenant), now_ms) for one, tenant in found]

    async def tenants(self, queues: Sequence[str], limit: int) -> list[list[TenantEnd]]:
        with self._lock:
            now_ms = self._now_ms()
            return [_tenants(self._queue(queue), now_ms)[: max(0, limit)] for queue in queues]


def _tenants(queue: Queue, now_ms: int) -> list[TenantEnd]:
    """Return the tenants of whom there are figures, those whose figures rose last first."""
    times = queue.ledger.tenant_ends(now_ms)
    # The dead outlast the counters.
    for entry in queue.dead.after(""):
        if entry.tenant:
            times.setdefault(entry.tenant, entry.at_ms)
    ends = [TenantEnd(tenant, at_ms // MINUTE_MS * MINUTE_MS) for tenant, at_ms in times.items()]
    return sorted(ends, key=lambda one: (one.at_ms, one.tenant), reverse=True)
