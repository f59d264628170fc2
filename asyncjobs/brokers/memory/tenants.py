"""The memory broker's verbs for what ended: histories, and the figures of tenants."""

from __future__ import annotations

import itertools
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

    async def tenants(self, queues: Sequence[str], limit: int, after: TenantEnd | None = None) -> list[list[TenantEnd]]:
        with self._lock:
            now_ms = self._now_ms()
            return [_tenants(self._queue(queue), after, now_ms)[: max(0, limit)] for queue in queues]

    async def tenant_ends(self, queues: Sequence[str], tenants: Sequence[str]) -> list[dict[str, int]]:
        with self._lock:
            now_ms = self._now_ms()
            each = [_ends(self._queue(queue), now_ms) for queue in queues]
            return [{one: ends[one] for one in tenants if one in ends} for ends in each]


def _tenants(queue: Queue, after: TenantEnd | None, now_ms: int) -> list[TenantEnd]:
    """Return the tenants of whom there are figures, those whose figures rose last first, behind ``after``."""
    ends = itertools.starmap(TenantEnd, _ends(queue, now_ms).items())
    behind = (one for one in ends if after is None or _order(one) < _order(after))
    return sorted(behind, key=_order, reverse=True)


def _order(end: TenantEnd) -> tuple[int, str]:
    return end.at_ms, end.tenant


def _ends(queue: Queue, now_ms: int) -> dict[str, int]:
    """Return the tenants of whom there are figures, each with the minute in which they last rose."""
    times = queue.ledger.tenant_ends(now_ms)
    # The dead outlast the counters.
    for entry in queue.dead.after(""):
        if entry.tenant:
            times.setdefault(entry.tenant, entry.at_ms)
    return {tenant: at_ms // MINUTE_MS * MINUTE_MS for tenant, at_ms in times.items()}
