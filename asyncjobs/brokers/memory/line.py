"""A line of ready jobs, with or without a key."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.lines import gates_in, group_in

__all__ = ["KeyedLine", "Line"]


class Line:
    """Entries that join at the back or the front, and leave from anywhere.

    They are numbered along the line, so the number of an entry that has left still says where the entry stood.
    """

    __slots__ = ("_back", "_entries", "_front")

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._front = 0
        self._back = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def append(self, entry: Entry) -> None:
        """Let ``entry`` join at the back."""
        entry.number = self._back = number = self._back + 1
        self._entries[number] = entry

    def prepend(self, entry: Entry) -> None:
        """Let ``entry`` join at the front."""
        entry.number = number = self._front
        self._front -= 1
        self._entries[number] = entry
        self._entries.move_to_end(number, last=False)

    def remove(self, entry: Entry) -> None:
        """Take ``entry`` out."""
        del self._entries[entry.number]

    def position(self, entry: Entry) -> int:
        """Return how many entries stand before ``entry``, which is here."""
        return sum(1 for _ in itertools.takewhile(entry.number.__gt__, self._entries))

    def after(self, number: int) -> Iterator[Entry]:
        """Return the entries whose number is above ``number``, in order."""
        return map(self._entries.__getitem__, itertools.dropwhile(number.__ge__, self._entries))


class KeyedLine(Line):
    """The ready jobs of one priority and one line key."""

    __slots__ = ("gate", "gates", "group", "key", "passed", "priority")

    def __init__(self, priority: int, key: str) -> None:
        super().__init__()
        self.priority = priority
        self.key = key
        self.group = group_in(key)
        self.gates = gates_in(key)
        self.gate = ""
        """The gate for which it waits, empty while it is in turn."""
        self.passed = 0
        """How often it was tried in vain since one of its jobs started, if it needs several gates."""
