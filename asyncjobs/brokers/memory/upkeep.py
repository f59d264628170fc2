"""What workers do now and then to keep a queue in order: take back, unpark and prune."""

from __future__ import annotations

from asyncjobs.brokers.memory.queue import QueueState
from asyncjobs.brokers.memory.records import as_bytes, is_readable, marked, name_of
from asyncjobs.brokers.memory.store import delete
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.record.header import decode_header, priority_of
from asyncjobs.core.record.tries import Tries, pack_tries, unpack_tries
from asyncjobs.ports import Recovery

__all__ = ["prune", "recover", "unpark"]

# How long the record of a job is kept whose cancellation was still under way when its worker died.
_CANCELLED_KEEP_MS = 24 * 3_600_000


def recover(state: QueueState, lease_ms: int, max_deaths: int, now_ms: int) -> Recovery:
    """Take back jobs whose lease has expired, unless nobody has looked for a while."""
    done = Recovery([], [], [])
    if not _may_recover(state, lease_ms, now_ms):
        return done
    for _, _, fence, priority, job_id in reversed(state.leases.expired(now_ms)):
        reason = state.leases.reasons.get((fence, job_id))
        state.leases.take(fence, priority, job_id)
        record = state.live[job_id]
        if reason is not None and is_readable(record):
            state.end_cancelled(job_id, record, reason, now_ms, _CANCELLED_KEEP_MS)
            done.cancelled.append(job_id)
        elif _revive(state, job_id, record, priority, max_deaths, now_ms):
            done.recovered.append(job_id)
        else:
            done.dead.append(job_id)
    if done.recovered:
        state.bell.ring()
    return done


def _may_recover(state: QueueState, lease_ms: int, now_ms: int) -> bool:
    last = state.recovered_at_ms
    has_gap = last is None or now_ms - last > lease_ms
    state.recovered_at_ms = now_ms
    if has_gap:
        # No worker was there, so all leases have lapsed at once: let the living extend theirs first.
        state.recover_from_ms = now_ms + lease_ms // 4
    return not has_gap and now_ms >= state.recover_from_ms


def _revive(state: QueueState, job_id: str, record: bytes, priority: int, max_deaths: int, now_ms: int) -> bool:
    """Make a job ready whose worker has died, or bury it after too many deaths; say whether it lives."""
    failures, deaths, errors = unpack_tries(state.tries.get(job_id))
    tries = Tries(failures, deaths + 1, errors)
    is_early = is_readable(record) and decode_header(record).acks_early
    if tries.deaths < max_deaths and not is_early:
        state.tries[job_id] = pack_tries(tries)
        state.ready[priority].ids.appendleft(job_id)
        state.books.counts["recovered"] += 1
        return True
    message = f"{tries.deaths} workers died, or lost their lease, while they ran this job"
    if is_early:
        message = "its worker died, or lost its lease; acknowledged early, it is not run again"
    error = JobError("WorkerDied", message, "", failures + tries.deaths, now_ms)
    state.bury(job_id, name_of(record) if is_readable(record) else b"", tries, error, now_ms)
    return False


def unpark(state: QueueState, names: frozenset[str], grace_ms: int, now_ms: int) -> int:
    """Make parked jobs ready that may be claimed, bury those whose name nobody has known; return how many of both."""
    unparked = buried = 0
    for label, revives in state.parking.leaving(as_bytes(names), grace_ms, now_ms):
        for job_id in reversed([one for one in state.parking.pop(label) if one in state.live]):
            record = state.live[job_id] = marked(state.live[job_id], b"-")
            if revives:
                state.ready[priority_of(record)].ids.appendleft(job_id)
                unparked += 1
            else:
                _bury_unknown(state, job_id, label, grace_ms, now_ms)
                buried += 1
    if unparked:
        state.bell.ring()
    return unparked + buried


def _bury_unknown(state: QueueState, job_id: str, name: bytes, grace_ms: int, now_ms: int) -> None:
    tries = unpack_tries(state.tries.get(job_id))
    message = f"no worker has known the job name {str(name, 'utf-8', 'replace')} for {grace_ms / 1000:g} s"
    error = JobError("UnknownJobName", message, "", tries.failures + tries.deaths + 1, now_ms)
    state.bury(job_id, name, tries, error, now_ms)


def prune(state: QueueState, dead_ttl_ms: int, max_dead: int, now_ms: int) -> int:
    """Forget the dead that are too old or too many; return how many."""
    doomed = state.dead.surplus(dead_ttl_ms, max_dead, now_ms)
    for job_id in doomed:
        delete(state, job_id, now_ms)
    return len(doomed)
