"""Whether a worker does its work: a claim or an idle wait ended lately. An answer of the process is not enough."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import msgspec

__all__ = ["Health", "health_file", "health_server", "healthy_within"]

# How much longer than its longest wait a healthy worker may take for a claim or a wait, and the least that it may.
_GRACE_S = 10.0
_HEALTHY_WITHIN_S = 15.0

_WRITE_EVERY_S = 1.0

# How long a probe may take to send its request and to read the answer, and how large its request may be.
_REQUEST_S = 5.0
_MAX_REQUEST_BYTES = 8_192

# How many probes may be connected at once.
_MAX_PROBES = 16

_log = logging.getLogger("asyncjobs.worker")


class Health(msgspec.Struct, frozen=True):
    """The health of a worker, as ``Worker.health()`` returns it."""

    is_healthy: bool
    """Whether a claim, or a wait for jobs, has ended within the time asked for."""
    idle_s: float | None
    """How many seconds ago that was; ``None`` if the worker doesn't run."""
    running: int
    """How many jobs run."""


def healthy_within(longest_wait_s: float) -> float:
    """Return how many seconds ago a claim or a wait must have ended, if a wait takes up to ``longest_wait_s``."""
    return max(_HEALTHY_WITHIN_S, longest_wait_s + _GRACE_S)


@contextlib.asynccontextmanager
async def health_file(health: Callable[[], Health], path: Path) -> AsyncIterator[None]:
    """Write ``path`` anew each second while the worker is healthy; a probe looks at the file's age.

    Raises:
        OSError: The file can't be written, or is a symbolic link, or no regular file.
    """
    await asyncio.to_thread(_write, path, "starting\n")

    async def write() -> None:
        failed = False
        while True:
            if health().is_healthy:
                try:
                    await asyncio.to_thread(_write, path, "healthy\n")
                    failed = False
                except OSError as error:
                    if not failed:
                        _log.warning("the health file can't be written: %s", error)
                    failed = True
            await asyncio.sleep(_WRITE_EVERY_S)

    writing = asyncio.create_task(write(), name="asyncjobs-health-file")
    try:
        yield
    finally:
        writing.cancel()
        # Not awaited itself: a cancellation of this task would be taken for that of the other.
        await asyncio.gather(writing, return_exceptions=True)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.unlink, missing_ok=True)


def _write(path: Path, text: str) -> None:
    # A link that somebody has put into a shared folder may lead to any file. Opening a pipe would wait for a reader.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    with open(descriptor, "w") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        file.write(text)
        # Shortened last, so that no probe finds it empty.
        file.truncate()


@contextlib.asynccontextmanager
async def health_server(health: Callable[[], Health], port: int, host: str) -> AsyncIterator[int]:
    """Answer each HTTP request on ``port`` with 200 or 503 and the health as JSON; yields the port (for 0, a free one).

    The server runs in the worker's loop: while the loop is blocked, there is no answer at all.

    Raises:
        OSError: The port can't be had.
    """
    connected: dict[asyncio.Transport, None] = {}
    loop = asyncio.get_running_loop()
    # No more connections wait to be accepted than may be open, since all that wait are accepted at once.
    server = await loop.create_server(lambda: _Probe(health, connected), host, port, backlog=_MAX_PROBES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in list(connected):
            transport.abort()
        # They close in the next step of the loop.
        await asyncio.sleep(0)


class _Probe(asyncio.Protocol):
    """The connection of one probe: it is for one request, and over after ``_REQUEST_S`` whatever the probe does.

    Args:
        health: Returns the health.
        connected: All connections, the oldest first.
    """

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, health: Callable[[], Health], connected: dict[asyncio.Transport, None]) -> None:
        self._health = health
        self._connected = connected
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Those of uvloop are of no subclass.
        self._transport = transport = cast("asyncio.Transport", transport)
        if len(self._connected) >= _MAX_PROBES:
            # The oldest has had the most time: who comes next is answered, however many connect and say nothing.
            oldest = next(iter(self._connected))
            del self._connected[oldest]
            oldest.abort()
        self._connected[transport] = None
        self._timer = asyncio.get_running_loop().call_later(_REQUEST_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._request += data
        if b"\r\n\r\n" in self._request:
            self._transport.write(_answer(self._request, self._health()))
            self._transport.close()
        elif len(self._request) > _MAX_REQUEST_BYTES:
            self._transport.write(_response("431 Request Header Fields Too Large"))
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._connected.pop(self._transport, None)


_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")


def _answer(request: bytes, health: Health) -> bytes:
    line = _REQUEST_LINE.match(request)
    if line is None:
        return _response("400 Bad Request")
    body = msgspec.json.encode(health)
    head = _response("200 OK" if health.is_healthy else "503 Service Unavailable", len(body))
    return head if line[1] == b"HEAD" else head + body


def _response(status: str, length: int = 0) -> bytes:
    """Return the head of a response with a JSON body of ``length`` bytes."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
