"""What a broker promises about figures, history, and the workers that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.ports.records import MinuteFigures, QueueFigures, TenantFigures, WorkerInfo

__all__ = ["JobStats"]


class JobStats(Protocol):
    """Figures, history and presence."""

    async def queues(self) -> list[str]:
        """Return the names of all queues ever used, sorted."""
        ...

    async def overview(self, queues: Sequence[str]) -> list[QueueFigures]:
        """Return the state of each of ``queues`` in numbers, in one round trip whatever their number."""
        ...

    async def minutes(self, queue: str, count: int) -> list[MinuteFigures]:
        """Return the figures of the last ``count`` minutes, oldest first, without those in which nothing was counted.

        The minute that goes on is among the ``count``. Six hours are kept.
        """
        ...

    async def history(self, queue: str, limit: int, *, name: str = "", tenant: str = "") -> list[HistoryEntry]:
        """Return how the last jobs ended, latest first: those of a job name, or those of a tenant.

        Args:
            queue: The queue.
            limit: How many entries at most; 1,000 a name and 100 a tenant are kept.
            name: The job name; or
            tenant: the id of the tenant.
        """
        ...

    async def tenant_figures(self, queues: Sequence[str], tenant: str) -> list[TenantFigures]:
        """Return what the jobs of ``tenant`` came to in each of ``queues``, in one round trip."""
        ...

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> None:
        """Make a worker known for ``ttl_ms``, and its queues too."""
        ...

    async def withdraw(self, worker_id: str, queues: Sequence[str]) -> None:
        """Forget a worker, and wake another one for each of its ``queues`` that has ready jobs.

        A worker that stops may have taken a wake-up token that it did not use.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are present, sorted by id."""
        ...
