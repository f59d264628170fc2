"""The body of a record: what was sent, and for an ended job, how it ended."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncjobs.core.record.version import DECODING_ERRORS, unreadable

__all__ = ["Envelope", "Final", "JobError", "decode_envelope", "decode_final", "encode"]

_NO_ARGUMENTS = msgspec.Raw(b"\x90")
NO_RESULT = msgspec.Raw(b"")


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
        "due_at_ms": "d",
    },
):
    """What travels with a job: its arguments, and those of its options that the call sets."""

    arguments: msgspec.Raw = _NO_ARGUMENTS
    """The arguments as a msgpack array, in the order of the handler's parameters."""
    keywords: tuple[str, ...] = ()
    """The names of the last arguments, those that must be passed by name."""
    signature: int = 0
    """A 32-bit hash of the parameters' names and types in the code that sent the job."""
    created_at_ms: int = 0
    """When the job was sent, in Unix milliseconds; 0 where its id tells the time."""
    expires_at_ms: int = 0
    """When the job may no longer be started, in Unix milliseconds; 0 if it does not expire."""
    headers: dict[str, str] = {}
    """What middleware sends along, such as a trace context."""
    metadata: dict[str, Any] = {}
    """The mapping that the sender gave with it."""
    max_retries: int | None = None
    """How many times the job is tried again; ``None`` if its policy says it."""
    timeout_ms: int | None = None
    """How long one attempt may take, in milliseconds; ``None`` if the definition says it."""
    result_ttl_ms: int | None = None
    """How long the result is kept, in milliseconds; ``None`` if the definition or the setting says it."""
    due_at_ms: int = 0
    """When the job was to start, in Unix milliseconds by its sender's clock; 0 if at once."""

    # In place of the two methods that msgspec makes, which show all fields, with secret arguments among them.
    def __repr__(self) -> str:
        return f"Envelope(<{len(memoryview(self.arguments))} bytes of arguments>)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("arguments", f"{len(memoryview(self.arguments))} bytes"), ("metadata", self.metadata)]


class JobError(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What went wrong in one attempt."""

    type: str
    """The exception's type, with its module unless it is built in."""
    message: str
    """The exception's text."""
    traceback: str
    """The traceback, empty where there was no exception."""
    attempt: int
    """The number of the attempt, 1 for the first."""
    at_ms: int
    """When the attempt ended, in Unix milliseconds."""
    started_at_ms: int | None = None
    """When the attempt began, in Unix milliseconds; ``None`` where none began, as of a job that no worker knows."""
    worker: str = ""
    """The id of the worker that ran it; empty where none did, or an earlier asyncjobs has noted the error."""
    encrypted: bytes = b""
    """Message and traceback, encrypted; empty where they aren't, or are decrypted. Where it isn't, ``message`` is
    ``‹encrypted›``, and ``traceback`` has only the places in the code."""


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
        "outlives_ms": "o",
    },
):
    """The body of an ended job's record: how it ended, around the envelope that it was sent with.

    The fields that a ``Job`` has too mean the same here.
    """

    envelope: msgspec.Raw
    """The encoded ``Envelope``, unchanged."""
    result: msgspec.Raw = NO_RESULT
    """What the handler returned, in msgpack; empty where it isn't kept."""
    reason: str = ""
    failures: int = 0
    deaths: int = 0
    errors: tuple[JobError, ...] = ()
    fence: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int = 0
    outlives_ms: int = 0
    """For how long the record is kept after its result has lapsed, in milliseconds."""


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(Envelope)
_finals = msgspec.msgpack.Decoder(Final)
encode = _encoder.encode


def decode_envelope(body: bytes | memoryview | msgspec.Raw) -> Envelope:
    """Return the envelope in ``body``.

    Raises:
        EnvelopeError: It is damaged, or (``NewerVersion``) of a later version.
    """
    try:
        return _envelopes.decode(body)
    except DECODING_ERRORS as error:
        raise unreadable("the body of the job record", body, error) from None


def decode_final(body: bytes | memoryview) -> Final:
    """Return the content of ``body``, the body of an ended job's record.

    Raises:
        EnvelopeError: It is damaged, or (``NewerVersion``) of a later version.
    """
    try:
        return _finals.decode(body)
    except DECODING_ERRORS as error:
        raise unreadable("the body of the ended job's record", body, error) from None
