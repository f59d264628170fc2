"""The process of a handler: runs one call after another for the worker that started it, and ends with the worker."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.settlement import bounded_error
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.core.text import message_of, storable
from asyncjobs.errors import AppNotOpen, ResultError
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.jobs.logs import escape_last_resort
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.steering import Discard, pack_steering
from asyncjobs.jobs.tenant_scope import tenant_scope
from asyncjobs.jobs.values.codec import Codec
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS
from asyncjobs.ports import Lease
from asyncjobs.worker.processes.descent import adopt_orphans, kill_descendants
from asyncjobs.worker.processes.finding import MAIN, Handler, find_handler
from asyncjobs.worker.processes.protocol import (
    Event,
    Extended,
    Frames,
    Message,
    Raised,
    Returned,
    Stage,
    decode_call,
    encode_message,
)

__all__ = ["emit", "main"]

# How long the end between two calls, and its exit handlers, may take once the worker has gone.
_END_S = 0.5
_CHUNK_BYTES = 65_536


class _Channel:
    """The child's end of the socket that connects it with its worker."""

    def __init__(self, end: socket.socket) -> None:
        self.is_busy = False
        self._socket = end
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        data = encode_message(message)
        # A handler may emit events from threads of its own.
        with self._lock:
            self._socket.sendall(data)

    def receive(self) -> bytes:
        return self._socket.recv(_CHUNK_BYTES)

    def close(self) -> None:
        self.is_busy = False
        self._socket.close()


_channel: _Channel | None = None


def emit(data: bytes) -> None:
    """Send ``data``, an event, to the worker while the handler runs; from any thread.

    Raises ``LookupError`` outside a handler that runs in a process.
    """
    if _channel is None or not _channel.is_busy:
        raise LookupError("emit() was called while no handler runs in this process")
    _channel.send(Event(data))


def main() -> None:
    """Serve the worker that passed its socket and lifeline, whose numbers are the arguments of this process."""
    global _channel
    numbers = [int(number) for number in sys.argv[1:3]]
    del sys.argv[1:]
    adopt_orphans()
    # Ctrl-C goes to the worker, which lets the handlers end or ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stderr is not None:
        faulthandler.enable()
    # What handlers log goes to the stream of the worker, unless their module sets up a log of its own.
    escape_last_resort()
    for number in numbers:
        os.set_inheritable(number, False)
    _channel = channel = _Channel(socket.socket(fileno=numbers[0]))
    # A process that a handler forks must not answer for it; and the worker sees the end of this process by its socket.
    os.register_at_fork(after_in_child=channel.close)
    threading.Thread(
        target=_end_with_worker, args=(channel, numbers[1]), name="asyncjobs-lifeline", daemon=True
    ).start()
    with contextlib.suppress(ConnectionError):
        _serve(channel)


def _end_with_worker(channel: _Channel, lifeline: int) -> NoReturn:
    """Wait until the lifeline, in which nothing is ever written, ends with the worker; then end everything."""
    os.read(lifeline, 1)
    # Between two calls the end of the socket is enough, and exit handlers run.
    if not channel.is_busy:
        time.sleep(_END_S)
    kill_descendants(os.getpid())
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _serve(channel: _Channel) -> None:
    frames = Frames()
    handlers: dict[tuple[str, str], Handler] = {}
    while data := channel.receive():
        for body in frames.feed(data):
            channel.is_busy = True
            reply = _answer(body, handlers)
            channel.is_busy = False
            _flush()
            channel.send(reply)


def _flush() -> None:
    """Write out what the handler has printed: this process may be killed before its buffers are full."""
    for stream in (sys.stdout, sys.stderr):
        # A stream is None without a terminal, and closed or broken where the handler left it so.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def _answer(body: bytes, handlers: dict[tuple[str, str], Handler]) -> Returned | Raised:
    stage: Stage = "import"
    try:
        call = decode_call(body)
        key = (call.module, call.qualname)
        if key not in handlers:
            handlers[key] = find_handler(call)
        handler = handlers[key]
        stage = "arguments"
        job = call.job
        args, kwargs = handler.signature.decode(job.envelope.arguments, job.envelope.keywords)
        context = _Context(job, _NoDispatcher(), call.deadline_ms, args, kwargs, _send_event, call.ends_at)
        stage = "handler"
        value = contextvars.copy_context().run(_call, handler, args, kwargs, context, call.tenant)
        stage = "result"
        return Returned(_encoded(value, handler.signature.returns, call.max_result_bytes))
    except BaseException as error:
        return _raised(error, stage)


class _Context(JobContext):
    """The running job in the process of its handler: what moves its timeout is told to the worker, which kills it."""

    __slots__ = ()

    def extend_timeout(self, seconds: Duration) -> None:
        super().extend_timeout(seconds)
        if _channel is not None and _channel.is_busy:
            _channel.send(Extended(to_ms("seconds", seconds) / 1000))


def _send_event(lease: Lease, event: bytes) -> None:
    emit(event)


def _call(
    handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any], context: JobContext, tenant: TenantContext | None
) -> object:
    running.set(context)
    with tenant_scope(tenant):
        value: object = handler.function(*args, **kwargs)
        return asyncio.run(value) if handler.is_async else value  # type: ignore[arg-type]


def _encoded(value: object, codec: Codec, max_bytes: int) -> bytes:
    try:
        result = codec.write_result(value)
    except ENCODING_ERRORS as error:
        raise ResultError(f"the result of type {type(value).__qualname__} can't be encoded: {error}") from error
    # Refused here, since its bytes would hold up the worker's loop on their way.
    if len(result) > max_bytes:
        raise ResultError(f"the result has {len(result)} bytes; max_payload allows {max_bytes}")
    return result


def _raised(error: BaseException, stage: Stage) -> Raised:
    kinds = [(_module_of(kind), kind.__qualname__) for kind in type(error).__mro__]
    module, qualname = kinds[0]
    # That of a result has the same name as from a handler on the worker's loop.
    name = qualname if module == "builtins" or stage == "result" else f"{module}.{qualname}"
    # Cut short here, as it would be in the worker.
    trace = "".join(traceback.format_exception(error))
    problem = bounded_error(name, message_of(error), trace, attempt=0, at_ms=0)
    # Not worth a retry: the handler has done its work, only its value can't be kept.
    steering = pack_steering(Discard() if stage == "result" else error)
    return Raised(
        stage,
        problem.type,
        problem.message,
        problem.traceback,
        tuple((storable(module), storable(qualname)) for module, qualname in kinds),
        steering,
    )


def _module_of(kind: type) -> str:
    # In the worker, a class of its __main__ has its real name.
    return "__main__" if kind.__module__ == MAIN else kind.__module__


class _NoDispatcher:
    """In place of the worker's app, which is in another process: refuses to send, and to find what was sent."""

    def dispatch(self, request: JobRequest[Any], where: str) -> NoReturn:
        raise self._refusal(request)

    def dispatch_sync(self, request: JobRequest[Any], instead: str) -> NoReturn:
        raise self._refusal(request)

    def handle(self, queue: str, job_id: str, returns: Codec) -> NoReturn:
        raise AppNotOpen(
            f"a handler that runs in a process can't look for job {job_id!r}: the worker's app is not open there; name "
            "the app of a module, .with_options(app=app).handle(…)"
        )

    def _refusal(self, request: JobRequest[Any]) -> AppNotOpen:
        return AppNotOpen(
            f"{request.name!r} can't be sent from a handler that runs in a process: the worker's app is not open "
            "there; name the app of a module, .with_options(app=app).delay_sync(…), or return what is to be sent "
            "and send it from where the result is awaited"
        )
