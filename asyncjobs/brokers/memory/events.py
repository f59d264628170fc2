"""The events of the jobs of one queue: numbered, capped, and kept for a time."""

from __future__ import annotations

from collections import deque

from asyncjobs.ports import Emission

__all__ = ["EventStreams"]


class _Stream:
    __slots__ = ("events", "expires_at_ms")

    def __init__(self) -> None:
        self.events: deque[tuple[int, bytes]] = deque()
        self.expires_at_ms = 0


class EventStreams:
    """Job id → its events; whoever adds also clears away some that have expired."""

    def __init__(self) -> None:
        # The longest untouched first.
        self._streams: dict[str, _Stream] = {}
        # The number of each job's last event, and fence and number of the emission that it came with: these outlive the
        # stream, until the job ends.
        self._numbers: dict[str, tuple[int, tuple[int, int]]] = {}

    def add(self, emission: Emission, most: int, expires_at_ms: int, now_ms: int) -> None:
        """Add what is new in ``emission``; keep the last ``most`` events, until they expire."""
        job_id, mark = emission.lease.id, (emission.lease.fence, emission.number)
        for _ in range(2):
            oldest = next(iter(self._streams), None)
            if oldest is not None and self._streams[oldest].expires_at_ms <= now_ms:
                del self._streams[oldest]
        stream = self._streams.pop(job_id, None)
        if stream is None or stream.expires_at_ms <= now_ms:
            stream = _Stream()
        self._streams[job_id] = stream
        # A stream that is known without its number is that of a job which had the same id and has ended.
        number, last_mark = self._numbers.get(job_id) or (stream.events[-1][0] if stream.events else 0, (0, 0))
        if last_mark[0] == mark[0] and last_mark >= mark:
            return
        stream.events.extend(enumerate(emission.events, number + emission.skipped + 1))
        self._numbers[job_id] = number + emission.skipped + len(emission.events), mark
        while len(stream.events) > most:
            stream.events.popleft()
        stream.expires_at_ms = expires_at_ms

    def read(self, job_id: str, after: int, limit: int, now_ms: int) -> list[tuple[int, bytes]] | None:
        """Return up to ``limit`` events with their numbers, ``None`` if the job has no stream."""
        stream = self._streams.get(job_id)
        if stream is None or stream.expires_at_ms <= now_ms:
            return None
        found = []
        for number, event in stream.events:
            if number > after:
                found.append((number, event))
                if len(found) == limit:
                    break
        return found

    def end(self, job_id: str) -> None:
        """Forget what is only needed while the job may tell more."""
        if self._numbers:
            self._numbers.pop(job_id, None)

    def remove(self, job_id: str) -> None:
        """Forget the stream of a job."""
        self._streams.pop(job_id, None)
        self.end(job_id)
