"""What a broker promises about figures, history, and the workers that are present."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.ports.figures import QueueFigures, TenantEnd, TenantFigures, WorkerInfo
from asyncjobs.ports.series import Runs, Series, Step

__all__ = ["JobStats"]


class JobStats(Protocol):
    """The verbs for statistics: figures, history, and the workers that are present."""

    async def queues(self) -> list[str]:
        """Return the names of the queues, sorted.

        A queue that holds nothing (no job that has not ended, no schedule, no hold) is forgotten, with its counters,
        30 to 60 days after it was last sent to. If it was only served by workers, that is one to two hours after the
        last of them was there.
        """
        ...

    async def overview(self, queues: Sequence[str]) -> list[QueueFigures]:
        """Return the state of each of ``queues`` in numbers, in one round trip."""
        ...

    async def series(self, queue: str, step: Step, count: int, skip: int = 0) -> Series:
        """Return the figures of the last minutes or hours, the current one included, oldest first.

        Periods of which nothing is known are left out. Minutes are kept for six hours, and hours for 90 days. An hour
        holds those of its minutes that were over when a worker last took a sample.

        Args:
            queue: The queue.
            step: How long each period is.
            count: How many periods to look back.
            skip: How many of the latest periods to leave out; these are not among the ``count``.
        """
        ...

    async def runs(self, queue: str, count: int, skip: int = 0, name: str | None = None) -> Runs:
        """Return what attempts came to in each of the last hours, the current one included, by job name.

        Hours are kept for 14 days. In each of them at most 200 names are told apart; the others count as one.

        Args:
            queue: The queue.
            count: How many hours to look back.
            skip: How many of the latest hours to leave out; these are not among the ``count``.
            name: The only job name to tell of, ``None`` for all.
        """
        ...

    async def history(self, queue: str, limit: int, *, name: str = "", tenant: str = "") -> list[HistoryEntry]:
        """Return how the last jobs of a name, or of a tenant, ended, latest first.

        Args:
            queue: The queue.
            limit: How many entries at most. The last 1,000 of each name and the last 100 of each tenant are kept.
            name: The job name.
            tenant: The id of the tenant, in place of a name.
        """
        ...

    async def tenant_figures(self, asked: Sequence[tuple[str, str]]) -> list[TenantFigures]:
        """Return what the jobs of tenants came to, each in one queue, in one round trip.

        Args:
            asked: Queues, each with the id of a tenant.
        """
        ...

    async def tenants(self, queues: Sequence[str], limit: int, after: TenantEnd | None = None) -> list[list[TenantEnd]]:
        """Return the tenants of whom there are figures, for each queue, in one round trip.

        Those whose figures rose last come first, and of one minute the highest id. A tenant is left out once its
        counters have begun anew and no job of it is dead, at the latest after the next prune.

        Args:
            queues: The queues.
            limit: How many tenants at most of each queue.
            after: Only tenants that come behind this one, which need not be listed itself.
        """
        ...

    async def tenant_ends(self, queues: Sequence[str], tenants: Sequence[str]) -> list[dict[str, int]]:
        """Return, for each queue, which of some tenants have figures there, in one round trip.

        Args:
            queues: The queues.
            tenants: The ids of the tenants.

        Returns:
            By tenant, the minute in which its figures last rose: when it began, in Unix milliseconds.
        """
        ...

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> bool:
        """Make a worker known for a time, and its queues too.

        Args:
            worker: The worker.
            ttl_ms: For how long it counts as present, in milliseconds.

        Returns:
            Whether it was present already. It was not if it was silent for too long, or the broker has lost its data.
        """
        ...

    async def withdraw(self, worker_id: str, queues: Sequence[str]) -> None:
        """Forget a worker, and wake another one for each of its queues that has ready jobs.

        The worker may have taken a wake-up token that it did not use.

        Args:
            worker_id: The worker's id.
            queues: The queues that it served.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are present, sorted by id."""
        ...
