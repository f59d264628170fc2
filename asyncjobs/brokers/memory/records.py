"""Reads and marks stored records by position, as the Redis scripts do (``lua/header.lua``), without decoding them."""

from __future__ import annotations

from msgspec import Raw

from asyncjobs.core.envelope import Final, encode

__all__ = ["as_cancelled", "is_ended", "is_parked", "is_readable", "marked", "name_of"]

_HEADER_BYTES = 7
_VERSION = ord("1")
_LIVE = ord("-")
_PARKED = ord("p")


def is_readable(record: bytes) -> bool:
    """Say whether ``record`` has a whole header of our version; its body may be damaged all the same."""
    return (
        len(record) >= _HEADER_BYTES
        and record[0] == _VERSION
        and len(record) >= _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    )


def is_parked(record: bytes) -> bool:
    """Say whether the readable ``record`` is marked as parked."""
    return record[1] == _PARKED


def is_ended(record: bytes) -> bool:
    """Say whether the readable ``record`` is that of an ended job."""
    return record[1] not in (_LIVE, _PARKED)


def name_of(record: bytes) -> bytes:
    """Return the job name in the readable ``record``, as UTF-8."""
    return record[_HEADER_BYTES : _HEADER_BYTES + record[3]]


def marked(record: bytes, *, parked: bool) -> bytes:
    """Return the live ``record`` marked as parked or not."""
    return record[:1] + (b"p" if parked else b"-") + record[2:]


def as_cancelled(record: bytes, reason: str, now_ms: int) -> bytes:
    """Return the readable live ``record`` as that of a cancelled job; the envelope's bytes stay as they are."""
    head = _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    final = Final(envelope=Raw(memoryview(record)[head:]), reason=reason, finished_at_ms=now_ms)
    return b"1x" + record[2:head] + encode(final)
