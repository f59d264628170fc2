"""The jobs of one queue that can't be claimed for now, and what is suspended: ``lua/suspended.lua``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from asyncjobs.brokers.memory.records import name_of, tenant_label
from asyncjobs.brokers.memory.waiting import WaitingList

__all__ = ["Parking"]

_UNPARKED_A_CALL = 1_000


class Parking:
    """Lists by label: a job name, or a tenant behind a space. ``suspended``: ``n<name>`` and ``t<tenant>``."""

    __slots__ = ("_lists", "_since_ms", "suspended")

    def __init__(self) -> None:
        self.suspended: set[bytes] = set()
        self._lists: dict[bytes, WaitingList] = {}
        # When each list began, or what it waits for was last resumed.
        self._since_ms: dict[bytes, int] = {}

    @property
    def count(self) -> int:
        """How many jobs are parked."""
        return sum(waiting.count for waiting in self._lists.values())

    def ids(self) -> Iterator[str]:
        """Return the entries of all lists, by label; also those that are gone."""
        return itertools.chain.from_iterable(self._lists[label].ids for label in sorted(self._lists))

    def place(self, record: bytes, known: frozenset[bytes] | None) -> tuple[bytes, bytes]:
        """Return how to mark a job that must wait, and the label of its list; nothing for one that may be claimed.

        ``known``: the names that the claiming worker can run, ``None`` for any.
        """
        name = name_of(record)
        if (known is not None and name not in known) or b"n" + name in self.suspended:
            return b"p", name
        if not self.suspended:
            return b"", b""
        label = tenant_label(record)
        return (b"t", label) if b"t" + label[1:] in self.suspended else (b"", b"")

    def park(self, job_id: str, label: bytes, now_ms: int) -> None:
        """Add a job that isn't here yet."""
        waiting = self._lists.get(label)
        if waiting is None:
            waiting = self._lists[label] = WaitingList()
            self._since_ms[label] = now_ms
        waiting.ids.append(job_id)

    def remove(self, job_id: str, label: bytes) -> None:
        """Take out a job that is here."""
        self._lists[label].remove(job_id)

    def suspend(self, entry: bytes, on: bool, now_ms: int) -> bool:
        """Suspend a name or a tenant, or resume it; say whether that changed anything."""
        if (entry in self.suspended) == on:
            return False
        if on:
            self.suspended.add(entry)
            return True
        self.suspended.discard(entry)
        label = entry[1:] if entry.startswith(b"n") else b" " + entry[1:]
        if label in self._lists:
            # The time to wait for a worker that knows the name begins now.
            self._since_ms[label] = now_ms
        return True

    def leaving(self, known: frozenset[bytes], grace_ms: int, now_ms: int) -> list[tuple[bytes, bool]]:
        """Return the labels whose jobs are to leave: to be claimed, or (``False``) as nobody knows their name."""
        found = []
        for label in sorted(self._lists):
            if label.startswith(b" "):
                if b"t" + label[1:] not in self.suspended:
                    found.append((label, True))
            elif b"n" + label not in self.suspended:
                if label in known:
                    found.append((label, True))
                elif self._since_ms[label] + grace_ms <= now_ms:
                    found.append((label, False))
        return found

    def pop(self, label: bytes) -> list[str]:
        """Take the first jobs of a list out of it."""
        waiting = self._lists[label]
        popped = [waiting.ids.popleft() for _ in range(min(len(waiting.ids), _UNPARKED_A_CALL))]
        kept = [job_id for job_id in popped if not waiting.passes_over(job_id)]
        if not waiting.ids:
            del self._lists[label], self._since_ms[label]
        return kept
