"""The header of a job's record on the wire, its version, and how older versions stay readable.

A record is a short header that a Lua script reads by position, then msgpack::

    byte 1      version: "1"
    byte 2      kind: "-" live, "p" live and parked for its name, "t" for its tenant, "c" completed, "x" cancelled
    byte 3      priority: "0" critical … "3" low
    bytes 4-7   lengths of: name, flow key, tenant, extension
    then        name, flow key, tenant, extension (UTF-8), and the body to the end

The flow key is room for later. The extension holds letters for what scripts must know of a job, ``e`` (acknowledged
early, so never run twice); readers pass over those they do not know. The body of a live record is an ``Envelope``; that
of an ended one is a ``Final``, which carries the envelope's bytes unchanged.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.errors import EnvelopeError

__all__ = [
    "MAX_NAME_BYTES",
    "Header",
    "decode_header",
    "encode_header",
    "ended_header",
    "header_size",
    "priority_of",
    "tenant_in",
]

#: The longest job name, flow key, tenant or extension, in bytes of UTF-8: its length is one byte of the header.
MAX_NAME_BYTES = 255

_VERSION = b"1"
_ENDED_KINDS = {JobState.COMPLETED: b"c", JobState.CANCELLED: b"x"}
_KIND_STATES: dict[int, JobState | None] = {
    ord("-"): None,
    ord("p"): None,
    ord("t"): None,
    **{kind[0]: state for state, kind in _ENDED_KINDS.items()},
}
_FIXED = 7
_ACKS_EARLY = b"e"


class Header(NamedTuple):
    """The decoded header of a record; ``state`` is ``None`` while the job lives; ``end`` is where the body starts."""

    state: JobState | None
    priority: Priority
    name: str
    key: str
    tenant: str
    acks_early: bool
    end: int


_PRIORITIES = {ord("0") + priority: priority for priority in Priority}


@functools.lru_cache(maxsize=1024)
def encode_header(name: str, priority: int, key: str = "", tenant: str = "", acks_early: bool = False) -> bytes:
    """Return the header of a live record; raise ``EnvelopeError`` if name, key or tenant exceeds 255 bytes."""
    parts = [part.encode() for part in (name, key, tenant)]
    for what, part in zip(("job name", "flow key", "tenant id"), parts, strict=True):
        if len(part) > MAX_NAME_BYTES:
            raise EnvelopeError(f"the {what} has {len(part)} bytes; at most {MAX_NAME_BYTES} fit: {part[:40]!r}…")
    extension = _ACKS_EARLY if acks_early else b""
    return _VERSION + b"-%d" % priority + bytes((*map(len, parts), len(extension))) + b"".join(parts) + extension


def header_size(record: bytes) -> int:
    """Return where the body of ``record`` starts; raise ``EnvelopeError`` if it isn't a record we can read."""
    if len(record) < _FIXED or record[:1] != _VERSION:
        raise EnvelopeError(
            f"not a version-1 job record: it starts with {record[:8]!r}; "
            "a newer asyncjobs may have written it, or something else uses the key"
        )
    size = _FIXED + record[3] + record[4] + record[5] + record[6]
    if size > len(record):
        raise EnvelopeError(f"the job record is cut off: its header has {size} bytes, all of it {len(record)}")
    return size


def decode_header(record: bytes) -> Header:
    """Return what the header of ``record`` says; raise ``EnvelopeError`` if it isn't a record we can read."""
    return _decode_header(record[: header_size(record)])


@functools.lru_cache(maxsize=1024)
def _decode_header(header: bytes) -> Header:
    """Decode; cached, because a worker's jobs differ little in their headers."""
    kind, priority, name_size, key_size, tenant_size, extension_size = header[1:_FIXED]
    name_end = _FIXED + name_size
    key_end = name_end + key_size
    tenant_end = key_end + tenant_size
    try:
        return Header(
            _KIND_STATES[kind],
            _PRIORITIES[priority],
            header[_FIXED:name_end].decode(),
            header[name_end:key_end].decode(),
            header[key_end:tenant_end].decode(),
            _ACKS_EARLY in header[tenant_end:],
            tenant_end + extension_size,
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise EnvelopeError(f"the header of the job record is damaged: {header[:24]!r} ({error})") from None


def ended_header(record: bytes, state: JobState) -> bytes:
    """Return the header of ``record`` as that of a job that has ended in ``state``."""
    return _VERSION + _ENDED_KINDS[state] + record[2 : header_size(record)]


def priority_of(record: bytes) -> int:
    """Return the priority in the header of ``record``, also of one that can't be read; the lowest if it has none."""
    return record[2] - 48 if len(record) > 2 and 48 <= record[2] <= 51 else Priority.LOW


def tenant_in(record: bytes) -> str:
    """Return the tenant in the header of ``record``, whatever its body; empty if it has none or can't be read."""
    try:
        return decode_header(record).tenant
    except EnvelopeError:
        return ""
