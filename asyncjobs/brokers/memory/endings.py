"""The settlements that the broker itself makes, without a run of the job."""

from __future__ import annotations

import msgspec

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.record.envelope import Final, JobError, encode
from asyncjobs.core.record.tries import Tries, pack_tries, unpack_tries
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict
from asyncjobs.core.states import JobState

__all__ = ["burial", "cancellation"]


def cancellation(entry: Entry, reason: str, keep_ms: int, now_ms: int) -> Settlement:
    """Return the settlement of a cancelled job, whose record is kept for ``keep_ms``."""
    tries = unpack_tries(entry.tries)
    attempt = tries.failures + tries.deaths + 1
    return Settlement(
        entry.queue,
        entry.id,
        entry.name,
        entry.priority,
        entry.fence,
        Verdict.CANCEL,
        body=encode(Final(envelope=msgspec.Raw(entry.body), reason=reason, finished_at_ms=now_ms)),
        ttl_ms=keep_ms,
        entry=_line(entry, JobState.CANCELLED, attempt, reason, now_ms),
        tenant=entry.tenant,
    )


def burial(entry: Entry, tries: Tries, error: JobError) -> Settlement:
    """Return the settlement of a job that is dead after ``tries``, for an error that is no exception."""
    return Settlement(
        entry.queue,
        entry.id,
        entry.name,
        entry.priority,
        entry.fence,
        Verdict.DEAD,
        tries=pack_tries(Tries(tries.failures, tries.deaths, (*tries.errors, error))),
        entry=_line(entry, JobState.FAILED, error.attempt, f"{error.type}: {error.message}", error.at_ms),
        tenant=entry.tenant,
    )


def _line(entry: Entry, state: JobState, attempt: int, what: str, now_ms: int) -> bytes:
    name = entry.name if entry.tenant else ""
    return encode(HistoryEntry(entry.id, state.value, attempt, now_ms, 0, what, name))
