"""The records of ended jobs, each kept for a time: as exact as a clock when asked, cleared away bit by bit."""

from __future__ import annotations

from heapq import heappop, heappush

__all__ = ["ExpiringRecords"]


class ExpiringRecords:
    """Id → record, until it expires.

    An entry is cleared away some time after it has expired, by ``prune``; ids wait for that in lists a second of
    expiry, which costs less than a heap of them all.
    """

    __slots__ = ("_by_second", "_entries", "_seconds")

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes]] = {}
        self._by_second: dict[int, list[str]] = {}
        self._seconds: list[int] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, job_id: str, record: bytes, expires_at_ms: int) -> None:
        """Keep ``record`` until ``expires_at_ms``."""
        self._entries[job_id] = (expires_at_ms, record)
        second = expires_at_ms // 1000
        ids = self._by_second.get(second)
        if ids is None:
            self._by_second[second] = [job_id]
            heappush(self._seconds, second)
        else:
            ids.append(job_id)

    def get(self, job_id: str, now_ms: int) -> bytes | None:
        """Return the record, or ``None`` if there is none any longer."""
        entry = self._entries.get(job_id)
        return entry[1] if entry is not None and entry[0] > now_ms else None

    def remove(self, job_id: str) -> None:
        """Forget the record, if there is one."""
        self._entries.pop(job_id, None)

    def prune(self, now_ms: int, most: int) -> None:
        """Clear away at most ``most`` expired entries."""
        entries, seconds = self._entries, self._seconds
        while seconds and (seconds[0] + 1) * 1000 <= now_ms and most > 0:
            ids = self._by_second[seconds[0]]
            cleared = ids[-most:]
            del ids[-most:]
            most -= len(cleared)
            for job_id in cleared:
                entry = entries.get(job_id)
                # An id that has ended anew waits in a later list too.
                if entry is not None and entry[0] <= now_ms:
                    del entries[job_id]
            if not ids:
                del self._by_second[heappop(seconds)]
