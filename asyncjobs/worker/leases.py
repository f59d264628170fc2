"""The leases that a worker holds: the claimer takes them, the heartbeat extends them, the settler lets them go."""

from __future__ import annotations

import math

from asyncjobs.ports import Lease

__all__ = ["Leases"]


class Leases:
    """A set of leases that the heartbeat's thread may read while the loop changes it."""

    def __init__(self) -> None:
        self._held: dict[Lease, float] = {}

    def hold(self, lease: Lease, until: float = math.inf) -> None:
        """Have ``lease`` extended from now on, until the monotonic time ``until`` at most."""
        self._held[lease] = until

    def let_go(self, lease: Lease) -> None:
        """Have ``lease`` extended no longer."""
        self._held.pop(lease, None)

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._held

    def held(self, now: float) -> list[Lease]:
        """Return the leases to extend at the monotonic time ``now``; from any thread: one C call copies the dict."""
        return [lease for lease, until in self._held.copy().items() if now < until]
