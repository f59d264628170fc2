"""The messages between a worker and the processes of its handlers: msgpack in frames, never pickle.

A frame is the length of its body (4 bytes, big endian) and the body. To the child go ``ProcessCall``s, one at a time;
for each it sends any number of ``Event``s and ``Extended``s, and then one ``Returned`` or ``Raised``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import AsyncJobsError
from asyncjobs.jobs.causes import loaded_class

__all__ = [
    "Event",
    "Extended",
    "Frames",
    "HandlerFailed",
    "Message",
    "ProcessCall",
    "ProcessDied",
    "Raised",
    "Returned",
    "Stage",
    "decode_call",
    "decode_message",
    "encode_call",
    "encode_message",
]

#: How far a call had come when it failed.
Stage: TypeAlias = Literal["import", "arguments", "handler", "result"]

_LENGTH_BYTES = 4
_MAX_BODY = 2 ** (8 * _LENGTH_BYTES) - 1


class ProcessCall(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One attempt of a job, with everything that a new process needs. Times are Unix ms by the broker's clock."""

    module: str
    """The module of the handler."""
    qualname: str
    """The name of the handler in its module."""
    job: Job
    """The started job."""
    deadline_ms: int | None
    """When the timeout ends, ``None`` without one."""
    ends_at: float | None
    """The same by ``time.monotonic``, which is one clock for all processes of a machine."""
    tenant: TenantContext | None
    """The tenant that the job is run for, as it was resolved."""
    max_result_bytes: int
    """The longest result that is passed on."""
    path: tuple[str, ...] = ()
    """``sys.path`` of the worker."""
    main_file: str = ""
    """The script of the worker, for a handler that is defined in ``__main__``."""
    main_module: str = ""
    """The module of a worker that was started with ``python -m``, for such a handler."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        job: Job,
        *,
        max_result_bytes: int,
        deadline_ms: int | None = None,
        ends_at: float | None = None,
        tenant: TenantContext | None = None,
    ) -> ProcessCall:
        """Return the call of ``function`` for ``job``, to be imported in the child as it was here."""
        main_file = main_module = ""
        if function.__module__ == "__main__":
            main = sys.modules["__main__"]
            main_file = getattr(main, "__file__", None) or ""
            main_module = getattr(getattr(main, "__spec__", None), "name", None) or ""
        return cls(
            module=function.__module__,
            qualname=function.__qualname__,
            job=job,
            deadline_ms=deadline_ms,
            ends_at=ends_at,
            tenant=tenant,
            max_result_bytes=max_result_bytes,
            path=tuple(entry for entry in sys.path if isinstance(entry, str)),
            main_file=main_file,
            main_module=main_module,
        )


class Event(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """An event of the running handler."""

    data: bytes


class Extended(msgspec.Struct, frozen=True, array_like=True, tag="extended"):
    """The running handler has asked for more time."""

    seconds: float
    """How long it may go on from now."""


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="returned"):
    """The handler's return value, encoded."""

    value: bytes


class Raised(msgspec.Struct, frozen=True, array_like=True, tag="raised"):
    """The call failed at ``stage``; the other fields are those of ``HandlerFailed``."""

    stage: Stage
    type_name: str
    message: str
    traceback: str
    kinds: tuple[tuple[str, str], ...]
    steering: bytes = b""


Message: TypeAlias = Event | Extended | Returned | Raised


class HandlerFailed(AsyncJobsError):
    """A call in a process ended with an exception there."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(f"{raised.type_name}: {raised.message}")
        #: The exception's class as a user reads it.
        self.type_name = raised.type_name
        #: The module and the name of the class and of its bases, in the order of its MRO.
        self.kinds = raised.kinds
        #: The exception's text.
        self.message = raised.message
        #: The traceback in the process.
        self.traceback = raised.traceback
        #: ``handler`` if the handler raised it; else what failed around the handler: its ``import``, the decoding of
        #: its ``arguments``, or the encoding of its ``result``.
        self.stage = raised.stage
        #: What the handler asked for by ``Retry``, ``Snooze``, ``Discard`` or ``Cancel``, packed; empty for others.
        self.steering = raised.steering

    @property
    def kind(self) -> type[BaseException]:
        """The exception's class; if this process has not imported it, a class with those of its bases that it has.

        Nothing is imported, which could take long: a class that a retry policy names has been imported for that.
        """
        bases: list[type[BaseException]] = []
        for module, qualname in self.kinds:
            found = loaded_class(module, qualname)
            if found is not None and not any(issubclass(base, found) for base in bases):
                bases.append(found)
        if len(bases) < 2:
            return bases[0] if bases else Exception
        try:
            return type(self.kinds[0][1], tuple(bases), {})
        except Exception:
            # Bases may have a word in what is derived from them.
            return bases[0]


class ProcessDied(AsyncJobsError):
    """The process of a handler ended before the handler had: a crash, an exit, or the kernel short of memory."""


class Frames:
    """Cuts a stream of bytes into the bodies of its frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add the bytes that have arrived, and yield each body that is complete now."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(buffer[:_LENGTH_BYTES], "big")
            if len(buffer) < end:
                return
            body = bytes(memoryview(buffer)[_LENGTH_BYTES:end])
            del buffer[:end]
            yield body


def _framed(body: bytes) -> bytes:
    if len(body) > _MAX_BODY:
        raise ValueError(f"{len(body)} bytes are too many for a process to pass on; at most {_MAX_BODY} are possible")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


_encoder = msgspec.msgpack.Encoder()

#: Of the body of a frame.
decode_call: Callable[[bytes], ProcessCall] = msgspec.msgpack.Decoder(ProcessCall).decode
decode_message: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode


def encode_call(call: ProcessCall) -> bytes:
    """Return ``call`` as a frame; raise ``ValueError`` if it is too large for one."""
    return _framed(_encoder.encode(call))


def encode_message(message: Message) -> bytes:
    """Return ``message`` as a frame; raise ``ValueError`` if it is too large for one."""
    return _framed(_encoder.encode(message))
