"""Entries that stand in line."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator

from asyncjobs.brokers.memory.entry import Entry

__all__ = ["Line"]


class Line:
    """Entries in an order of their own: they join at the back or the front, and leave from anywhere.

    Each has a number, which rises along the line, so that the rest of the line can be found again by the number of an
    entry that has left.
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

    def __reversed__(self) -> Iterator[Entry]:
        return reversed(self._entries.values())

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

    def after(self, number: int) -> Iterator[Entry]:
        """Return the entries whose number is above ``number``, in order."""
        return map(self._entries.__getitem__, itertools.dropwhile(number.__ge__, self._entries))

    def before(self, number: int) -> Iterator[Entry]:
        """Return the entries whose number is below ``number``, the last first."""
        return map(self._entries.__getitem__, itertools.dropwhile(number.__le__, reversed(self._entries)))
