"""What workers do at intervals for a queue: recover, unpark, prune, and fire its schedules."""

from __future__ import annotations

from asyncjobs.brokers.memory.endings import burial, cancellation
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.memory.unique import prune_keys
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.record.tries import counted_tries, packed
from asyncjobs.core.retention import (
    CANCELLED_KEEP_MS,
    DIED_EARLY,
    UNKNOWN_NAME,
    UNKNOWN_NAME_GROUP,
    WORKERS_DIED,
    WORKERS_DIED_GROUP,
)
from asyncjobs.core.settlement import Settlement
from asyncjobs.ports import Firing, Recovery

__all__ = ["fire", "prune", "recover", "unpark"]

#: How many jobs of unknown names a call buries of each hold, and how many dead ones it prunes.
_MAX_BATCH = 1_000


def recover(queue: Queue, lease_ms: int, max_deaths: int, now_ms: int) -> Recovery:
    """Take back jobs whose lease has lapsed; after a gap, only those whose lease had lapsed before it."""
    revived: list[Entry] = []
    dead: list[tuple[Entry, Settlement]] = []
    cancelled: list[tuple[Entry, Settlement]] = []
    for entry in queue.running.lapsed(_recovered_before(queue, lease_ms, now_ms)):
        if queue.lined.by_time:
            queue.lined.charge(entry, (now_ms - entry.claimed[0]) / 1000)
        if entry.cancel_reason is not None:
            cancelled.append((entry, cancellation(entry, entry.cancel_reason, CANCELLED_KEEP_MS, now_ms)))
            continue
        failures, deaths, errors = counted_tries(entry.tries)
        deaths += 1
        if entry.acks_early or deaths >= max_deaths:
            message = DIED_EARLY if entry.acks_early else WORKERS_DIED % deaths
            error = JobError("WorkerDied", message, "", failures + deaths, now_ms, *entry.claimed)
            group = DIED_EARLY if entry.acks_early else WORKERS_DIED_GROUP
            dead.append((entry, burial(entry, failures, deaths, error, group)))
        else:
            queue.remember(entry, packed(failures, deaths, errors))
            revived.append(entry)
    was_full = queue.limit is not None and queue.limit.is_full(len(queue.running))
    queue.carry_out(dead + cancelled, now_ms)
    if was_full:
        queue.ring()
    if revived:
        queue.make_ready(revived, first=True)
        queue.ledger.enter_recovered(len(revived), now_ms)
    if queue.lined.changed:
        queue.pass_on(now_ms)
    return Recovery(
        [entry.id for entry in revived], [entry.id for entry, _ in dead], [entry.id for entry, _ in cancelled]
    )


def _recovered_before(queue: Queue, lease_ms: int, now_ms: int) -> int:
    """Return the time before which a lease must have lapsed for its job to be taken back now, in Unix milliseconds."""
    if not queue.running:
        return 0
    last, queue.recovered_at_ms = queue.recovered_at_ms, now_ms
    is_set_back, has_gap = now_ms < last, now_ms - last > lease_ms / 2
    if is_set_back or has_gap:
        # No worker was there for so long that leases of the living may have lapsed. They extend theirs first.
        queue.recover_from_ms = now_ms + lease_ms // 2
    if is_set_back:
        queue.running.set_back(last - now_ms, now_ms + lease_ms)
    elif has_gap:
        return last
    return now_ms if now_ms >= queue.recover_from_ms else 0


def unpark(queue: Queue, names: frozenset[str], grace_ms: int, now_ms: int) -> tuple[int, list[str]]:
    """Make parked jobs ready that may be claimed, and bury jobs of unknown names.

    Returns:
        How many jobs were moved, and the unknown names.
    """
    names_unknown = queue.parked.unknown_names(names)[:_MAX_BATCH]
    startable = queue.parked.startable(names)
    unknown = queue.parked.unknown(names, now_ms - grace_ms, _MAX_BATCH)
    queue.make_ready(startable, first=True)
    queue.carry_out([(entry, _burial_of_unknown(entry, grace_ms, now_ms)) for entry in unknown], now_ms)
    return len(startable) + len(unknown), names_unknown


def _burial_of_unknown(entry: Entry, grace_ms: int, now_ms: int) -> Settlement:
    failures, deaths, _ = counted_tries(entry.tries)
    message = UNKNOWN_NAME % (entry.name, f"{grace_ms / 1000:g}")
    error = JobError("UnknownJobName", message, "", failures + deaths + 1, now_ms)
    return burial(entry, failures, deaths, error, UNKNOWN_NAME_GROUP)


def prune(queue: Queue, dead_ttl_ms: int, max_dead: int, now_ms: int) -> int:
    """Delete dead jobs that are too old or too many, and what is left of groups, deletions, unique keys and limits.

    Returns:
        How many jobs.
    """
    doomed = queue.dead.surplus(dead_ttl_ms, max_dead, _MAX_BATCH, now_ms)
    for entry in doomed:
        queue.unique.leave(entry)
        queue.forget(entry)
    prune_keys(queue, now_ms)
    queue.lined.prune(now_ms)
    queue.pass_on(now_ms)
    queue.dead.groups.prune(now_ms)
    queue.deleted.prune(now_ms)
    return len(doomed)


def fire(queue: Queue, firing: Firing, now_ms: int) -> tuple[bool, bool]:
    """Fire the ticks of a schedule if the expected one is due; return whether they were, and whether to be skipped."""
    is_fired, is_skipped = queue.schedules.fire(firing, now_ms, lambda job_id: queue.get(job_id, now_ms))
    if is_fired and not is_skipped:
        for job, reply in zip(firing.jobs, queue.enqueue(firing.jobs, now_ms), strict=True):
            queue.schedules.set_last_job(firing.schedule_id, reply if isinstance(reply, str) else job.id)
    return is_fired, is_skipped
