"""The way of a job to a worker and to its end."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.core.retention import CLAIM_KEEP_MS
from asyncjobs.core.settlement import Settlement
from asyncjobs.ports import Claimed, ClaimRequest, Emission, Lease

__all__ = ["claim", "emit", "extend", "settle"]

_MAX_PROMOTED = 1_000


def claim(queue: Queue, request: ClaimRequest, want: int, now_ms: int) -> tuple[list[Claimed], int | None, bool]:
    """Return the jobs, the next due time if this worker keeps the timer, and whether to claim again at once."""
    last = queue.claims.get(request.worker, now_ms)
    if last is not None and last[0] == request.number:
        fence, entries = last[1], last[2]
        return [_claimed(entry) for entry in entries if entry.fence == fence and entry.place == "running"], None, True
    queue.promote(now_ms, _MAX_PROMOTED)
    looked_at = [] if queue.paused else queue.ready.first(want, lowest_first=request.lowest_first)
    taken = _unless_held(queue, looked_at, request.names, now_ms)
    if taken:
        queue.lease(taken, now_ms + request.lease_ms)
        keep_ms = max(CLAIM_KEEP_MS, 2 * request.lease_ms)
        queue.claims.put(request.worker, (request.number, queue.fence, taken), keep_ms, now_ms)
    more = len(queue.ready) > 0
    again = more and len(taken) < len(looked_at)
    if not more or queue.paused:
        queue.bell.token = False
    elif not again:
        queue.bell.ring()
    return [_claimed(entry) for entry in taken], _next_due(queue, request, now_ms), again


def _unless_held(queue: Queue, entries: list[Entry], known: frozenset[str] | None, now_ms: int) -> list[Entry]:
    """Return those of ``entries`` that may be claimed by a worker that knows the names ``known``; park the others."""
    if known is None and not queue.parked.holds:
        return entries
    taken = []
    for entry in entries:
        hold = queue.parked.hold_of(entry, known)
        if hold is None:
            taken.append(entry)
        else:
            queue.park(entry, hold, now_ms)
    return taken


def _claimed(entry: Entry) -> Claimed:
    return Claimed(
        entry.queue,
        entry.id,
        entry.name,
        entry.body,
        entry.priority,
        entry.tenant,
        entry.acks_early,
        entry.fence,
        entry.tries,
    )


def _next_due(queue: Queue, request: ClaimRequest, now_ms: int) -> int | None:
    if request.keep_timer_ms <= 0:
        return None
    due_at_ms = queue.scheduled.earliest()
    if due_at_ms is None or not queue.timer.keep(request.worker, request.keep_timer_ms, now_ms):
        return None
    return due_at_ms


def settle(queue: Queue, settlements: Sequence[Settlement], now_ms: int) -> list[bool]:
    """End, retry, bury or release leased jobs; return for each whether its lease still held."""
    reply: list[bool] = []
    held: list[tuple[Entry, Settlement]] = []
    for one in settlements:
        entry = queue.leased(one.id, one.fence)
        if entry is None:
            reply.append(False)
            continue
        reply.append(True)
        # At once, so that the same settlement named again is refused.
        queue.leave(entry)
        held.append((entry, one))
    queue.carry_out(held, now_ms)
    queue.clear(now_ms, len(reply))
    return reply


def extend(queue: Queue, lease: Lease, deadline_ms: int) -> tuple[bool, str | None]:
    """Return whether the lease holds, and why its job is to be cancelled, if it is."""
    entry = queue.leased(lease.id, lease.fence)
    if entry is None:
        return False, None
    queue.running.extend(entry, deadline_ms)
    return True, entry.cancel_reason


def emit(queue: Queue, emission: Emission, max_events: int, ttl_ms: int, now_ms: int) -> bool:
    """Add events to the stream of a running job; return whether its lease still held."""
    entry = queue.leased(emission.lease.id, emission.lease.fence)
    if entry is None:
        return False
    queue.events.add(entry, emission, max_events, ttl_ms, now_ms)
    queue.watchers.tell(entry.id)
    return True
