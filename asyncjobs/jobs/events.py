"""The events of a running job: its progress, data, and log lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.core.encrypted import refuse_encrypted
from asyncjobs.core.record.version import DECODING_ERRORS, unreadable
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS, STANDARD

__all__ = ["EventKind", "JobEvent", "JobEvents", "Progress", "decode_event", "encode_event"]

#: What an event is about.
EventKind = Literal["progress", "data", "log"]
"""What an event comes from: ``progress()``, ``emit()`` or ``log`` of the running job."""

_MAX_BYTES = 65_536


class Progress(NamedTuple):
    """How far a job has come."""

    done: float
    """How much is done, in a unit of the handler's own."""
    total: float | None
    """How much there is to do, in the same unit; ``None`` if that isn't known."""
    note: str
    """A text for people; empty by default."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a job, as ``handle.events()`` yields it."""

    number: int
    """The number of the event in its job: it rises by one from 1, over all attempts. ``events(after=…)`` takes it."""
    attempt: int
    """The attempt that emitted the event."""
    at: datetime
    """When it was emitted, in UTC, by the worker's clock."""
    kind: EventKind
    """``progress``, ``data`` or ``log``: emitted by ``progress``, ``emit`` or ``log`` of the job's context."""
    data: Any
    """Of ``data``, what ``emit`` was given; of ``log``, ``{"level": …, "message": …}``; of ``progress``, see there."""
    dropped: int = 0
    """How many events right before this one are lost, because only the latest of a job are kept."""

    @property
    def progress(self) -> Progress | None:
        """How far the job has come; ``None`` for an event of another kind."""
        return Progress(*self.data) if self.kind == "progress" else None


class JobEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the events of a job, as ``handle.next_events()`` returns them."""

    events: list[JobEvent]
    """The events, in order."""
    next: int
    """``after`` of the events that come next."""
    is_over: bool
    """Whether no event can come after these: the job has ended."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    attempt: int
    at_ms: int
    kind: EventKind
    data: Any


_decoder = msgspec.msgpack.Decoder(_Stored)


def encode_event(attempt: int, at_ms: int, kind: EventKind, data: Any) -> bytes:
    """Return an event as it is stored.

    Raises:
        ArgumentsError: It can't be encoded, or not be read again, or has more than 64 KiB.
    """
    try:
        encoded = STANDARD.encode_value(_Stored(attempt, at_ms, kind, data))
        # There is data that msgspec writes, and then can't read.
        _decoder.decode(encoded)
    except ENCODING_ERRORS as error:
        raise ArgumentsError(
            f"the event of type {type(data).__qualname__} can't be encoded, or not be read again: {error}"
        ) from error
    if len(encoded) > _MAX_BYTES:
        raise ArgumentsError(
            f"the event has {len(encoded)} bytes, at most {_MAX_BYTES} fit; store the data elsewhere and emit its key"
        )
    return encoded


def decode_event(number: int, stored: bytes, dropped: int) -> JobEvent:
    """Return a stored event.

    Raises:
        EnvelopeError: It is damaged, encrypted (``EncryptionError``), or of a later version (``NewerVersion``).
    """
    try:
        event = _decoder.decode(stored)
    except DECODING_ERRORS as error:
        refuse_encrypted(f"event {number} is", stored)
        raise unreadable(f"event {number}", stored, error) from None
    return JobEvent(
        number=number,
        attempt=event.attempt,
        at=utc_time(event.at_ms),
        kind=event.kind,
        data=event.data,
        dropped=dropped,
    )
