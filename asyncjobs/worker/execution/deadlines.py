"""One timer of the event loop for the timeouts of all running jobs.

A timer handle a job, as ``asyncio.timeout`` takes, costs three to five microseconds; a heap entry costs a tenth.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

__all__ = ["Deadline", "Deadlines"]

# Dropped deadlines stay in a heap that is shorter than this.
_COMPACT_FROM = 1_024


class Deadline:
    """A call at a moment to come, unless it is dropped before."""

    __slots__ = ("_call", "at")

    def __init__(self, call: Callable[[], None], at: float) -> None:
        self._call: Callable[[], None] | None = call
        self.at = at
        """When, by the loop's clock."""

    @property
    def is_dropped(self) -> bool:
        """Whether it was dropped, or has been called."""
        return self._call is None

    def drop(self) -> None:
        """Don't call."""
        self._call = None

    def reach(self) -> None:
        """Call now, if it wasn't dropped."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Deadlines:
    """A heap of deadlines over one timer of the event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = float("inf")
        self._compact_at = _COMPACT_FROM

    def add(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Call ``call`` on the loop in ``seconds``, unless the returned deadline is dropped before."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        deadline = Deadline(call, at)
        heapq.heappush(self._heap, (at, next(self._numbers), deadline))
        if len(self._heap) >= self._compact_at:
            self._compact()
        if at < self._set_for:
            self._set(loop, at)
        return deadline

    def _compact(self) -> None:
        """Forget dropped deadlines; the cost is spread over as many additions."""
        self._heap = [entry for entry in self._heap if not entry[2].is_dropped]
        heapq.heapify(self._heap)
        self._compact_at = max(_COMPACT_FROM, 2 * len(self._heap))

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(at, self._ring, loop)
        self._set_for = at

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._set_for = float("inf")
        now = loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].is_dropped):
            heapq.heappop(self._heap)[2].reach()
        if self._heap and self._heap[0][0] < self._set_for:
            self._set(loop, self._heap[0][0])

    def close(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()
        self._set_for = float("inf")
