"""From a job to the bytes that a broker keeps, and back."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import NO_RESULT, Envelope, Final, decode_envelope, decode_final, encode
from asyncjobs.core.record.header import not_this_version
from asyncjobs.core.record.tries import Tries, counted_tries, unpack_tries
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import EnvelopeError, NewerVersion

__all__ = ["NO_SITUATION", "Kept", "Situation", "encode_final", "read_ended", "read_kept", "read_live", "stand_in"]


class Kept(Protocol):
    """What a broker knows of a job beside its body: a ``ports.NewJob``, or a ``ports.Claimed``."""

    @property
    def queue(self) -> str:
        """Its queue."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """The job name; empty where it can't be read."""
        ...

    @property
    def priority(self) -> int:
        """0 (critical) to 3 (low)."""
        ...

    @property
    def tenant(self) -> str:
        """The id of its tenant, empty if it has none."""
        ...

    @property
    def acks_early(self) -> bool:
        """Whether it is never run twice."""
        ...

    @property
    def unique_key(self) -> str:
        """The key under which it is unique, empty if it isn't."""
        ...

    @property
    def line(self) -> str:
        """The key of its line (``core.lines``), empty for none."""
        ...


class Situation(NamedTuple):
    """What the place of a job says of it; the fields are those of a ``Job``."""

    due_at_ms: int | None = None
    finished_at_ms: int | None = None
    fence: int = 0
    started_at_ms: int | None = None
    worker: str = ""
    seen_at_ms: int | None = None
    deletion: int | None = None


NO_SITUATION = Situation()


def encode_final(job: Job, body: bytes | msgspec.Raw, *, outlives_ms: int = 0) -> bytes:
    """Return the body of the record of an ended ``job``, around ``body``, the envelope that it was sent with.

    ``outlives_ms``: for how long the record is kept after its result has lapsed, in milliseconds.
    """
    assert job.state in ENDED, f"{job.id} is {job.state.value}"
    final = Final(
        envelope=msgspec.Raw(body),
        result=msgspec.Raw(job.encoded_result) if job.encoded_result else NO_RESULT,
        reason=job.reason,
        failures=job.failures,
        deaths=job.deaths,
        errors=job.errors,
        fence=job.fence,
        started_at_ms=job.started_at_ms,
        finished_at_ms=job.finished_at_ms or 0,
        outlives_ms=outlives_ms,
    )
    return encode(final)


def read_live(kept: Kept, body: bytes | memoryview, tries: bytes = b"", *, state: JobState | None = None) -> Job:
    """Return a job that has not ended, without what its place says of it.

    Args:
        kept: What the broker knows of it.
        body: The envelope.
        tries: What earlier attempts came to, as ``pack_tries`` stored it.
        state: The state that its place says; by default pending, or retrying once an attempt has failed.

    Raises:
        EnvelopeError: The record is damaged, or (``NewerVersion``) of a later version.
    """
    if not kept.name:
        raise not_this_version(body)
    so_far = unpack_tries(tries) if tries else _NO_TRIES
    if state is None:
        state = _RETRYING if so_far.failures else _PENDING
    return Job(
        id=kept.id,
        name=kept.name,
        queue=kept.queue,
        priority=_PRIORITIES[kept.priority],
        state=state,
        envelope=decode_envelope(body),
        tenant=kept.tenant,
        acks_early=kept.acks_early,
        unique_key=kept.unique_key,
        line=kept.line,
        failures=so_far.failures,
        deaths=so_far.deaths,
        errors=so_far.errors,
    )


def read_ended(kept: Kept, body: bytes | memoryview, state: JobState, left_ms: int = -1) -> Job:
    """Return a job that has ended.

    Args:
        kept: What the broker knows of it.
        body: The body that ``encode_final`` made.
        state: The state in which it has ended.
        left_ms: For how long the record is kept from now on, in milliseconds, to leave out a result that has lapsed;
            -1 if it is known that none has.

    Raises:
        EnvelopeError: The record can't be read.
    """
    final = decode_final(body)
    has_lapsed = 0 <= left_ms <= final.outlives_ms
    return Job(
        id=kept.id,
        name=kept.name,
        queue=kept.queue,
        priority=_PRIORITIES[kept.priority],
        state=state,
        envelope=decode_envelope(final.envelope),
        tenant=kept.tenant,
        acks_early=kept.acks_early,
        unique_key=kept.unique_key,
        failures=final.failures,
        deaths=final.deaths,
        errors=final.errors,
        fence=final.fence,
        started_at_ms=final.started_at_ms,
        finished_at_ms=final.finished_at_ms,
        encoded_result=b"" if has_lapsed else bytes(final.result),
        reason=final.reason,
    )


def read_kept(
    kept: Kept,
    body: bytes | memoryview,
    tries: bytes = b"",
    *,
    state: JobState | None = None,
    situation: Situation = NO_SITUATION,
    left_ms: int = -1,
) -> Job:
    """Return a job as it stands, or a stand-in if it can't be read.

    Args:
        kept: What the broker knows of it.
        body: The envelope; of an ended job, the body that ``encode_final`` made.
        tries: As ``read_live`` takes it.
        state: As ``read_live`` takes it, or the state in which it has ended.
        situation: What its place says of it.
        left_ms: As ``read_ended`` takes it.
    """
    try:
        if state in ENDED:
            return read_ended(kept, body, state, left_ms)
        job = read_live(kept, body, tries, state=state)
    except EnvelopeError as error:
        version = error.version if isinstance(error, NewerVersion) else VERSION
        return stand_in(kept, tries, state or JobState.PENDING, version=version, situation=situation)
    if state is JobState.FAILED and job.errors:
        situation = situation._replace(started_at_ms=job.errors[-1].started_at_ms)
    return job if situation is NO_SITUATION else msgspec.structs.replace(job, **situation._asdict())


def stand_in(
    kept: Kept,
    tries: bytes,
    state: JobState,
    *,
    version: int = VERSION,
    situation: Situation = NO_SITUATION,
) -> Job:
    """Return a job without arguments in place of one that can't be read, so that it can still fail and be listed.

    It has no name, unless it is of a later ``version``; the other arguments are as of ``read_kept``.
    """
    try:
        so_far = unpack_tries(tries)
    except EnvelopeError:
        failures, deaths, _ = counted_tries(tries)
        so_far = Tries(failures, deaths)
    return Job(
        id=kept.id,
        name=kept.name if version > VERSION else "",
        queue=kept.queue,
        priority=_PRIORITIES[kept.priority],
        state=state,
        envelope=Envelope(),
        tenant=kept.tenant,
        failures=so_far.failures,
        deaths=so_far.deaths,
        errors=so_far.errors,
        version=version,
        **situation._asdict(),
    )


_PRIORITIES = tuple(Priority)
_NO_TRIES = Tries()
# Looked up once: every claimed job asks for one.
_PENDING, _RETRYING = JobState.PENDING, JobState.RETRYING
