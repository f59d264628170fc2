"""The way of a job through its queue: in, to a worker, and to its end."""

from __future__ import annotations

from collections.abc import Iterable

from asyncjobs.brokers.memory.queue import QueueState
from asyncjobs.brokers.memory.records import as_bytes, is_readable, marked
from asyncjobs.core.record.header import priority_of
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import Claimed, ClaimRequest, Emission, Lease, NewJob

__all__ = ["claim", "emit", "enqueue", "extend", "settle"]

_PROMOTED_A_CLAIM = 1_000

_ENDING = (Verdict.COMPLETE, Verdict.CANCEL, Verdict.DEAD)
_HIGHEST_FIRST = range(4)
_LOWEST_FIRST = range(3, -1, -1)


def enqueue(state: QueueState, jobs: Iterable[NewJob], now_ms: int) -> list[bool]:
    """Accept ``jobs``; return for each whether it is new."""
    live, ended, ready = state.live, state.ended, state.ready
    earliest = state.timetable.earliest()
    reply = []
    rings = False
    for job in jobs:
        job_id = job.id
        if job_id in live or ended.get(job_id, now_ms) is not None:
            reply.append(False)
            continue
        reply.append(True)
        record = live[job_id] = job.record
        due_at_ms = now_ms + job.delay_ms if job.due_at_ms is None else job.due_at_ms
        if due_at_ms > now_ms:
            state.timetable.put(due_at_ms, priority_of(record), job_id)
        else:
            ready[priority_of(record)].ids.append(job_id)
            rings = True
    if state.timer.reset(earliest) or rings:
        state.bell.ring()
    ended.prune(now_ms, 16 + 2 * len(reply))
    return reply


def claim(state: QueueState, request: ClaimRequest, want: int, now_ms: int) -> tuple[list[Claimed], int | None, bool]:
    """Return the jobs, the next due time if this worker keeps the timer, and whether to claim again at once."""
    fence = state.claims.fence_of(request, now_ms)
    if fence is not None:
        return _replayed(state, fence), None, True

    for _, priority, job_id in state.timetable.pop_due(now_ms, _PROMOTED_A_CLAIM):
        state.ready[priority].ids.append(job_id)
    fence = state.fence + 1
    jobs, members, looked_at = _take(state, request, want, fence, now_ms)
    more = state.has_ready()

    if members:
        state.fence = fence
        state.leases.grant(fence, members, now_ms + request.lease_ms)
        state.claims.remember(request, fence, now_ms)
    keep_ms = request.keep_timer_ms
    next_due_ms = state.timer.keep(request.worker, keep_ms, now_ms) if keep_ms > 0 else None
    again = more and len(jobs) < looked_at
    if not more or state.paused:
        state.bell.token = False
    elif not again:
        state.bell.ring()
    return jobs, next_due_ms, again


def _replayed(state: QueueState, fence: int) -> list[Claimed]:
    return [
        Claimed(state.name, job_id, fence, state.tries.get(job_id, b""), state.live[job_id])
        for job_id in state.leases.members(fence)
    ]


def _take(
    state: QueueState, request: ClaimRequest, want: int, fence: int, now_ms: int
) -> tuple[list[Claimed], dict[str, int], int]:
    """Take up to ``want`` entries out of the ready lists; park those that must wait.

    Return the others, their ids with the priorities, and how many entries were looked at.
    """
    jobs: list[Claimed] = []
    members: dict[str, int] = {}
    looked_at = 0
    if state.paused:
        return jobs, members, looked_at
    live, tries, name, parking = state.live, state.tries, state.name, state.parking
    known = None if request.names is None else as_bytes(request.names)
    for priority in _LOWEST_FIRST if request.lowest_first else _HIGHEST_FIRST:
        waiting = state.ready[priority]
        ids, gone = waiting.ids, waiting.gone
        take = min(len(ids), want - looked_at)
        looked_at += take
        for _ in range(take):
            job_id = ids.popleft()
            if gone and waiting.passes_over(job_id):
                continue
            record = live.get(job_id)
            if record is None:
                continue
            if (known is not None or parking.suspended) and is_readable(record):
                mark, label = parking.place(record, known)
                if mark:
                    live[job_id] = marked(record, mark)
                    parking.park(job_id, label, now_ms)
                    continue
            members[job_id] = priority
            jobs.append(Claimed(name, job_id, fence, tries.get(job_id, b"") if tries else b"", record))
    return jobs, members, looked_at


def settle(state: QueueState, settlements: Iterable[Settlement], now_ms: int) -> list[bool]:
    """End, retry, bury or release leased jobs; return for each whether its lease still held."""
    live, ended, tries, awaited = state.live, state.ended, state.tries, state.awaited
    take, end_events = state.leases.take, state.events.end
    earliest = state.timetable.earliest()
    reply = []
    held: list[Settlement] = []
    released: list[tuple[int, str]] = []
    for one in settlements:
        job_id, verdict = one.id, one.verdict
        if not take(one.fence, one.priority, job_id):
            reply.append(False)
            continue
        reply.append(True)
        held.append(one)
        if verdict is Verdict.COMPLETE or verdict is Verdict.CANCEL:
            del live[job_id]
            ended.put(job_id, one.record, now_ms + one.ttl_ms)
            if tries:
                tries.pop(job_id, None)
            end_events(job_id)
        elif verdict is Verdict.RETRY or verdict is Verdict.SNOOZE:
            state.timetable.put(now_ms + one.delay_ms, one.priority, job_id)
            if verdict is Verdict.RETRY:
                tries[job_id] = one.tries
        elif verdict is Verdict.DEAD:
            state.dead.bury(job_id, one.tenant.encode(), now_ms)
            tries[job_id] = one.tries
        else:
            released.append((one.priority, job_id))
        if awaited.sleepers and verdict in _ENDING:
            awaited.tell(job_id)
    state.books.enter_settled(held, now_ms)
    for priority, job_id in reversed(released):
        state.ready[priority].ids.appendleft(job_id)
    if state.timer.reset(earliest) or released:
        state.bell.ring()
    ended.prune(now_ms, 16 + 2 * len(reply))
    return reply


def extend(state: QueueState, lease: Lease, deadline_ms: int) -> tuple[bool, str | None]:
    """Return whether the lease holds, and why its job is to be cancelled, if it is."""
    held = state.leases.extend(lease.fence, lease.priority, lease.id, deadline_ms)
    return held, state.leases.reasons.get((lease.fence, lease.id)) if held else None


def emit(state: QueueState, emission: Emission, most: int, expires_at_ms: int, now_ms: int) -> bool:
    """Add events to the stream of a running job; say whether its lease still held."""
    lease = emission.lease
    if not state.leases.holds(lease.fence, lease.priority, lease.id):
        return False
    state.events.add(emission, most, expires_at_ms, now_ms)
    state.awaited.tell(lease.id)
    return True
