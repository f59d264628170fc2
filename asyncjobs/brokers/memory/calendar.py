"""Entries by a moment of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from asyncjobs.brokers.memory.entry import Entry

__all__ = ["Calendar"]


class Calendar:
    """Entries by the second of their ``at_ms``: in and out in constant time, and found once that second has begun."""

    __slots__ = ("_by_second", "_seconds")

    def __init__(self) -> None:
        self._by_second: dict[int, dict[str, Entry]] = {}
        # A heap of the seconds above.
        self._seconds: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._by_second.values()))

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entries in self._by_second.values() for entry in entries.values())

    def add(self, entries: Iterable[Entry], at_ms: int) -> None:
        """Add entries that aren't here, all at the same moment."""
        second = at_ms // 1000
        known = self._by_second.get(second)
        if known is None:
            known = self._by_second[second] = {}
            heappush(self._seconds, second)
        for entry in entries:
            entry.at_ms = at_ms
            known[entry.id] = entry

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is here."""
        del self._by_second[entry.at_ms // 1000][entry.id]

    def past(self, now_ms: int) -> list[Entry]:
        """Return the entries whose moment was before ``now_ms``; they stay."""
        found: list[Entry] = []
        kept = []
        while self._seconds and self._seconds[0] * 1000 < now_ms:
            second = heappop(self._seconds)
            entries = self._by_second[second]
            if entries:
                kept.append(second)
                found += [entry for entry in entries.values() if entry.at_ms < now_ms]
            else:
                del self._by_second[second]
        for second in kept:
            heappush(self._seconds, second)
        return found

    def pop_past(self, now_ms: int, limit: int) -> list[Entry]:
        """Take out up to ``limit`` entries whose second is over."""
        found: list[Entry] = []
        while self._seconds and (self._seconds[0] + 1) * 1000 <= now_ms and len(found) < limit:
            entries = self._by_second[self._seconds[0]]
            # Not from the front: a dictionary looks there at all that was taken out before.
            found += [entries.popitem()[1] for _ in range(min(len(entries), limit - len(found)))]
            if not entries:
                del self._by_second[heappop(self._seconds)]
        return found
