"""What a running job tells those who follow it: progress, data, log lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from asyncjobs.core.values import ENCODING_ERRORS, encode_value
from asyncjobs.errors import ArgumentsError

__all__ = ["EventKind", "JobEvent", "Progress", "decode_event", "encode_event"]

EventKind = Literal["progress", "data", "log"]

_MAX_BYTES = 65_536


class Progress(NamedTuple):
    """How far a job has come: ``done`` of ``total`` (``None`` if nobody knows), and a ``note``."""

    done: float
    total: float | None
    note: str


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a job. ``number`` rises by one from 1, over all attempts; ``after=`` of ``events()`` takes it.

    ``kind``: ``progress`` (see ``progress``), ``data`` (what ``emit`` was given) or ``log`` (``{"level", "message"}``).
    ``at``: when it happened, by the worker's clock. ``dropped``: how many events before this one are lost, because a
    job keeps only its latest.
    """

    number: int
    attempt: int
    at: datetime
    kind: EventKind
    data: Any
    dropped: int = 0

    @property
    def progress(self) -> Progress | None:
        """How far the job has come, if that is what the event tells."""
        return Progress(*self.data) if self.kind == "progress" else None


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    attempt: int
    at_ms: int
    kind: EventKind
    data: Any


_decoder = msgspec.msgpack.Decoder(_Stored)


def encode_event(attempt: int, at_ms: int, kind: EventKind, data: Any) -> bytes:
    """Return an event as it is stored; raise ``ArgumentsError`` for data that can't be encoded, or over 64 KiB."""
    try:
        encoded = encode_value(_Stored(attempt, at_ms, kind, data))
    except ENCODING_ERRORS as error:
        raise ArgumentsError(f"the event of type {type(data).__qualname__} can't be encoded: {error}") from error
    if len(encoded) > _MAX_BYTES:
        raise ArgumentsError(
            f"the event has {len(encoded)} bytes, at most {_MAX_BYTES} fit; store the data elsewhere and emit its key"
        )
    return encoded


def decode_event(number: int, stored: bytes, dropped: int) -> JobEvent:
    """Return a stored event."""
    event = _decoder.decode(stored)
    return JobEvent(
        number=number,
        attempt=event.attempt,
        at=datetime.fromtimestamp(event.at_ms / 1000, UTC),
        kind=event.kind,
        data=event.data,
        dropped=dropped,
    )
