"""The places in which a job can be; those of parked and of scheduled jobs have modules of their own."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from asyncjobs.brokers.memory.calendar import Calendar
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.line import Line

__all__ = ["Dead", "Listed", "Ready", "Running"]


class Listed(Protocol):
    """A place whose entries can be listed page by page."""

    def __len__(self) -> int: ...

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is here."""
        ...

    def after(self, cursor: str) -> Iterator[Entry]:
        """Return the entries behind ``cursor``, in the order of the place; all if it is empty."""
        ...

    def cursor(self, entry: Entry) -> str:
        """Return the cursor behind which the others are found, also once ``entry`` has left."""
        ...


class Ready:
    """Startable jobs: a line for each priority."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines = (Line(), Line(), Line(), Line())

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries, in this order, behind the others of their priority."""
        lines = self.lines
        for entry in entries:
            lines[entry.priority].append(entry)

    def prepend(self, entries: Sequence[Entry]) -> None:
        """Add entries, in this order, before the others of their priority."""
        for entry in reversed(entries):
            self.lines[entry.priority].prepend(entry)

    def remove(self, entry: Entry) -> None:
        self.lines[entry.priority].remove(entry)

    def first(self, limit: int, *, lowest_first: bool) -> list[Entry]:
        """Return up to ``limit`` entries in the order in which they are to start."""
        lines = self.lines[::-1] if lowest_first else self.lines
        return list(itertools.islice(itertools.chain(*lines), limit))

    def after(self, cursor: str) -> Iterator[Entry]:
        if not cursor:
            return itertools.chain(*self.lines)
        priority, number = map(int, cursor.split(":"))
        return itertools.chain(self.lines[priority].after(number), *self.lines[priority + 1 :])

    def cursor(self, entry: Entry) -> str:
        return f"{entry.priority}:{entry.number}"


class Running(Calendar):
    """Leased jobs, by the moment at which their leases lapse."""

    __slots__ = ()

    def extend(self, entry: Entry, deadline_ms: int) -> None:
        """Let the lease of ``entry`` last until ``deadline_ms``."""
        self.remove(entry)
        self.add([entry], deadline_ms)

    def lapsed(self, now_ms: int) -> list[Entry]:
        """Return the jobs whose lease has lapsed, the earliest first."""
        return sorted(self.past(now_ms), key=lambda entry: (entry.at_ms, entry.fence, entry.id))

    def after(self, cursor: str) -> Iterator[Entry]:
        # By what does not change while a job runs, as its deadline does.
        fence, _, job_id = cursor.partition(":")
        behind = int(fence or 0), job_id
        found = [entry for entry in self if _run_of(entry) > behind]
        return iter(sorted(found, key=_run_of))

    def cursor(self, entry: Entry) -> str:
        return f"{entry.fence}:{entry.id}"


def _run_of(entry: Entry) -> tuple[int, str]:
    return entry.fence, entry.id


class Dead:
    """The dead letter queue, in the order of death."""

    __slots__ = ("_by_tenant", "_line")

    def __init__(self) -> None:
        self._line = Line()
        self._by_tenant: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._line)

    def count(self, tenant: str) -> int:
        """Return how many of the dead are those of ``tenant``."""
        return self._by_tenant[tenant]

    def add(self, entry: Entry, now_ms: int) -> None:
        """Add an entry that has died now."""
        entry.at_ms = now_ms
        self._line.append(entry)
        if entry.tenant:
            self._by_tenant[entry.tenant] += 1

    def remove(self, entry: Entry) -> None:
        self._line.remove(entry)
        if entry.tenant:
            self._by_tenant[entry.tenant] -= 1
            if not self._by_tenant[entry.tenant]:
                del self._by_tenant[entry.tenant]

    def surplus(self, ttl_ms: int, max_dead: int, limit: int, now_ms: int) -> list[Entry]:
        """Return up to ``limit`` of those that are too old or too many, the oldest first."""
        excess = len(self._line) - max_dead
        oldest = enumerate(itertools.islice(self._line, limit))
        doomed = itertools.takewhile(lambda one: one[0] < excess or one[1].at_ms <= now_ms - ttl_ms, oldest)
        return [entry for _, entry in doomed]

    def after(self, cursor: str) -> Iterator[Entry]:
        return self._line.before(int(cursor)) if cursor else reversed(self._line)

    def cursor(self, entry: Entry) -> str:
        return str(entry.number)
