"""The header of a job's record where scripts read it by position, its version, and how older versions stay readable.

A record is a short header, then msgpack::

    byte 1      version: "1", a digit in all versions
    byte 2      kind: "-" live, "p" live and parked for its name, "t" for its tenant, a digit for that it can't be read
                by asyncjobs of this version, "c" completed, "v" completed with a result that may
                count for less time than the record is kept, "x" cancelled
    byte 3      priority: "0" critical … "3" low
    bytes 4-7   lengths of: name, flow key, tenant, extension
    then        name, flow key, tenant, extension (UTF-8), and the body to the end

The flow key is the key of the job's line (``core.lines``), and ends with ``"\\x1e"`` and the key under which the job is
unique, if it is. The extension holds letters for what scripts must know of a job: ``e`` is acknowledged early, so never
run twice. Readers pass over letters that they don't know, and over all that stands behind a NUL: a later version may
put text there. The body of a live record is an ``Envelope``, and the body of an ended one a ``Final``, which carries
the envelope's bytes unchanged. A later version may give the body another form, never the header.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from asyncjobs.core.priority import Priority
from asyncjobs.core.record.version import VERSION, newer_version
from asyncjobs.core.states import JobState
from asyncjobs.errors import EnvelopeError

__all__ = [
    "CANCELLED",
    "COMPLETED",
    "COMPLETED_BRIEFLY",
    "LIVE",
    "MAX_NAME_BYTES",
    "Header",
    "decode_header",
    "decode_newer_header",
    "encode_header",
    "flow_key",
    "line_part",
    "not_this_version",
    "priority_of",
    "unique_part",
]

#: The longest job name, flow key, tenant or extension, in bytes of UTF-8: its length is one byte of the header.
MAX_NAME_BYTES = 255

#: The kinds of records that Python writes; scripts mark parked ones.
LIVE, COMPLETED, COMPLETED_BRIEFLY, CANCELLED = b"-", b"c", b"v", b"x"

_VERSION = b"%d" % VERSION
_KIND_STATES: dict[int, JobState | None] = {
    ord(LIVE): None,
    ord("p"): None,
    ord("t"): None,
    **{ord(str(version)): None for version in range(1, 10)},
    ord(COMPLETED): JobState.COMPLETED,
    ord(COMPLETED_BRIEFLY): JobState.COMPLETED,
    ord(CANCELLED): JobState.CANCELLED,
}
_FIXED_BYTES = 7
_UNIQUE_MARK = "\x1e"
_ACKS_EARLY = b"e"
_PRIORITIES = {ord("0") + priority: priority for priority in Priority}


class Header(NamedTuple):
    """The decoded header of a record."""

    state: JobState | None
    """The state in which the job has ended, ``None`` while it lives."""
    priority: Priority
    """The job's priority."""
    name: str
    """The job name."""
    key: str
    """The flow key."""
    tenant: str
    """The id of the tenant, empty if it has none."""
    acks_early: bool
    """Whether the job is never run twice."""
    end: int
    """Where the body starts."""


def flow_key(unique: str, line: str = "") -> str:
    """Return the flow key of a job that is unique under ``unique``, and waits in ``line``; both may be empty."""
    return f"{line}{_UNIQUE_MARK}{unique}" if unique else line


def line_part(key: str) -> str:
    """Return the key of the line in which a job with the flow key ``key`` waits, empty for none."""
    return key.partition(_UNIQUE_MARK)[0]


def unique_part(key: str) -> str:
    """Return the key under which a job with the flow key ``key`` is unique, empty if it isn't."""
    return key.rpartition(_UNIQUE_MARK)[2] if _UNIQUE_MARK in key else ""


@functools.lru_cache(maxsize=1024)
def encode_header(
    name: str, priority: int, key: str = "", tenant: str = "", acks_early: bool = False, kind: bytes = LIVE
) -> bytes:
    """Return the header of a record.

    Args:
        name: The job name.
        priority: 0 (critical) to 3 (low).
        key: The flow key.
        tenant: The id of the tenant.
        acks_early: Whether the job is never run twice.
        kind: ``LIVE``, ``COMPLETED``, ``COMPLETED_BRIEFLY`` or ``CANCELLED``.

    Raises:
        EnvelopeError: The name, the key or the tenant has more than 255 bytes.
    """
    parts = [part.encode() for part in (name, key, tenant)]
    for what, part in zip(("job name", "flow key", "tenant id"), parts, strict=True):
        if len(part) > MAX_NAME_BYTES:
            raise EnvelopeError(f"the {what} has {len(part)} bytes; at most {MAX_NAME_BYTES} fit: {part[:40]!r}…")
    extension = _ACKS_EARLY if acks_early else b""
    sizes = bytes((*map(len, parts), len(extension)))
    return _VERSION + kind + b"%d" % priority + sizes + b"".join(parts) + extension


def decode_header(record: bytes) -> Header:
    """Return what the header of ``record`` says.

    Raises:
        EnvelopeError: It is none, or (``NewerVersion``) that of a later version.
    """
    if len(record) < _FIXED_BYTES or record[:1] != _VERSION:
        raise not_this_version(record)
    return _checked_header(record)


def decode_newer_header(record: bytes) -> Header:
    """Return what the header of a record of a later version says; raise ``EnvelopeError`` if it is damaged."""
    if len(record) < _FIXED_BYTES:
        raise EnvelopeError(f"the job record is cut off: all of it has {len(record)} bytes")
    return _checked_header(record)


def not_this_version(record: bytes | memoryview) -> EnvelopeError:
    """Return the error for a record that doesn't begin with this version."""
    start = bytes(record[:8])
    if start[:1].isdigit() and (version := int(start[:1])) > VERSION:
        return newer_version("the job record", version)
    return EnvelopeError(
        f"not a version-{VERSION} job record: it starts with {start!r}; something else may use the key"
    )


def _checked_header(record: bytes) -> Header:
    size = _FIXED_BYTES + record[3] + record[4] + record[5] + record[6]
    if size > len(record):
        raise EnvelopeError(f"the job record is cut off: its header has {size} bytes, all of it {len(record)}")
    # Headers with a key differ from one another, and would drive the others out of the cache.
    return (_decode_header.__wrapped__ if record[4] else _decode_header)(record[:size])


@functools.lru_cache(maxsize=1024)
def _decode_header(header: bytes) -> Header:
    """Decode; cached, because a worker's jobs differ little in their headers."""
    kind, priority, name_size, key_size, tenant_size, extension_size = header[1:_FIXED_BYTES]
    name_end = _FIXED_BYTES + name_size
    key_end = name_end + key_size
    tenant_end = key_end + tenant_size
    try:
        return Header(
            _KIND_STATES[kind],
            _PRIORITIES[priority],
            header[_FIXED_BYTES:name_end].decode(),
            header[name_end:key_end].decode(),
            header[key_end:tenant_end].decode(),
            _ACKS_EARLY in header[tenant_end:].partition(b"\0")[0],
            tenant_end + extension_size,
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise EnvelopeError(f"the header of the job record is damaged: {header[:24]!r} ({error})") from None


def priority_of(record: bytes) -> int:
    """Return the priority in the header of ``record``, or the lowest if the header has none.

    The rest of the record need not be readable.
    """
    return record[2] - 48 if len(record) > 2 and 48 <= record[2] <= 51 else Priority.LOW.value
