"""The gates of one queue: their limits, and what of each is used up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.limits import NO_LIMIT, QueueLimit, Rate, latest_ms, opens_at_ms, starts_left, used_up
from asyncjobs.core.lines import gates_in, rule_in

__all__ = ["Gates", "Moments"]


class Gates:
    """The gates of a queue. A gate is known here as long as something of it is used up, or set by hand."""

    __slots__ = ("_closed", "_used_until_ms", "booked", "by_hand", "declared", "holders")

    def __init__(self) -> None:
        self.declared: Mapping[str, QueueLimit] = {}
        """The limits that the program declares, by rule."""
        self.by_hand: dict[str, tuple[QueueLimit, str]] = {}
        """What goes before them, by rule or gate, and who has set it."""
        self.holders: dict[str, dict[str, None]] = {}
        """The ids of the jobs that run through each gate, in the order in which they started."""
        self.booked: dict[str, object] = {}
        """The line that has booked a slot of a gate; of each gate one line at most."""
        self._used_until_ms: dict[str, float] = {}
        # From when until when a gate is closed, as one of its jobs has found.
        self._closed: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[str]:
        """Return the gates of which something is used up, or that have a limit of their own."""
        return iter({**self.by_hand, **self.holders, **self.booked, **self._used_until_ms, **self._closed})

    def limit_of(self, gate: str) -> QueueLimit:
        """Return the limit of a gate, or of a rule."""
        rule = rule_in(gate)
        found = self.by_hand.get(gate) or self.by_hand.get(rule)
        return found[0] if found is not None else self.declared.get(rule, NO_LIMIT)

    def room(self, gate: str, now_ms: int, line: object = None) -> float:
        """Return how many jobs may start now through a gate.

        Args:
            gate: The gate.
            now_ms: The time, in Unix milliseconds.
            line: The line of the jobs, which may have booked a slot.
        """
        if self._closed_until_ms(gate, now_ms):
            return 0
        limit, room = self.limit_of(gate), math.inf
        if limit.running is not None:
            booker = self.booked.get(gate)
            room = limit.running - len(self.holders.get(gate, ())) - (booker is not None and booker is not line)
        if limit.rate is not None:
            room = min(room, starts_left(limit.rate, self._used_until(gate, limit.rate, now_ms), now_ms))
        return max(0, room)

    def opens_at_ms(self, gate: str, now_ms: int) -> int | None:
        """Return when a gate opens that is closed, or whose rate is used up; ``None`` for others."""
        rate, closed = self.limit_of(gate).rate, self._closed_until_ms(gate, now_ms)
        opens = None if rate is None else opens_at_ms(rate, self._used_until(gate, rate, now_ms), now_ms)
        return max(opens or 0, closed) or None

    def start(self, entry: Entry, line: object, now_ms: int) -> None:
        """Let a job of ``line`` run; it takes the slots that the line has booked."""
        for gate in gates_in(entry.line):
            self.holders.setdefault(gate, {})[entry.id] = None
            rate = self.limit_of(gate).rate
            if rate is not None:
                self._used_until_ms[gate] = used_up(rate, self._used_until(gate, rate, now_ms), now_ms, 1)
        self.give_back(gates_in(entry.line), line)

    def end(self, entry: Entry) -> list[str]:
        """Free the slots of a job that runs no longer; return its gates."""
        gates = gates_in(entry.line)
        for gate in gates:
            holders = self.holders[gate]
            del holders[entry.id]
            if not holders:
                del self.holders[gate]
        return gates

    def book(self, gates: Iterable[str], line: object) -> bool:
        """Book a slot of each gate for a line, unless another line has booked one of any; return whether it did."""
        gates = list(gates)
        if any(self.booked.get(gate, line) is not line for gate in gates):
            return False
        self.booked.update(dict.fromkeys(gates, line))
        return True

    def give_back(self, gates: Iterable[str], line: object) -> None:
        """Give back what a line has booked of ``gates``."""
        for gate in gates:
            if self.booked.get(gate) is line:
                del self.booked[gate]

    def close(self, gate: str, now_ms: int, until_ms: int) -> None:
        """Close a gate for some time, whatever its limit."""
        self._closed[gate] = now_ms, max(until_ms, self._closed_until_ms(gate, now_ms))

    def prune(self, now_ms: int) -> None:
        """Forget what was used up long ago."""
        self._used_until_ms = {gate: until for gate, until in self._used_until_ms.items() if until > now_ms}
        self._closed = {gate: span for gate, span in self._closed.items() if self._closed_until_ms(gate, now_ms)}

    def _used_until(self, gate: str, rate: Rate, now_ms: int) -> float:
        known = self._used_until_ms.get(gate, 0.0)
        latest = latest_ms(rate, now_ms)
        if known > latest:
            # Kept, since otherwise it would move on with the time.
            known = self._used_until_ms[gate] = latest
        return known

    def _closed_until_ms(self, gate: str, now_ms: int) -> int:
        """Return until when a gate is closed, 0 if it isn't; one that was closed later than now isn't."""
        from_ms, until_ms = self._closed.get(gate, (0, 0))
        return until_ms if from_ms <= now_ms < until_ms else 0


class Moments:
    """When gates open for which lines wait."""

    __slots__ = ("_at_ms", "_heap")

    def __init__(self) -> None:
        self._at_ms: dict[str, int] = {}
        # Also has moments that hold no longer.
        self._heap: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._at_ms)

    def of(self, gate: str) -> int | None:
        """Return the moment of a gate, in Unix milliseconds; ``None`` if it has none."""
        return self._at_ms.get(gate)

    def set(self, gate: str, at_ms: int | None) -> None:
        """Set the moment of a gate, or remove it."""
        if at_ms is None:
            self._at_ms.pop(gate, None)
        elif self._at_ms.get(gate) != at_ms:
            self._at_ms[gate] = at_ms
            heappush(self._heap, (at_ms, gate))

    def earliest(self) -> int | None:
        """Return the earliest moment, in Unix milliseconds; ``None`` if there is none."""
        heap = self._heap
        while heap and self._at_ms.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now_ms: int) -> list[str]:
        """Take out the gates that open now, or have opened before."""
        found = []
        while (earliest := self.earliest()) is not None and earliest <= now_ms:
            gate = heappop(self._heap)[1]
            del self._at_ms[gate]
            found.append(gate)
        return found
