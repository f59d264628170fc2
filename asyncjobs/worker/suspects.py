"""Keeps jobs apart under which a worker has died, so that the one that killed it takes no others with it."""

from __future__ import annotations

from collections.abc import Iterable

from asyncjobs.core.record.tries import deaths_in
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.leases import Leases

__all__ = ["Suspects"]

# The share of its slots in which a worker runs suspects; one at least.
_SHARE = 4


class Suspects:
    """The *suspects* that a worker holds: jobs under which a worker has died before.

    Whatever runs beside a job that kills its worker is charged with a death too. So suspects run in a small company,
    and one that goes to the dead letter queue with its next death runs without other suspects. A job dies for another
    one only if new such jobs meet it.

    Args:
        leases: What the worker holds.
        concurrency: How many slots the worker has.
        max_deaths: With how many deaths a job goes to the dead letter queue.
    """

    def __init__(self, leases: Leases, *, concurrency: int, max_deaths: int) -> None:
        self.most = max(1, concurrency // _SHARE)
        """How many suspects the worker runs at once."""
        self.max_deaths = max_deaths
        self._leases = leases
        self._held: dict[Lease, bool] = {}

    def __bool__(self) -> bool:
        self._held = {lease: is_last for lease, is_last in self._held.items() if lease in self._leases}
        return bool(self._held)

    @property
    def room(self) -> int:
        """How many more the worker may take."""
        if not self:
            return self.most
        return 0 if True in self._held.values() else max(0, self.most - len(self._held))

    def note(self, jobs: Iterable[Claimed]) -> None:
        """Note the suspects among jobs that the worker has claimed."""
        for one in jobs:
            if one.tries and (deaths := deaths_in(one.tries)):
                self._held[Lease(one.queue, one.id, one.priority, one.fence)] = deaths + 1 >= self.max_deaths
