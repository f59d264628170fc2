"""What the jobs of each tenant came to in one queue: counters and history."""

from __future__ import annotations

from collections import Counter, deque

from asyncjobs.core.histogram import bucket_of
from asyncjobs.ports import TenantFigures

__all__ = ["TenantBooks"]

_HISTORY_LENGTH = 100
_KEEP_MS = 30 * 24 * 3_600_000


class _Book:
    """The counters and the history of one tenant, and when the last of them was entered."""

    __slots__ = ("counts", "entered_at_ms", "histogram", "history")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.histogram: Counter[int] = Counter()
        self.history: deque[bytes] = deque(maxlen=_HISTORY_LENGTH)
        self.entered_at_ms = 0


class TenantBooks:
    """A book a tenant (as in a record's header), until 30 days after its last entry.

    Nothing here is ever called for a job that has no tenant.
    """

    __slots__ = ("_books",)

    def __init__(self) -> None:
        # In the order of their last entries.
        self._books: dict[bytes, _Book] = {}

    def succeeded(self, tenant: bytes, duration_us: int, now_ms: int) -> None:
        """Count a job that has succeeded."""
        book = self._open(tenant, now_ms)
        book.counts["succeeded"] += 1
        book.counts["duration_us"] += duration_us
        book.histogram[bucket_of(duration_us)] += 1

    def count(self, tenant: bytes, field: str, now_ms: int) -> None:
        """Count a job that was ``cancelled`` or ``retried``, or has ``failed``."""
        self._open(tenant, now_ms).counts[field] += 1

    def enter(self, tenant: bytes, entry: bytes, now_ms: int) -> None:
        """Enter an end into the history."""
        self._open(tenant, now_ms).history.appendleft(entry)

    def _open(self, tenant: bytes, now_ms: int) -> _Book:
        book = self._read(tenant, now_ms) or _Book()
        book.entered_at_ms = now_ms
        self._books.pop(tenant, None)
        self._books[tenant] = book
        oldest = next(iter(self._books))
        if self._read(oldest, now_ms) is None:
            del self._books[oldest]
        return book

    def _read(self, tenant: bytes, now_ms: int) -> _Book | None:
        book = self._books.get(tenant)
        return book if book is not None and book.entered_at_ms + _KEEP_MS > now_ms else None

    def figures(self, tenant: bytes, dead: int, now_ms: int) -> TenantFigures:
        """Return the figures of ``tenant``, which has ``dead`` jobs in the dead letter queue."""
        book = self._read(tenant, now_ms) or _Book()
        return TenantFigures(**book.counts, histogram=dict(book.histogram), dead=dead)

    def history(self, tenant: bytes, now_ms: int) -> list[bytes]:
        """Return the encoded history, latest first."""
        book = self._read(tenant, now_ms)
        return [] if book is None else list(book.history)
