"""The verbs for operators: what is done to jobs by their place and by their id."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from asyncjobs.brokers.memory.deleted import DeletedJob
from asyncjobs.brokers.memory.endings import cancellation
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.places import Listed, job_of
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.memory.unique import take_again
from asyncjobs.core.bounds import MAX_DURATION_MS, bounded_ms
from asyncjobs.core.record.tries import counted_tries, packed
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import Situation, read_kept
from asyncjobs.ports import CancelReply, EditReply, Hold, JobPage, Place

__all__ = [
    "behind",
    "cancel",
    "delete",
    "edit",
    "forget",
    "hold",
    "page",
    "page_of_deleted",
    "retry",
    "undelete",
]

#: The reply for a job that no longer waits, by its place.
_TOO_LATE: dict[str, Literal["running", "ended", "failed"]] = {
    "running": "running",
    "ended": "ended",
    "dead": "failed",
}


def page(
    queue: Queue,
    place: Place,
    after: str,
    limit: int,
    tenant: str,
    until_ms: int,
    group: str | None,
    now_ms: int,
) -> JobPage:
    """Return the jobs among the next ``limit`` entries of a place.

    Of the dead they are those that died before ``until_ms``, and are in ``group`` if that is not ``None``.
    """
    listed = queue.listed[place]
    rest = behind(listed, after)
    if place == "dead":
        if until_ms:
            rest = itertools.dropwhile(lambda entry: entry.at_ms >= until_ms, rest)
        if group is not None:
            rest = (entry for entry in rest if entry.group == group)
    entries = list(itertools.islice(rest, limit + 1))
    cursor = listed.cursor(entries[limit - 1]) if len(entries) > limit else ""
    return JobPage([job_of(one, now_ms) for one in entries[:limit] if not tenant or one.tenant == tenant], cursor)


def page_of_deleted(queue: Queue, after: str, limit: int, tenant: str, now_ms: int) -> JobPage:
    """Return the jobs among the next ``limit`` of those whose deletion can be undone."""
    found = list(itertools.islice(queue.deleted.after(after, now_ms), limit + 1))
    cursor = f"{found[limit - 1].deletion} {found[limit - 1].id}" if len(found) > limit else ""
    jobs = []
    for one in found[:limit]:
        if not tenant or one.entry.tenant == tenant:
            state = JobState.FAILED if one.was_dead else one.entry.ended_as
            situation = Situation(finished_at_ms=one.entry.at_ms if one.was_dead else None, deletion=one.deletion)
            job = read_kept(one.entry, one.entry.body, one.tries, state=state, situation=situation)
            jobs.append(job)
    return JobPage(jobs, cursor)


def behind(listed: Listed, cursor: str) -> Iterator[Entry]:
    """Return the entries behind ``cursor``, or all of them if it is none."""
    try:
        return listed.after(cursor)
    except (ValueError, IndexError):
        return listed.after("")


def cancel(
    queue: Queue, job_id: str, reason: str, keep_ms: int, now_ms: int, watchers: Mapping[str, Callable[[], None]]
) -> CancelReply:
    """Cancel a waiting job now, or mark a running one and tell its worker, if it is one of ``watchers``."""
    entry = queue.get(job_id, now_ms)
    if entry is None:
        return "unknown"
    if entry.place == "running":
        entry.cancel_reason = reason
        if tell := watchers.get(entry.claimed[1]):
            tell()
    elif entry.place not in _TOO_LATE:
        queue.carry_out([(entry, cancellation(entry, reason, keep_ms, now_ms))], now_ms)
        return "cancelled"
    return _TOO_LATE[entry.place]


def edit(queue: Queue, job_id: str, priority: int | None, due_at_ms: int | None, now_ms: int) -> EditReply:
    """Give a waiting job another priority, or another time; ``None`` leaves either as it is."""
    entry = queue.get(job_id, now_ms)
    if entry is None:
        return "unknown"
    if entry.place in _TOO_LATE:
        return _TOO_LATE[entry.place]
    if priority is None:
        priority = entry.priority
    if due_at_ms is None:
        due_at_ms = entry.at_ms if entry.place == "scheduled" else now_ms
    if due_at_ms > now_ms:
        _leave_for(queue, entry, priority)
        queue.schedule([(entry, min(due_at_ms, now_ms + MAX_DURATION_MS))])
    elif entry.place == "scheduled" or (entry.place == "ready" and priority != entry.priority):
        _leave_for(queue, entry, priority)
        queue.make_ready([entry])
    else:
        entry.priority = priority
    return "edited"


def retry(queue: Queue, job_ids: Sequence[str], delay_ms: int, spread_ms: int, now_ms: int) -> list[bool]:
    """Make dead jobs ready with all their retries, or scheduled; return for each id whether it was that of a dead job.

    The first is due in ``delay_ms``, and the others at equal intervals within ``spread_ms``.
    """
    reply = []
    retried = []
    for job_id in job_ids:
        entry = queue.jobs.get(job_id)
        if entry is None or entry.place != "dead":
            reply.append(False)
            continue
        reply.append(True)
        queue.leave(entry)
        queue.remember(entry, packed(0, 0, counted_tries(entry.tries)[2]))
        take_again(queue, entry, now_ms)
        retried.append(entry)
    dues = [bounded_ms(delay_ms + spread_ms * n // len(retried)) for n in range(len(retried))]
    queue.make_ready([entry for entry, due in zip(retried, dues, strict=True) if not due])
    queue.schedule([(entry, now_ms + due) for entry, due in zip(retried, dues, strict=True) if due])
    return reply


def forget(queue: Queue, job_id: str, now_ms: int) -> bool:
    """Forget an ended job; return whether there was one."""
    entry = queue.get(job_id, now_ms)
    if entry is None or entry.place != "ended":
        return False
    # As when its record expires, one that has completed holds its key until its time is over.
    queue.unique.leave(entry, completed=entry.ended_as is JobState.COMPLETED)
    queue.forget(entry)
    return True


def delete(queue: Queue, job_id: str, keep_ms: int, deletion: int, now_ms: int) -> bool:
    """Delete a dead or ended job, and keep it for ``keep_ms``; return whether there was one."""
    entry = queue.get(job_id, now_ms)
    if entry is None or entry.place not in ("dead", "ended"):
        return False
    was_dead, group, tries, last_event = entry.place == "dead", entry.group, entry.tries, entry.last_event
    until_ms = now_ms + keep_ms if was_dead else min(entry.at_ms, now_ms + keep_ms)
    queue.unique.leave(entry)
    queue.forget(entry)
    if keep_ms > 0:
        entry.last_event = last_event
        queue.deleted.put(DeletedJob(deletion, job_id, entry, group, tries, was_dead, until_ms))
    return True


def undelete(queue: Queue, job_id: str, now_ms: int) -> bool:
    """Bring a deleted job back to where it was; return whether it is back."""
    if queue.get(job_id, now_ms) is not None:
        return False
    job = queue.deleted.take(job_id, now_ms)
    if job is None:
        return False
    entry = job.entry
    before = queue.jobs.get(job_id)
    if before is not None:
        queue.forget(before)
    queue.jobs[job_id] = entry
    if job.was_dead:
        entry.place = "dead"
        queue.dead.add_again(entry, job.group)
        queue.remember(entry, job.tries)
    else:
        entry.place = "ended"
        queue.ended.add((entry,), job.until_ms)
    return True


def hold(queue: Queue, what: Hold, on: bool, by: str, why: str, now_ms: int) -> bool:
    """Begin or end a hold; return whether that changed anything."""
    changed = queue.parked.set(what, on, by, why, now_ms)
    if changed and not on:
        queue.ring()
    return changed


def _leave_for(queue: Queue, entry: Entry, priority: int) -> None:
    """Take a job out of its place, then change its priority; the place may go by the old one."""
    queue.leave(entry)
    entry.priority = priority
