"""Keeps jobs apart under which a worker has died, so that the one that killed it takes no others with it."""

from __future__ import annotations

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
        self.held: dict[Lease, bool] = {}
        """The suspects that the worker holds, or has held until lately; whether each goes with its next death."""
        self._leases = leases

    def room(self) -> int:
        """Return how many more the worker may take; forgets those that it no longer holds."""
        for lease in [lease for lease in self.held if lease not in self._leases]:
            del self.held[lease]
        return 0 if True in self.held.values() else max(0, self.most - len(self.held))

    def note(self, claimed: Claimed) -> None:
        """Note a job that the worker has claimed, if it is a suspect."""
        if deaths := deaths_in(claimed.tries):
            lease = Lease(claimed.queue, claimed.id, claimed.priority, claimed.fence)
            self.held[lease] = deaths + 1 >= self.max_deaths
