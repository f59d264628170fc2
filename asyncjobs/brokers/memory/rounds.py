"""Which jobs a claim gets of a queue that has lines with keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from asyncjobs.brokers.company import Company
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.line import KeyedLine, Line
from asyncjobs.brokers.memory.lines import Lines
from asyncjobs.core.retention import MAX_PASSED
from asyncjobs.core.turns import MAX_STAYING, MAX_TRIED
from asyncjobs.ports import Hold

__all__ = ["Choice", "Round"]


class Choice(NamedTuple):
    """What is to become of the jobs that a claim has looked at."""

    taken: Sequence[Entry] = ()
    """Ready jobs to lease."""
    own: Sequence[Entry] = ()
    """Parked jobs to lease, before those."""
    to_park: Sequence[tuple[Entry, Hold]] = ()
    """Ready jobs to park."""
    is_done: bool = False
    """Whether all that it leaves must wait, as far as it may look: nobody needs be woken for it."""
    has_rest: bool = False
    """Whether parked jobs are left that nothing holds, for another worker."""
    is_cut: bool = False
    """Whether it ended before it had looked at all that it may have."""


class _Look:
    """How far a claim has looked at a line."""

    __slots__ = ("left", "rest", "staying")

    def __init__(self, line: Line) -> None:
        self.rest = iter(line)
        self.left = len(line)
        """How many jobs the claim leaves there."""
        self.staying = 0
        """How many of them must wait, of those that it has looked at."""


class Round:
    """One claim's way through the lines of a queue, priority by priority.

    Args:
        lines: The lines with keys.
        company: The suspects that the claim has got.
        hold_of: Returns what keeps the worker from a job, if anything does.
        want: How many jobs it may get.
        free: For how many of these the worker has free slots; no others are taken through gates.
        now_ms: The time, in Unix milliseconds.
    """

    def __init__(
        self,
        lines: Lines,
        company: Company,
        hold_of: Callable[[Entry], Hold | None],
        want: int,
        free: int,
        now_ms: int,
    ) -> None:
        self._lines = lines
        self._company = company
        self._hold_of = hold_of
        self._want = want
        self._free = free
        self._now_ms = now_ms
        self._taken: list[Entry] = []
        self._to_park: list[tuple[Entry, Hold]] = []
        self._tried = 0
        self._has_ahead = False
        # Lines that are left as they are for this claim.
        self._alone: set[KeyedLine] = set()
        self._looks: dict[KeyedLine, _Look] = {}

    def choose(self, plain: tuple[Line, ...], *, lowest_first: bool) -> Choice:
        """Return what becomes of the jobs that the claim looks at; ``plain`` has those without a line key."""
        for priority in (3, 2, 1, 0) if lowest_first else (0, 1, 2, 3):
            if self._has_room:
                self._go(priority, plain[priority])
        is_done = self._has_room and not self._has_ahead
        return Choice(self._taken, (), self._to_park, is_done, is_cut=self._has_looked_enough)

    @property
    def _has_room(self) -> bool:
        return len(self._taken) < self._want and not self._has_looked_enough

    @property
    def _has_looked_enough(self) -> bool:
        return self._tried >= MAX_TRIED or len(self._to_park) > MAX_PASSED

    def _go(self, priority: int, plain: Line) -> None:
        turns, has_lines = self._lines.turns[priority], self._lines.has(priority)
        look, is_plain_left = _Look(plain), bool(plain)
        while self._has_room:
            group = turns.first()
            if is_plain_left and (group is None or turns.plain_tag() <= turns.tags[group]):
                is_plain_left = self._next(look) is not None
                if is_plain_left and has_lines:
                    turns.start_plain(self._lines.cost_of_start(""))
            elif group is None:
                break
            elif len(self._taken) >= self._free and turns.has_gates(group):
                self._has_ahead = True
                turns.put_aside(group)
            elif (line := turns.head(group, self._alone)) is not None:
                self._try(line)
            else:
                turns.put_aside(group)
        turns.end_claim()

    def _next(self, look: _Look) -> Entry | None:
        """Take the next job of a line that the claim may have; return it, ``None`` if there is none."""
        for entry in look.rest:
            if entry.tries and self._company.must_wait(entry.tries):
                look.staying += 1
                if look.staying > MAX_STAYING:
                    break
                continue
            look.left -= 1
            if hold := self._hold_of(entry):
                self._to_park.append((entry, hold))
                if self._has_looked_enough:
                    break
                continue
            self._company.join(entry.tries)
            self._taken.append(entry)
            return entry
        return None

    def _try(self, line: KeyedLine) -> None:
        """Take the next job of a line, or let the line wait for its first closed gate."""
        gate = self._lines.first_closed(line, self._now_ms)
        if gate is not None:
            self._tried += 1
            self._lines.wait(line, gate)
            return
        look = self._looks.get(line)
        if look is None:
            look = self._looks[line] = _Look(line)
        self._tried += not look.left
        entry = self._next(look)
        if entry is not None:
            self._lines.start(entry, self._now_ms)
        else:
            self._alone.add(line)
        if not look.left:
            self._lines.drop(line)
