"""The places in which a job can be, made of lines and calendars.

The places of parked and of scheduled jobs have modules of their own.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Protocol

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.groups import Groups
from asyncjobs.brokers.memory.line import Line
from asyncjobs.brokers.memory.lines import Lines
from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import NO_SITUATION, Situation, read_kept

__all__ = ["Calendar", "Dead", "Listed", "Ready", "Running", "job_of", "oldest_wait_ms"]


class Listed(Protocol):
    """A place whose entries can be listed page by page."""

    def __len__(self) -> int: ...

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is here."""
        ...

    def after(self, cursor: str) -> Iterator[Entry]:
        """Return the entries behind ``cursor``, in the order of the place; an empty cursor stands before the first."""
        ...

    def cursor(self, entry: Entry) -> str:
        """Return the cursor that stands behind ``entry``, and still does once ``entry`` has left."""
        ...


class Calendar:
    """Entries by the second of their ``at_ms``, so that adding and removing take constant time."""

    __slots__ = ("_by_second", "seconds")

    def __init__(self) -> None:
        self._by_second: dict[int, dict[str, Entry]] = {}
        self.seconds: list[int] = []
        """A heap of the seconds that have, or had, entries."""

    def __len__(self) -> int:
        return sum(map(len, self._by_second.values()))

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entries in self._by_second.values() for entry in entries.values())

    def add(self, entries: Iterable[Entry], at_ms: int) -> None:
        """Add entries that aren't here, all at the same moment."""
        second = at_ms // 1000
        known = self._by_second.get(second)
        if known is None:
            known = self._by_second[second] = {}
            heappush(self.seconds, second)
        for entry in entries:
            entry.at_ms = at_ms
            known[entry.id] = entry

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is here."""
        del self._by_second[entry.at_ms // 1000][entry.id]

    def past(self, now_ms: int) -> list[Entry]:
        """Return the entries whose ``at_ms`` is before ``now_ms``; they stay."""
        found: list[Entry] = []
        kept = []
        while self.seconds and self.seconds[0] * 1000 < now_ms:
            second = heappop(self.seconds)
            entries = self._by_second[second]
            if entries:
                kept.append(second)
                found += [entry for entry in entries.values() if entry.at_ms < now_ms]
            else:
                del self._by_second[second]
        for second in kept:
            heappush(self.seconds, second)
        return found

    def pop_past(self, now_ms: int, limit: int) -> list[Entry]:
        """Take out up to ``limit`` entries whose second is over."""
        found: list[Entry] = []
        while self.seconds and (self.seconds[0] + 1) * 1000 <= now_ms and len(found) < limit:
            entries = self._by_second[self.seconds[0]]
            # From the back: at its front, a dictionary passes over each slot that was emptied before.
            found += [entries.popitem()[1] for _ in range(min(len(entries), limit - len(found)))]
            if not entries:
                del self._by_second[heappop(self.seconds)]
        return found


class Ready:
    """Startable jobs: those with a line key in ``lined``, the others in a line for each priority.

    Args:
        lined: The lines that have a key.
    """

    __slots__ = ("lined", "lines")

    def __init__(self, lined: Lines) -> None:
        self.lines = (Line(), Line(), Line(), Line())
        self.lined = lined

    def __len__(self) -> int:
        return sum(self.sizes())

    def sizes(self) -> list[int]:
        """Return how many jobs there are, by priority."""
        return [len(line) + lined for line, lined in zip(self.lines, self.lined.sizes, strict=True)]

    def startable(self) -> int:
        """Return how many jobs may start, of each line with a key one."""
        plain = sum(map(len, self.lines))
        return plain + self.lined.in_turn if self.lined.count else plain

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries, in this order, behind the others of their priority, or of their line."""
        lines = self.lines
        for entry in entries:
            if entry.line:
                self.lined.append(entry)
            else:
                lines[entry.priority].append(entry)

    def prepend(self, entries: Sequence[Entry]) -> None:
        """Add entries, in this order, before the others of their priority, or of their line."""
        for entry in reversed(entries):
            if entry.line:
                self.lined.prepend(entry)
            else:
                self.lines[entry.priority].prepend(entry)

    def remove(self, entry: Entry) -> None:
        if entry.line:
            self.lined.remove(entry)
        else:
            self.lines[entry.priority].remove(entry)

    def ahead(self, entry: Entry) -> int:
        """Return how many entries stand before ``entry``: in its line, or those of higher priorities included."""
        if entry.line:
            return self.lined.line_of(entry).position(entry)
        return sum(map(len, self.lines[: entry.priority])) + self.lines[entry.priority].position(entry)

    def first(self, limit: int, *, lowest_first: bool) -> list[Entry]:
        """Return up to ``limit`` entries without a line key, in the order in which they are to start."""
        lines = self.lines[::-1] if lowest_first else self.lines
        return list(itertools.islice(itertools.chain(*lines), limit))

    def after(self, cursor: str) -> Iterator[Entry]:
        if cursor.count(":") > 1:
            return self.lined.after(cursor)
        plain: Iterator[Entry] = itertools.chain(*self.lines)
        if cursor:
            priority, number = map(int, cursor.split(":"))
            plain = itertools.chain(self.lines[priority].after(number), *self.lines[priority + 1 :])
        return itertools.chain(plain, self.lined.after(""))

    def cursor(self, entry: Entry) -> str:
        return self.lined.cursor(entry) if entry.line else f"{entry.priority}:{entry.number}"


class Running(Calendar):
    """Leased jobs, by the moment at which their leases lapse."""

    __slots__ = ()

    def extend(self, entry: Entry, deadline_ms: int) -> None:
        """Let the lease of ``entry`` last until ``deadline_ms``."""
        self.remove(entry)
        self.add([entry], deadline_ms)

    def set_back(self, by_ms: int, until_ms: int) -> None:
        """Cut leases that last beyond ``until_ms`` by ``by_ms``, but not to before it: the clock was set back."""
        for entry in [entry for entry in self if entry.at_ms > until_ms]:
            self.extend(entry, max(until_ms, entry.at_ms - by_ms))

    def lapsed(self, time_ms: int) -> list[Entry]:
        """Return the jobs whose lease had lapsed before ``time_ms``, the earliest first."""
        return sorted(self.past(time_ms), key=lambda entry: (entry.at_ms, entry.fence, entry.id))

    def after(self, cursor: str) -> Iterator[Entry]:
        # By fence and id, which stay the same while a job runs; each heartbeat moves the deadline.
        fence, _, job_id = cursor.partition(":")
        behind = int(fence or 0), job_id
        found = [entry for entry in self if _run_of(entry) > behind]
        return iter(sorted(found, key=_run_of))

    def cursor(self, entry: Entry) -> str:
        return f"{entry.fence}:{entry.id}"


def _run_of(entry: Entry) -> tuple[int, str]:
    return entry.fence, entry.id


class Dead:
    """The dead letter queue, by the time of death, and by id where that is the same."""

    __slots__ = ("_by_tenant", "_entries", "_order", "groups")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._order: list[tuple[int, str]] = []
        self._by_tenant: Counter[str] = Counter()
        self.groups = Groups()
        """The same jobs by what they died of."""

    def __len__(self) -> int:
        return len(self._order)

    def count(self, tenant: str) -> int:
        """Return how many dead jobs ``tenant`` has."""
        return self._by_tenant[tenant]

    def count_between(self, since_ms: int, until_ms: int) -> int:
        """Return how many jobs died at ``since_ms`` or later, and before ``until_ms`` if that is not 0."""
        end = bisect.bisect_left(self._order, (until_ms, "")) if until_ms else len(self._order)
        return max(0, end - bisect.bisect_left(self._order, (since_ms, "")))

    def add(self, entry: Entry, group: bytes, now_ms: int) -> None:
        """Add an entry that has died now, of what ``group`` says."""
        entry.at_ms = now_ms
        self._enter(entry)
        self.groups.enter(entry, group, now_ms)

    def add_again(self, entry: Entry, group: str) -> None:
        """Add an entry that was here before, to where it stood."""
        self._enter(entry)
        self.groups.rejoin(entry, group)

    def _enter(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        bisect.insort(self._order, _death_of(entry))
        if entry.tenant:
            self._by_tenant[entry.tenant] += 1

    def remove(self, entry: Entry) -> None:
        self.groups.leave(entry)
        del self._entries[entry.id]
        del self._order[bisect.bisect_left(self._order, _death_of(entry))]
        if entry.tenant:
            self._by_tenant[entry.tenant] -= 1
            if not self._by_tenant[entry.tenant]:
                del self._by_tenant[entry.tenant]

    def surplus(self, ttl_ms: int, max_dead: int, limit: int, now_ms: int) -> list[Entry]:
        """Return up to ``limit`` jobs that are too old or too many, the oldest first."""
        excess = len(self._order) - max_dead
        oldest = enumerate(self._entries[job_id] for _, job_id in self._order[:limit])
        doomed = itertools.takewhile(lambda one: one[0] < excess or one[1].at_ms <= now_ms - ttl_ms, oldest)
        return [entry for _, entry in doomed]

    def after(self, cursor: str) -> Iterator[Entry]:
        at_ms, _, job_id = cursor.partition(" ")
        end = bisect.bisect_left(self._order, (int(at_ms), job_id)) if cursor else len(self._order)
        return (self._entries[self._order[at][1]] for at in range(end - 1, -1, -1))

    def cursor(self, entry: Entry) -> str:
        return f"{entry.at_ms} {entry.id}"


def _death_of(entry: Entry) -> tuple[int, str]:
    return entry.at_ms, entry.id


def job_of(entry: Entry, now_ms: int) -> Job:
    """Return the job of ``entry`` as it stands by its place, or a stand-in if it can't be read."""
    state, situation, left_ms = entry.ended_as, NO_SITUATION, -1
    if entry.place == "running":
        started_at_ms, worker = entry.claimed
        state = JobState.RUNNING
        situation = Situation(fence=entry.fence, started_at_ms=started_at_ms, worker=worker, seen_at_ms=now_ms)
    elif entry.place == "scheduled":
        situation = Situation(due_at_ms=entry.at_ms)
    elif entry.place == "dead":
        state, situation = JobState.FAILED, Situation(finished_at_ms=entry.at_ms)
    elif entry.place == "ended":
        left_ms = max(0, entry.at_ms - now_ms)
    return read_kept(entry, entry.body, entry.tries, state=state, situation=situation, left_ms=left_ms)


def oldest_wait_ms(lines: Iterable[Line], now_ms: int) -> int:
    """Return how long the oldest of the jobs that are first in their lines has waited, where its record says it."""
    heads = [next(iter(line)) for line in lines if line]
    created_at_ms = [job_of(head, now_ms).created_at_ms for head in heads]
    return max(0, now_ms - min((one for one in created_at_ms if one), default=now_ms))
