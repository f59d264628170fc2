"""The body of a record: what was sent, and for an ended job, how it ended."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncjobs.errors import EnvelopeError

__all__ = ["Envelope", "Final", "JobError", "decode_envelope", "decode_final", "encode"]

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


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(Envelope)
_finals = msgspec.msgpack.Decoder(Final)
encode = _encoder.encode


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
