"""How much is moved at once: a bounded number of bytes, and less while it doesn't get through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["MOST_BYTES", "Portion", "fitting", "portions"]

#: How many bytes one call moves at most, unless a single item has more. A tenth of a second at 400 Mbit/s.
MOST_BYTES = 4 << 20

_LEAST_BYTES = 64 << 10

_Item = TypeVar("_Item")


class Portion:
    """How many bytes to move at once: half as many after each failure, and twice as many once so many got through."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = MOST_BYTES

    def failed(self) -> None:
        """Note that a call has failed, perhaps for its size."""
        self.bytes = max(self.bytes // 2, _LEAST_BYTES)

    @property
    def is_reduced(self) -> bool:
        """Whether it is not the largest."""
        return self.bytes < MOST_BYTES

    def succeeded(self, moved: int) -> None:
        """Note that a call which moved so many bytes has got through; a small one tells nothing of large ones."""
        if self.is_reduced and moved >= self.bytes // 2:
            self.bytes *= 2


def fitting(sizes: Iterable[int], most_bytes: int = MOST_BYTES) -> int:
    """Return how many of the first items, whose sizes are given, have ``most_bytes`` together: at least one."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > most_bytes:
            break
        count += 1
    return count


def portions(
    items: Sequence[_Item], size_of: Callable[[_Item], int], *, most: int, portion: Portion
) -> Iterator[Sequence[_Item]]:
    """Yield ``items`` in parts of at most ``most`` items and, as long as each has more than one, of bounded bytes.

    Args:
        items: The items.
        size_of: Returns the size of one in bytes.
        most: How many items a part may have.
        portion: How many bytes a part may have; it is asked anew for each part.
    """
    if len(items) == 1:
        yield items
        return
    start = 0
    while start < len(items):
        part = items[start : start + most]
        part = part[: fitting(map(size_of, part), portion.bytes)]
        yield part
        start += len(part)
