"""The holds of a queue, and the jobs that are parked (set aside): for a hold, or until a worker knows their name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.line import Line
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.retention import MAX_RING_PASSES
from asyncjobs.ports import Held, Hold, ParkedJobs

if TYPE_CHECKING:
    from asyncjobs.brokers.memory.rounds import Choice

__all__ = ["UNREAD", "Parked"]

UNREAD = Hold("version", str(VERSION))
"""For what jobs are parked that this version of asyncjobs can't read."""


class Parked:
    """The parked jobs of a queue, in a line for each name and each tenant."""

    __slots__ = ("_notes", "_since_ms", "holds", "lines", "passes")

    def __init__(self) -> None:
        self.holds: set[Hold] = set()
        """What is held back."""
        self.passes = 0
        """How often workers that find nothing are to pass the ring on, since another one may know parked jobs."""
        self._notes: dict[Hold, Held] = {}
        self.lines: dict[Hold, Line] = {}
        """The parked jobs by what they are parked for; no line is empty."""
        # When each line began, or when its hold last ended.
        self._since_ms: dict[Hold, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def hold_of(self, entry: Entry, known: frozenset[str] | None) -> Hold | None:
        """Return the hold that keeps a worker which knows the names ``known`` from claiming ``entry``, if any."""
        if (known is not None and entry.name not in known) or ("name", entry.name) in self.holds:
            return Hold("name", entry.name)
        if entry.tenant and ("tenant", entry.tenant) in self.holds:
            return Hold("tenant", entry.tenant)
        return None

    def add(self, entry: Entry, hold: Hold, now_ms: int) -> None:
        """Add an entry to the line of ``hold``."""
        entry.hold = hold
        line = self.lines.get(hold)
        if line is None:
            line = self.lines[hold] = Line()
            self._since_ms[hold] = now_ms
        line.append(entry)

    def remove(self, entry: Entry) -> None:
        assert entry.hold is not None
        line = self.lines[entry.hold]
        line.remove(entry)
        if not line:
            del self.lines[entry.hold], self._since_ms[entry.hold]
        entry.hold = None

    def is_for_others(self, choice: Choice, more: bool) -> bool:
        """Return whether another worker is to be woken for parked jobs after a claim, since it may know them."""
        if any(hold not in self.holds for _, hold in choice.to_park) or (choice.own and choice.has_rest):
            self.passes = MAX_RING_PASSES
            return True
        is_passed_on = bool(self.passes and choice.has_rest and not (more or choice.taken or choice.to_park))
        self.passes -= is_passed_on
        return is_passed_on

    @property
    def held(self) -> list[Held]:
        """What is held back, sorted, with the reasons."""
        return [self._notes[hold] for hold in sorted(self.holds)]

    def counts(self, limit: int) -> list[ParkedJobs]:
        """Return how many jobs are parked for what, most first, for up to ``limit`` of them."""
        found = [ParkedJobs(hold, len(line), self._since_ms[hold]) for hold, line in self.lines.items()]
        return sorted(found, key=lambda one: (-one.size, one.hold))[:limit]

    def set(self, hold: Hold, on: bool, by: str, why: str, now_ms: int) -> bool:
        """Begin or end a hold; return whether that changed anything."""
        if (hold in self.holds) == on:
            return on and self._explain(hold, by, why)
        if on:
            self.holds.add(hold)
            self._notes[hold] = Held(hold, now_ms, by, why)
        else:
            self.holds.discard(hold)
            del self._notes[hold]
            if hold in self.lines:
                # The grace period of a name that no worker knows begins now.
                self._since_ms[hold] = now_ms
        return True

    def _explain(self, hold: Hold, by: str, why: str) -> bool:
        """Give a hold another reason, if there is one; return whether that changed anything."""
        before = self._notes[hold]
        if not why or (by, why) == (before.by, before.why):
            return False
        self._notes[hold] = before._replace(by=by, why=why)
        return True

    def is_startable(self, hold: Hold, known: frozenset[str] | None) -> bool:
        """Return whether jobs parked for ``hold`` may run on a worker of the names ``known``, ``None`` for any."""
        if hold in self.holds:
            return False
        if hold.kind == "version":
            return int(hold.which) < VERSION
        return hold.kind != "name" or known is None or hold.which in known

    def startable(self, known: frozenset[str]) -> list[Entry]:
        """Return the jobs that may run on a worker which knows the names ``known``."""
        return [entry for hold in sorted(self.lines) if self.is_startable(hold, known) for entry in self.lines[hold]]

    def unknown(self, known: frozenset[str], since_ms: int, limit: int) -> list[Entry]:
        """Return up to ``limit`` jobs of each line whose name no worker has known since ``since_ms``."""
        return [
            entry
            for name in self.unknown_names(known)
            if self._since_ms[hold := Hold("name", name)] <= since_ms
            for entry in itertools.islice(self.lines[hold], limit)
        ]

    def unknown_names(self, known: frozenset[str]) -> list[str]:
        """Return the names of parked jobs that nothing holds back and that aren't in ``known``, sorted."""
        return [
            hold.which
            for hold in sorted(self.lines)
            if hold not in self.holds and hold.kind == "name" and hold.which not in known
        ]

    def after(self, cursor: str) -> Iterator[Entry]:
        if not cursor:
            return itertools.chain.from_iterable(self.lines[hold] for hold in sorted(self.lines))
        kind, after, which = cursor.split(":", 2)
        behind, number = (kind, which), int(after)
        return itertools.chain.from_iterable(
            self.lines[hold].after(number) if hold == behind else self.lines[hold]
            for hold in sorted(self.lines)
            if hold >= behind
        )

    def cursor(self, entry: Entry) -> str:
        assert entry.hold is not None
        return f"{entry.hold.kind}:{entry.number}:{entry.hold.which}"
