"""The leases that a worker holds, shared by those who take them, extend them and let them go."""

from __future__ import annotations

import math

from asyncjobs.ports import Lease

__all__ = ["Leases"]


class Leases:
    """A set of leases that the heartbeat's thread may read while the loop changes it."""

    def __init__(self) -> None:
        self._held: dict[Lease, float] = {}

    def hold(self, lease: Lease, until: float = math.inf) -> None:
        """Keep ``lease`` alive from now on, until the monotonic time ``until`` at most."""
        self._held[lease] = until

    def let_go(self, lease: Lease) -> None:
        """Keep ``lease`` alive no longer."""
        self._held.pop(lease, None)

    def held(self, now: float) -> list[Lease]:
        """Return every lease to extend at the monotonic time ``now``; from any thread: one C call copies the dict."""
        return [lease for lease, until in self._held.copy().items() if now < until]
