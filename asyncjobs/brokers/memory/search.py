"""What there is in a place: jobs by what stands in them, their names, and where one waits."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.limits import gate_figures
from asyncjobs.brokers.memory.places import job_of
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.memory.store import behind
from asyncjobs.core.job import Job
from asyncjobs.ports import JobLocation, Place, Sample, ScanPage, ScanRequest

__all__ = ["MemorySearch"]


# From how many parts of a place the jobs of a sample are.
_PARTS = 20


class MemorySearch:
    """These verbs of a ``ports.JobStore``, for the memory broker."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]

    async def scan(self, queue: str, request: ScanRequest) -> ScanPage:
        with self._lock:
            return _scan(self._queue(queue), request, self._now_ms())

    async def locate(self, queue: str, job_id: str) -> JobLocation | None:
        with self._lock:
            return _locate(self._queue(queue), job_id, self._now_ms())

    async def sample(self, queue: str, place: Place, limit: int) -> Sample:
        with self._lock:
            return _sample(self._queue(queue), place, limit)


def _scan(queue: Queue, asked: ScanRequest, now_ms: int) -> ScanPage:
    """Return the jobs that a request asks for, among the next entries of a place."""
    listed = queue.listed[asked.place]
    jobs: list[Job] = []
    looked_at = 0
    last: Entry | None = None
    for entry in behind(listed, asked.after):
        if last is not None and (looked_at == asked.limit or len(jobs) == asked.most):
            return ScanPage(jobs, listed.cursor(last), looked_at)
        looked_at, last = looked_at + 1, entry
        if _passes(entry, asked):
            jobs.append(job_of(entry, now_ms))
    return ScanPage(jobs, "", looked_at)


def _passes(entry: Entry, asked: ScanRequest) -> bool:
    return (
        (not asked.name or entry.name == asked.name)
        and (not asked.tenant or entry.tenant == asked.tenant)
        and (not asked.needles or any(_has(entry, needle) for needle in asked.needles))
    )


def _has(entry: Entry, needle: bytes) -> bool:
    return any(needle in part for part in (entry.body, entry.tries, entry.id.encode(), entry.name.encode()))


def _locate(queue: Queue, job_id: str, now_ms: int) -> JobLocation | None:
    """Return where a job waits or runs; ``None`` if there is no record."""
    entry = queue.get(job_id, now_ms)
    if entry is None:
        return None
    if entry.place == "ready":
        return _locate_ready(queue, entry, now_ms)
    if entry.place == "running":
        return JobLocation("running", leased_until_ms=entry.at_ms, line=entry.line)
    return JobLocation("parked" if entry.place == "parked" else "other", entry.hold, line=entry.line)


def _locate_ready(queue: Queue, entry: Entry, now_ms: int) -> JobLocation:
    ahead = queue.ready.ahead(entry)
    if not entry.line:
        return JobLocation("ready", ahead=ahead)
    line = queue.lined.line_of(entry)
    closed = line.gate or queue.lined.first_closed(line, now_ms)
    gate = gate_figures(queue.lined, closed, now_ms) if closed else None
    if line.gate:
        lines_ahead = queue.lined.lines_before(line)
        return JobLocation("ready", ahead=ahead, line=entry.line, gate=gate, lines_ahead=lines_ahead)
    groups_ahead = queue.lined.turns[line.priority].groups_before(line.group)
    return JobLocation("ready", ahead=ahead, line=entry.line, gate=gate, groups_ahead=groups_ahead)


def _sample(queue: Queue, place: Place, limit: int) -> Sample:
    """Return the names and tenants of some of the jobs in one place, taken from parts of it at equal distances."""
    listed = queue.listed[place]
    # Neighbours are taken: jobs that were sent in turns would fall in with an even step.
    a_part, step = -(-len(listed) // _PARTS), -(-limit // _PARTS)
    entries: list[Entry] = []
    left = listed.after("")
    for _ in range(_PARTS):
        entries += itertools.islice(left, min(step, a_part))
        rest = max(0, a_part - step)
        next(itertools.islice(left, rest, rest), None)
    tenants = Counter(entry.tenant for entry in entries if entry.tenant)
    return Sample(len(entries), dict(Counter(entry.name for entry in entries)), dict(tenants))
