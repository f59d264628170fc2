"""The leases that a worker holds, shared by those who take them, extend them and let them go."""

from __future__ import annotations

from asyncjobs.ports import Lease

__all__ = ["Leases"]


class Leases:
    """A set of leases that the heartbeat's thread may read while the loop changes it."""

    def __init__(self) -> None:
        self._held: dict[Lease, None] = {}

    def hold(self, lease: Lease) -> None:
        """Keep ``lease`` alive from now on."""
        self._held[lease] = None

    def let_go(self, lease: Lease) -> None:
        """Keep ``lease`` alive no longer."""
        self._held.pop(lease, None)

    def held(self) -> list[Lease]:
        """Return every lease that is held; from any thread, because one C call copies the keys."""
        return list(self._held)
