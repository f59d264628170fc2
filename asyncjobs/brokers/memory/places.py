"""The places in which a job can be; those of parked and of scheduled jobs have modules of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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

    def after(self, cursor: str, tenant: str) -> Iterator[Entry]:
        """Return the entries behind ``cursor``, all if that is empty; those of ``tenant`` alone where that is easy."""
        ...

    def cursor(self, entry: Entry) -> str:
        """Return the cursor behind which the entries after ``entry`` are found, also once that has left."""
        ...


class Ready:
    """Startable jobs: a line for each priority."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines = (Line(), Line(), Line(), Line())

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    def append(self, entry: Entry) -> None:
        """Add ``entry`` behind those of its priority."""
        self.lines[entry.priority].append(entry)

    def prepend(self, entry: Entry) -> None:
        """Add ``entry`` before those of its priority."""
        self.lines[entry.priority].prepend(entry)

    def remove(self, entry: Entry) -> None:
        self.lines[entry.priority].remove(entry)

    def first(self, limit: int, *, lowest_first: bool) -> list[Entry]:
        """Return up to ``limit`` entries in the order in which they are to start."""
        lines = self.lines[::-1] if lowest_first else self.lines
        return list(itertools.islice(itertools.chain(*lines), limit))

    def after(self, cursor: str, tenant: str) -> Iterator[Entry]:
        if not cursor:
            return itertools.chain(*self.lines)
        priority, number = map(int, cursor.split(":"))
        return itertools.chain(self.lines[priority].after(number), *self.lines[priority + 1 :])

    def cursor(self, entry: Entry) -> str:
        return f"{entry.priority}:{entry.number}"


class Running:
    """Leased jobs, by the moment at which their leases lapse."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines = Calendar()

    def __len__(self) -> int:
        return len(self._deadlines)

    def add(self, entry: Entry, fence: int, deadline_ms: int) -> None:
        """Lease ``entry`` under ``fence`` until ``deadline_ms``."""
        entry.fence, entry.at_ms = fence, deadline_ms
        self._deadlines.add(entry)

    def remove(self, entry: Entry) -> None:
        self._deadlines.remove(entry)
        entry.cancel_reason = None

    def extend(self, entry: Entry, deadline_ms: int) -> None:
        """Let the lease of ``entry`` last until ``deadline_ms``."""
        self._deadlines.remove(entry)
        entry.at_ms = deadline_ms
        self._deadlines.add(entry)

    def lapsed(self, now_ms: int) -> list[Entry]:
        """Return the jobs whose lease has lapsed, the earliest first."""
        return sorted(self._deadlines.past(now_ms), key=lambda entry: (entry.at_ms, entry.fence, entry.id))

    def after(self, cursor: str, tenant: str) -> Iterator[Entry]:
        fence, _, job_id = cursor.partition(":")
        behind = int(fence or 0), job_id
        found = [((entry.fence, entry.id), entry) for entry in self._deadlines]
        return (entry for key, entry in sorted(found, key=lambda one: one[0]) if key > behind)

    def cursor(self, entry: Entry) -> str:
        return f"{entry.fence}:{entry.id}"


class Dead:
    """The dead letter queue, and beside it that of each tenant."""

    __slots__ = ("_by_tenant", "_line")

    def __init__(self) -> None:
        self._line = Line()
        self._by_tenant: dict[str, dict[int, Entry]] = {}

    def __len__(self) -> int:
        return len(self._line)

    def count(self, tenant: str) -> int:
        """Return how many of the dead are those of ``tenant``."""
        return len(self._by_tenant.get(tenant, ()))

    def add(self, entry: Entry, now_ms: int) -> None:
        """Add an entry that has died now."""
        entry.at_ms = now_ms
        self._line.append(entry)
        if entry.tenant:
            self._by_tenant.setdefault(entry.tenant, {})[entry.number] = entry

    def remove(self, entry: Entry) -> None:
        self._line.remove(entry)
        if entry.tenant:
            own = self._by_tenant[entry.tenant]
            del own[entry.number]
            if not own:
                del self._by_tenant[entry.tenant]

    def surplus(self, ttl_ms: int, max_dead: int, limit: int, now_ms: int) -> list[Entry]:
        """Return up to ``limit`` of those that are too old or too many, the oldest first."""
        excess = len(self._line) - max_dead
        return [
            entry
            for number, entry in enumerate(itertools.islice(self._line, limit))
            if number < excess or entry.at_ms <= now_ms - ttl_ms
        ]

    def after(self, cursor: str, tenant: str) -> Iterator[Entry]:
        before = int(cursor) if cursor else _BEYOND
        if not tenant:
            return self._line.before(before)
        own = self._by_tenant.get(tenant, {})
        return (own[number] for number in reversed(own) if number < before)

    def cursor(self, entry: Entry) -> str:
        return str(entry.number)


_BEYOND = 1 << 62
