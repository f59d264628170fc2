"""The settlements that the broker itself makes, without a run of the job."""

from __future__ import annotations

import msgspec

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.grouping import fixed_group
from asyncjobs.core.record.envelope import Envelope, Final, JobError, decode_envelope, encode
from asyncjobs.core.record.tries import Tries, counted_tries, pack_tries, unpack_tries
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.errors import EnvelopeError, NewerVersion

__all__ = ["burial", "cancellation"]


def cancellation(entry: Entry, reason: str, keep_ms: int, now_ms: int) -> Settlement:
    """Return the settlement of a cancelled job, whose record is kept for ``keep_ms``."""
    failures, deaths, _ = counted_tries(entry.tries)
    return Settlement(
        entry.queue,
        entry.id,
        entry.name,
        entry.priority,
        entry.fence,
        Verdict.CANCEL,
        body=encode(Final(envelope=_enclosed(entry.body), reason=reason, finished_at_ms=now_ms)),
        ttl_ms=keep_ms,
        entry=_line(entry, JobState.CANCELLED, failures + deaths + 1, reason, now_ms),
        tenant=entry.tenant,
    )


def burial(entry: Entry, failures: int, deaths: int, error: JobError, group: str) -> Settlement:
    """Return the settlement of a job that is dead after so many failures and deaths, for an error that is no exception.

    Earlier errors that can't be read are left out. ``group`` says in words why jobs like this one are dead.
    """
    try:
        errors = unpack_tries(entry.tries).errors
    except EnvelopeError:
        errors = ()
    return Settlement(
        entry.queue,
        entry.id,
        entry.name,
        entry.priority,
        entry.fence,
        Verdict.DEAD,
        tries=pack_tries(Tries(failures, deaths, (*errors, error))),
        entry=_line(entry, JobState.FAILED, error.attempt, f"{error.type}: {error.message}", error.at_ms),
        tenant=entry.tenant,
        group=fixed_group(entry.name, error.type, group),
    )


def _enclosed(body: bytes) -> msgspec.Raw:
    """Return an envelope for the record of an ended job; an empty one in place of one that this version can't read."""
    try:
        decode_envelope(body)
    except NewerVersion:
        return msgspec.Raw(encode(Envelope()))
    except EnvelopeError:
        pass
    return msgspec.Raw(body)


def _line(entry: Entry, state: JobState, attempt: int, what: str, now_ms: int) -> bytes:
    name = entry.name if entry.tenant else ""
    return encode(HistoryEntry(entry.id, state.value, attempt, now_ms, 0, what, name))
