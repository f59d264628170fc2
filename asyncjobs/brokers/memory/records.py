"""Reads and marks stored records by position, as the Redis scripts do (``lua/header.lua``), without decoding them."""

from __future__ import annotations

import functools

from msgspec import Raw

from asyncjobs.core.record.envelope import Final, encode

__all__ = [
    "as_bytes",
    "as_cancelled",
    "is_ended",
    "is_parked",
    "is_readable",
    "label_of",
    "marked",
    "name_of",
    "tenant_label",
    "tenant_of",
    "with_priority",
]

_HEADER_BYTES = 7
_VERSION = ord("1")
_LIVE = ord("-")
_PARKED = ord("p")
_PARKED_BY_TENANT = ord("t")


@functools.lru_cache(maxsize=256)
def as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    """Return job names as records have them."""
    return frozenset(name.encode() for name in names)


def is_readable(record: bytes) -> bool:
    """Say whether ``record`` has a whole header of our version; its body may be damaged all the same."""
    return (
        len(record) >= _HEADER_BYTES
        and record[0] == _VERSION
        and len(record) >= _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    )


def is_parked(record: bytes) -> bool:
    """Say whether the readable ``record`` is marked as parked, for its name or its tenant."""
    return record[1] in (_PARKED, _PARKED_BY_TENANT)


def is_ended(record: bytes) -> bool:
    """Say whether the readable ``record`` is that of an ended job."""
    return record[1] not in (_LIVE, _PARKED, _PARKED_BY_TENANT)


def name_of(record: bytes) -> bytes:
    """Return the job name in the readable ``record``, as UTF-8."""
    return record[_HEADER_BYTES : _HEADER_BYTES + record[3]]


def tenant_of(record: bytes) -> bytes:
    """Return the tenant in ``record``, as UTF-8; empty if it has none or can't be read."""
    return tenant_label(record)[1:] if is_readable(record) else b""


def tenant_label(record: bytes) -> bytes:
    """Return the label of the tenant in the readable ``record``: it begins with a space, as no job name does."""
    first = _HEADER_BYTES + record[3] + record[4]
    return b" " + record[first : first + record[5]]


def label_of(record: bytes) -> bytes:
    """Return the label of the list that the parked ``record`` is in: that of its name, or that of its tenant."""
    return tenant_label(record) if record[1] == _PARKED_BY_TENANT else name_of(record)


def marked(record: bytes, kind: bytes) -> bytes:
    """Return the live ``record`` marked as parked, ``p`` for its name or ``t`` for its tenant, or not (``-``)."""
    return record[:1] + kind + record[2:]


def with_priority(record: bytes, priority: int) -> bytes:
    """Return the live ``record`` with another priority."""
    return record[:2] + b"%d" % priority + record[3:]


def as_cancelled(record: bytes, reason: str, now_ms: int) -> bytes:
    """Return the readable live ``record`` as that of a cancelled job; the envelope's bytes stay as they are."""
    head = _HEADER_BYTES + sum(record[3:_HEADER_BYTES])
    final = Final(envelope=Raw(memoryview(record)[head:]), reason=reason, finished_at_ms=now_ms)
    return b"1x" + record[2:head] + encode(final)
