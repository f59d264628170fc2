"""Values that are kept for a time after they were last put."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Lapsing"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

#: How many lapsed values a ``put`` removes at most: more than it adds, so that they don't pile up.
_CLEARED_A_PUT = 2


class Lapsing(Generic[_Key, _Value]):
    """A mapping whose values lapse. A lapsed value is never returned, and is removed by a later ``put``."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: OrderedDict[_Key, tuple[int, _Value]] = OrderedDict()
        """The time until which each value is kept, and the value; the one that was put first comes first."""

    def get(self, key: _Key, now_ms: int) -> _Value | None:
        """Return the value, or ``None`` if there is none or it has lapsed."""
        kept = self.kept.get(key)
        return kept[1] if kept is not None and kept[0] > now_ms else None

    def put(self, key: _Key, value: _Value, keep_ms: int, now_ms: int) -> None:
        """Keep ``value`` for ``keep_ms`` from now."""
        kept = self.kept
        kept[key] = now_ms + keep_ms, value
        kept.move_to_end(key)
        for _ in range(_CLEARED_A_PUT):
            oldest = next(iter(kept))
            if kept[oldest][0] > now_ms:
                break
            del kept[oldest]

    def remove(self, key: _Key) -> None:
        """Remove the value, if there is one."""
        self.kept.pop(key, None)

    def times(self, now_ms: int) -> Iterator[tuple[_Key, int]]:
        """Return the keys whose values have not lapsed, and until when they are kept."""
        return ((key, until_ms) for key, (until_ms, _) in self.kept.items() if until_ms > now_ms)

    def items(self, now_ms: int) -> Iterator[tuple[_Key, _Value]]:
        """Return the keys and values that have not lapsed."""
        return ((key, value) for key, (until_ms, value) in self.kept.items() if until_ms > now_ms)
