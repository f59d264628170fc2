"""The wire record of a job, its version, and how older versions stay readable.

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
from typing import Any, NamedTuple

import msgspec

from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.errors import EnvelopeError

__all__ = [
    "MAX_NAME_BYTES",
    "Envelope",
    "Final",
    "Header",
    "JobError",
    "Tries",
    "decode_envelope",
    "decode_final",
    "decode_header",
    "encode",
    "encode_header",
    "ended_header",
    "header_size",
    "pack_tries",
    "priority_of",
    "tenant_in",
    "unpack_tries",
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
_NO_ARGUMENTS = msgspec.Raw(b"\x90")
_NO_RESULT = msgspec.Raw(b"")


class Envelope(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={
        "arguments": "a",
        "keywords": "k",
        "signature": "s",
        "created_at_ms": "c",
        "expires_at_ms": "x",
        "headers": "h",
        "metadata": "m",
        "max_retries": "r",
        "timeout_ms": "o",
        "result_ttl_ms": "l",
    },
):
    """What travels with a job: its arguments, and of its options only those that the call overrides.

    ``arguments``: a msgpack array of the bound values in the order of the handler's parameters. ``keywords``: names
    of the last ``len(keywords)`` values, where they must be passed by name. ``signature``: a 32-bit hash of the
    parameters' names and types when it was sent. ``created_at_ms``: only where the id doesn't tell. ``headers``: trace
    context and the like, by middleware.
    """

    arguments: msgspec.Raw = _NO_ARGUMENTS
    keywords: tuple[str, ...] = ()
    signature: int = 0
    created_at_ms: int = 0
    expires_at_ms: int = 0
    headers: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    max_retries: int | None = None
    timeout_ms: int | None = None
    result_ttl_ms: int | None = None


class JobError(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What went wrong in one attempt; ``traceback`` is empty where there was no exception."""

    type: str
    message: str
    traceback: str
    attempt: int
    at_ms: int


class Final(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={
        "envelope": "e",
        "result": "r",
        "reason": "q",
        "failures": "f",
        "deaths": "d",
        "errors": "x",
        "fence": "n",
        "started_at_ms": "s",
        "finished_at_ms": "t",
    },
):
    """The body of an ended job's record: how it ended, around the envelope it was sent with.

    ``result`` is absent where it isn't kept.
    """

    envelope: msgspec.Raw
    result: msgspec.Raw = _NO_RESULT
    reason: str = ""
    failures: int = 0
    deaths: int = 0
    errors: tuple[JobError, ...] = ()
    fence: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int = 0


class Header(NamedTuple):
    """The decoded header of a record; ``state`` is ``None`` while the job lives; ``end`` is where the body starts."""

    state: JobState | None
    priority: Priority
    name: str
    key: str
    tenant: str
    acks_early: bool
    end: int


class Tries(NamedTuple):
    """What a job has been through: failures, deaths, and the errors so far."""

    failures: int = 0
    deaths: int = 0
    errors: tuple[JobError, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(Envelope)
_finals = msgspec.msgpack.Decoder(Final)
_errors = msgspec.msgpack.Decoder(tuple[JobError, ...])
encode = _encoder.encode

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


def decode_envelope(body: bytes | memoryview | msgspec.Raw) -> Envelope:
    """Return the envelope in ``body``; raise ``EnvelopeError`` if it is damaged."""
    try:
        return _envelopes.decode(body)
    except msgspec.MsgspecError as error:
        raise EnvelopeError(f"the body of the job record is damaged: {error}") from None


def decode_final(body: bytes | memoryview) -> Final:
    """Return the final in ``body``; raise ``EnvelopeError`` if it is damaged."""
    try:
        return _finals.decode(body)
    except msgspec.MsgspecError as error:
        raise EnvelopeError(f"the body of the ended job's record is damaged: {error}") from None


def priority_of(record: bytes) -> int:
    """Return the priority in the header of ``record``, also of one that can't be read; the lowest if it has none."""
    return record[2] - 48 if len(record) > 2 and 48 <= record[2] <= 51 else Priority.LOW


def tenant_in(record: bytes) -> str:
    """Return the tenant in the header of ``record``, whatever its body; empty if it has none or can't be read."""
    try:
        return decode_header(record).tenant
    except EnvelopeError:
        return ""


def pack_tries(tries: Tries) -> bytes:
    """Return ``tries`` as stored: ``failures:deaths:`` in decimal, which a script can count up, then msgpack."""
    return b"%d:%d:" % (tries.failures, tries.deaths) + encode(tries.errors)


def unpack_tries(stored: bytes | None) -> Tries:
    """Return what ``pack_tries`` stored; of nothing, no tries. Raise ``EnvelopeError`` if it is damaged."""
    if not stored:
        return Tries()
    try:
        failures, deaths, errors = stored.split(b":", 2)
        return Tries(int(failures), int(deaths), _errors.decode(errors) if errors else ())
    except (ValueError, msgspec.MsgspecError) as error:
        raise EnvelopeError(f"the record of earlier attempts is damaged: {error}") from None
