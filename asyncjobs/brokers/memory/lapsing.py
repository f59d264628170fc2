"""Values that are kept for a time after they were last put."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Lapsing"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

#: How many lapsed values a ``put`` clears away at most: more than it adds, so that none stay.
_CLEARED_A_PUT = 2


class Lapsing(Generic[_Key, _Value]):
    """Key → value, until it lapses: exact when asked, and cleared away bit by bit."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: OrderedDict[_Key, tuple[int, _Value]] = OrderedDict()
        """Until when each value is kept, and the value, the longest untouched first."""

    def get(self, key: _Key, now_ms: int) -> _Value | None:
        """Return the value, or ``None`` if there is none any longer."""
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
        """Forget the value, if there is one."""
        self.kept.pop(key, None)

    def items(self, now_ms: int) -> Iterator[tuple[_Key, _Value]]:
        """Return what has not lapsed."""
        return ((key, value) for key, (until_ms, value) in self.kept.items() if until_ms > now_ms)
