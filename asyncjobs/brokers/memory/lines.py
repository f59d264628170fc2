"""The lines of one queue that have a key: which are in turn, and which wait for a gate."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.gates import Gates, Moments
from asyncjobs.brokers.memory.line import KeyedLine
from asyncjobs.brokers.memory.turns import Turns
from asyncjobs.core.bounds import bounded_ms
from asyncjobs.core.lines import group_in
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.turns import MAX_LAG, PATIENCE, cost_of_start, wait_score, weight_in

__all__ = ["Lines"]


class Lines:
    """All lines of a queue that have a key, each of which is in turn or waits for one gate.

    A claim takes away a line whose last job it takes. One that was emptied by other means stays where it is until it is
    tried, or until ``pass_on`` or ``prune`` comes to it.
    """

    __slots__ = (
        "_by_key",
        "_emptied",
        "by_time",
        "changed",
        "count",
        "gates",
        "opens",
        "sizes",
        "turns",
        "waiting",
        "weights",
    )

    def __init__(self) -> None:
        self._by_key: tuple[dict[str, KeyedLine], ...] = ({}, {}, {}, {})
        self.count = 0
        """How many lines there are."""
        self.gates = Gates()
        self.turns = (Turns(), Turns(), Turns(), Turns())
        """By priority."""
        self.sizes = [0, 0, 0, 0]
        """How many jobs are in lines, by priority."""
        self.waiting: dict[str, list[tuple[float, str, KeyedLine]]] = {}
        """By gate, a heap of the lines that wait for it."""
        self.opens = Moments()
        """When the gates open that lines wait for."""
        self.weights: Mapping[str, float] = {}
        """The weights of groups that have another one than 1."""
        self.by_time = False
        """Whether turns are fair by the time that jobs take."""
        self.changed: set[str] = set()
        """The gates that may have room for lines that wait, at which ``pass_on`` is to look."""
        # The lines whose last job the claim takes that is under way.
        self._emptied: list[KeyedLine] = []

    def __iter__(self) -> Iterator[KeyedLine]:
        """Return the lines that have jobs, by priority and key."""
        return (line for lines in self._by_key for _, line in sorted(lines.items()) if line)

    def has(self, priority: int) -> bool:
        """Return whether a priority has lines."""
        return bool(self._by_key[priority])

    @property
    def in_turn(self) -> int:
        """How many lines are in turn."""
        return sum(turns.size for turns in self.turns)

    def line_of(self, entry: Entry) -> KeyedLine:
        """Return the line in which a ready job waits."""
        return self._by_key[entry.priority][entry.line]

    # -- jobs come and go

    def append(self, entry: Entry) -> None:
        """Add a job at the back of its line."""
        self._line_for(entry).append(entry)
        self.sizes[entry.priority] += 1

    def prepend(self, entry: Entry) -> None:
        """Add a job at the front of its line."""
        self._line_for(entry).prepend(entry)
        self.sizes[entry.priority] += 1

    def _line_for(self, entry: Entry) -> KeyedLine:
        lines = self._by_key[entry.priority]
        line = lines.get(entry.line)
        if line is None:
            line = lines[entry.line] = KeyedLine(entry.priority, entry.line)
            self.count += 1
            self.turns[entry.priority].join(line)
        return line

    def remove(self, entry: Entry) -> None:
        """Take a job out of its line."""
        self.line_of(entry).remove(entry)
        self.sizes[entry.priority] -= 1

    def start(self, entry: Entry, now_ms: int) -> None:
        """Let the first job of a line in turn run: it takes its slots and its group's turn. The job is still here."""
        line = self.line_of(entry)
        self.gates.start(entry, line, now_ms)
        self.turns[line.priority].start(line, self.cost_of_start(line.group))
        self.changed.update(line.gates)
        line.passed = 0

    def end(self, entry: Entry) -> None:
        """Free the slots of a job that runs no longer."""
        self.changed.update(self.gates.end(entry))

    def cost_of_start(self, group: str) -> float:
        """Return by how much a start moves on the tag of a group, whose name is empty for jobs without one."""
        return cost_of_start(weight_in(self.weights, group), by_time=self.by_time)

    def settle(self, entry: Entry, settlement: Settlement, now_ms: int) -> None:
        """Note what a run has come to, for turns and gates; its slots are still taken."""
        if settlement.closes:
            self.gates.close(settlement.closes, now_ms, now_ms + bounded_ms(settlement.delay_ms))
        if self.by_time:
            self.charge(entry, settlement.duration_us / 1e6)
        elif entry.line and settlement.verdict is Verdict.RELEASE:
            group = group_in(entry.line)
            self.turns[entry.priority].take_back(group, self.cost_of_start(group))

    def charge(self, entry: Entry, seconds: float) -> None:
        """Let a run count in turns that are fair by time."""
        turns = self.turns[entry.priority]
        if entry.line:
            group = group_in(entry.line)
            turns.charge(group, seconds / weight_in(self.weights, group))
        elif turns.plain is not None:
            turns.plain += seconds

    # -- lines come and go

    def first_closed(self, line: KeyedLine, now_ms: int) -> str | None:
        """Return the first gate that has no room for a job of a line, ``None`` if all have."""
        return next((gate for gate in line.gates if self.gates.room(gate, now_ms, line) < 1), None)

    def drop(self, line: KeyedLine) -> None:
        """Take away a line in turn of which a claim takes all that is left; it is known until ``end_claim``."""
        self.turns[line.priority].leave(line)
        self.changed.update(line.gates)
        self._emptied.append(line)

    def end_claim(self, now_ms: int) -> int:
        """Let lines be in turn again after a claim, and return how many, as ``pass_on`` does."""
        for line in self._emptied:
            self._forget(line)
        self._emptied.clear()
        return self.pass_on(now_ms)

    def wait(self, line: KeyedLine, gate: str) -> None:
        """Let a line that is in turn wait for ``gate``, the first one that is closed for it."""
        turns = self.turns[line.priority]
        turns.leave(line)
        self.changed.update(line.gates)
        at = line.gates.index(gate)
        # Booked slots behind the gate could be those that others wait for who hold this one.
        self.gates.give_back(line.gates[at:], line)
        tag = turns.tags[line.group]
        if len(line.gates) > 1:
            line.passed += 1
            if not line:
                self.gates.give_back(line.gates, line)
            elif line.passed >= PATIENCE and self.gates.book(line.gates[:at], line):
                tag = 0.0
        line.gate = gate
        member = f"{line.priority}:{line.key}"
        heappush(self.waiting.setdefault(gate, []), (wait_score(line.priority, tag), member, line))

    def pass_on(self, now_ms: int) -> int:
        """Let lines be in turn again that wait for a gate with room, as many as it has room for; return how many.

        Only gates of which something has changed are looked at, and those that open by time.
        """
        if not (self.changed or self.waiting):
            return 0
        self.changed.update(self.opens.pop_due(now_ms))
        count = 0
        while self.changed:
            gates = sorted(self.changed)
            self.changed.clear()
            count += sum(self._pass_on_at(gate, now_ms) for gate in gates)
        return count

    def _pass_on_at(self, gate: str, now_ms: int) -> int:
        lines = self.waiting.get(gate, [])
        room = self.gates.room(gate, now_ms) if lines else 0
        count = 0
        while lines and (count < room or not lines[0][2]):
            line = heappop(lines)[2]
            if line:
                line.gate = ""
                self.turns[line.priority].join(line, MAX_LAG / weight_in(self.weights, line.group))
                count += 1
            else:
                self._forget(line)
        if not lines:
            self.waiting.pop(gate, None)
        self.opens.set(gate, self.gates.opens_at_ms(gate, now_ms) if lines else None)
        return count

    def _forget(self, line: KeyedLine) -> None:
        """Take away an empty line, which is in no place, with what it has booked."""
        del self._by_key[line.priority][line.key]
        self.count -= 1
        booked = [gate for gate in line.gates if self.gates.booked.get(gate) is line]
        self.gates.give_back(booked, line)
        self.changed.update(booked)
        if not self.count:
            # There is nothing left between which there could be turns.
            self.turns = (Turns(), Turns(), Turns(), Turns())

    def prune(self, now_ms: int) -> None:
        """Forget what says nothing any more, and look again at gates that open by time: the clock may be set back."""
        self.changed.update(self.opens)
        for gate, lines in self.waiting.items():
            if any(not line for _, _, line in lines):
                self.waiting[gate] = [one for one in lines if one[2]]
                heapify(self.waiting[gate])
                self.changed.add(gate)
                for line in [line for _, _, line in lines if not line]:
                    self._forget(line)
        self.gates.prune(now_ms)
        for priority, turns in enumerate(self.turns):
            turns.forget({line.group for line in self._by_key[priority].values()})

    # -- what there is

    def counts(self) -> tuple[int, int]:
        """Return how many jobs are in lines, and how many of the lines wait for a gate."""
        lines = itertools.chain.from_iterable(by_key.values() for by_key in self._by_key)
        return sum(self.sizes), sum(bool(line and line.gate) for line in lines)

    def lines_before(self, line: KeyedLine) -> int:
        """Return how many lines wait before a line for the same gate."""
        waiting = self.waiting[line.gate]
        own = next(one for one in waiting if one[2] is line)
        return bisect.bisect_left(sorted(one[:2] for one in waiting if one[2]), own[:2])

    def after(self, cursor: str) -> Iterator[Entry]:
        """Return the jobs in lines that stand behind a cursor, or all of them if it is empty."""
        if not cursor:
            return itertools.chain.from_iterable(self)
        priority, number, key = cursor.split(":", 2)
        own = int(priority), key
        return itertools.chain.from_iterable(
            line.after(int(number)) if (line.priority, line.key) == own else line
            for line in self
            if (line.priority, line.key) >= own
        )

    def cursor(self, entry: Entry) -> str:
        """Return the cursor that stands behind ``entry``."""
        return f"{entry.priority}:{entry.number}:{entry.line}"
