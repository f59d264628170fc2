"""Jobs by their id: found, listed, changed, and what they have told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Literal

from asyncjobs.brokers.memory.queue import QueueState
from asyncjobs.brokers.memory.records import (
    is_ended,
    is_parked,
    is_readable,
    label_of,
    marked,
    tenant_of,
    with_priority,
)
from asyncjobs.core.job import Job
from asyncjobs.core.record.header import priority_of
from asyncjobs.core.record.tries import Tries, pack_tries, unpack_tries
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import read_placed
from asyncjobs.ports import CancelReply, EditReply, EventPage, Place

__all__ = ["browse", "cancel", "delete", "edit", "failed", "find", "read_events", "retry"]


def find(state: QueueState, job_id: str, now_ms: int) -> Job | None:
    """Return the job as it stands, or ``None`` if there is no record."""
    record = state.live.get(job_id)
    if record is None:
        record = state.ended.get(job_id, now_ms)
        return None if record is None else read_placed(job_id, state.name, record, None, None)
    if job_id in state.dead:
        return _read_dead(state, job_id)
    tries = state.tries.get(job_id)
    due_at_ms = state.timetable.due_at(job_id)
    if due_at_ms is not None:
        return read_placed(job_id, state.name, record, tries, None, due_at_ms=due_at_ms)
    fence = state.leases.fence_of(job_id)
    if fence is not None:
        return read_placed(job_id, state.name, record, tries, JobState.RUNNING, fence=fence)
    return read_placed(job_id, state.name, record, tries, None)


def _read_dead(state: QueueState, job_id: str) -> Job:
    record, tries = state.live[job_id], state.tries.get(job_id)
    died_at_ms = state.dead.died_at(job_id)
    return read_placed(job_id, state.name, record, tries, JobState.FAILED, finished_at_ms=died_at_ms)


def browse(state: QueueState, place: Place, offset: int, limit: int, tenant: str) -> tuple[list[Job], int]:
    """Return the jobs of a page in the order in which they will start, and how many entries were looked at."""
    places: dict[Place, Callable[[], Iterable[str]]] = {
        "ready": lambda: itertools.chain.from_iterable(waiting.ids for waiting in state.ready),
        "parked": state.parking.ids,
        "scheduled": state.timetable.in_order,
        "running": state.leases.ids,
    }
    page = list(itertools.islice(places[place](), offset, offset + limit))
    found = []
    for job_id in dict.fromkeys(page):
        record = state.live.get(job_id)
        if record is None or (tenant and tenant_of(record) != tenant.encode()):
            continue
        if not is_readable(record) or (place == "parked") == is_parked(record):
            found.append(job_id)
    jobs = [find(state, job_id, 0) for job_id in found]
    return [job for job in jobs if job is not None], len(page)


def failed(state: QueueState, limit: int, before: tuple[int, str] | None, tenant: str) -> list[Job]:
    """Return the latest dead; those of one millisecond by id, the last first."""
    return [_read_dead(state, job_id) for job_id in state.dead.latest(limit, before, tenant.encode())]


def cancel(state: QueueState, job_id: str, reason: str, keep_ms: int, now_ms: int) -> CancelReply:
    """Cancel a waiting job now, or mark a running one for its worker."""
    record = state.live.get(job_id)
    if record is None:
        return _unless_live(state, job_id, now_ms)
    if job_id in state.dead or not is_readable(record):
        return "failed"
    if is_ended(record):
        return "ended"
    if state.timetable.due_at(job_id) is not None:
        state.timetable.remove(job_id)
    else:
        fence = state.leases.fence_of(job_id)
        if fence is not None:
            state.leases.reasons[fence, job_id] = reason
            return "running"
        _take_out(state, job_id, record)
    state.end_cancelled(job_id, record, reason, now_ms, keep_ms)
    return "cancelled"


def _unless_live(state: QueueState, job_id: str, now_ms: int) -> Literal["unknown", "ended"]:
    return "unknown" if state.ended.get(job_id, now_ms) is None else "ended"


def _take_out(state: QueueState, job_id: str, record: bytes) -> None:
    """Take a job that is ready or parked out of its list."""
    if is_parked(record):
        state.parking.remove(job_id, label_of(record))
    else:
        state.ready[priority_of(record)].remove(job_id)


def edit(state: QueueState, job_id: str, priority: int | None, due_at_ms: int | None, now_ms: int) -> EditReply:
    """Give a waiting job another priority, or another time; ``None`` leaves each as it is."""
    record = state.live.get(job_id)
    if record is None:
        return _unless_live(state, job_id, now_ms)
    if job_id in state.dead or not is_readable(record):
        return "failed"
    if state.leases.fence_of(job_id) is not None:
        return "running"
    old = priority_of(record)
    new = old if priority is None else priority
    scheduled_ms = state.timetable.due_at(job_id)
    due_ms = due_at_ms if due_at_ms is not None else now_ms if scheduled_ms is None else scheduled_ms
    earliest = state.timetable.earliest()
    if scheduled_ms is not None:
        state.timetable.remove(job_id)
    elif due_ms > now_ms:
        _take_out(state, job_id, record)
        record = marked(record, b"-")
    elif is_parked(record) or new == old:
        state.live[job_id] = with_priority(record, new)
        return "edited"
    else:
        _take_out(state, job_id, record)
    state.live[job_id] = with_priority(record, new)
    if due_ms > now_ms:
        state.timetable.put(due_ms, new, job_id)
        if state.timer.reset(earliest):
            state.bell.ring()
    else:
        state.ready[new].ids.append(job_id)
        state.bell.ring()
    return "edited"


def retry(state: QueueState, job_id: str) -> bool:
    """Make a dead job ready with its full retries; say whether there was one."""
    if job_id not in state.dead:
        return False
    state.exhume(job_id)
    errors = unpack_tries(state.tries.get(job_id)).errors
    state.tries[job_id] = pack_tries(Tries(errors=errors))
    state.ready[priority_of(state.live[job_id])].ids.append(job_id)
    state.bell.ring()
    return True


def delete(state: QueueState, job_id: str, now_ms: int) -> bool:
    """Forget a dead or an ended job; say whether there was one."""
    if job_id in state.dead:
        state.exhume(job_id)
        del state.live[job_id]
        state.tries.pop(job_id, None)
    elif state.ended.get(job_id, now_ms) is None:
        return False
    state.ended.remove(job_id)
    state.events.remove(job_id)
    return True


def read_events(state: QueueState, job_id: str, after: int, limit: int, now_ms: int) -> EventPage | None:
    """Return up to ``limit`` events numbered above ``after``, ``None`` if neither the job nor events are known."""
    found = state.events.read(job_id, after, limit, now_ms)
    is_live = job_id in state.live
    if found is None and not is_live and state.ended.get(job_id, now_ms) is None:
        return None
    events = found or []
    is_over = not is_live or job_id in state.dead
    return EventPage(events, is_over and len(events) < limit)
