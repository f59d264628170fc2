"""The limit of one queue, and what of it is used up."""

from __future__ import annotations

import math

from asyncjobs.core.limits import NO_LIMIT, QueueLimit, latest_ms, opens_at_ms, starts_left, used_up
from asyncjobs.ports import LimitFigures

__all__ = ["Limit"]


class Limit:
    """How many jobs of a queue may run, at once and in a time."""

    __slots__ = ("_used_until_ms", "declared", "set_by", "set_by_hand")

    def __init__(self) -> None:
        self.declared = NO_LIMIT
        """What the program declares."""
        self.set_by_hand: QueueLimit | None = None
        """What goes before that."""
        self.set_by = ""
        """Who has set it."""
        self._used_until_ms = 0.0

    @property
    def is_set(self) -> bool:
        """Whether it was set by hand."""
        return self.set_by_hand is not None

    @property
    def current(self) -> QueueLimit:
        """The limit that holds."""
        return self.declared if self.set_by_hand is None else self.set_by_hand

    def allow(self, want: int, ahead: int, running: int, now_ms: int) -> tuple[int, float]:
        """Return how many jobs a claim may get, and how many may start now in all, where ``running`` run.

        ``ahead``: how many of the jobs that it wants it has no free slot for. It gets none of these.
        """
        limit, room = self.current, math.inf
        if not limit:
            return want, room
        if limit.running is not None:
            room = max(0, limit.running - running)
        if limit.rate is not None:
            self._used_until_ms = min(self._used_until_ms, latest_ms(limit.rate, now_ms))
            room = min(room, starts_left(limit.rate, self._used_until_ms, now_ms))
        return int(max(0, min(want - ahead, room))), room

    def is_full(self, running: int) -> bool:
        """Return whether as many jobs run as may run at once."""
        most = self.current.running
        return most is not None and running >= most

    def use(self, starts: int, now_ms: int) -> None:
        """Note that so many jobs start now."""
        rate = self.current.rate
        if rate is not None and starts:
            self._used_until_ms = used_up(rate, self._used_until_ms, now_ms, starts)

    def opens_at_ms(self, now_ms: int) -> int | None:
        """Return when the next job may start, ``None`` if the rate doesn't forbid it now."""
        rate = self.current.rate
        return None if rate is None else opens_at_ms(rate, self._used_until_ms, now_ms)

    def figures(self, now_ms: int) -> LimitFigures | None:
        """Return the limit for those who look at the queue, ``None`` if nothing was ever limited."""
        if not (self.declared or self.is_set):
            return None
        return LimitFigures(
            limit=self.current,
            declared=self.declared,
            is_set=self.is_set,
            set_by=self.set_by,
            opens_at_ms=self.opens_at_ms(now_ms),
        )
