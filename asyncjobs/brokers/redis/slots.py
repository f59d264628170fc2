"""Which member of a Cluster serves which slot."""

from __future__ import annotations

from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

__all__ = ["Address", "Slots", "slot_of"]

#: Host and port.
Address = tuple[str, int]


def slot_of(key: str) -> int:
    """Return the slot of ``key``."""
    return key_slot(key.encode())


class Slots:
    """The primary of each slot, as a member has told, and all members.

    Args:
        reply: The reply to ``CLUSTER SLOTS``.
        asked: The member that sent it. A member that doesn't know its own host leaves it out.
    """

    def __init__(self, reply: Any = (), asked: Address = ("", 0)) -> None:
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self.members: set[Address] = set()
        """All members that serve slots or replicate them."""
        for first, last, *nodes in reply:
            addresses = [_address(host, port, asked) for host, port, *_ in nodes]
            self.members.update(addresses)
            self._owners[first : last + 1] = [addresses[0]] * (last + 1 - first)

    def owner(self, slot: int) -> Address | None:
        """Return the primary of ``slot``; ``None`` if there is none."""
        return self._owners[slot]

    def primaries(self) -> list[Address]:
        """Return the primaries."""
        return sorted({address for address in self._owners if address is not None})

    def moved(self, slot: int, host: str, port: int, told_by: Address) -> Address:
        """Note and return the new primary of ``slot``."""
        owner = self._owners[slot] = _address(host.encode(), port, told_by)
        self.members.add(owner)
        return owner


def _address(host: bytes | None, port: int, told_by: Address) -> Address:
    return (told_by[0] if host in (None, b"", b"?") else host.decode(), port)
