"""Answers the probes of an orchestrator over HTTP, from a thread of its own: also while the event loop is blocked."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import msgspec

__all__ = ["Probed", "probe_server"]

# How long a probe may take to send its request and to read the answer, and how large its request may be.
_REQUEST_S = 5.0
_MAX_REQUEST_BYTES = 8_192

# How many probes may be connected at once.
_MAX_PROBES = 16


class Probed(Protocol):
    """What a probe is told: a struct, of which the two fields decide."""

    @property
    def is_live(self) -> bool:
        """Whether ``/livez`` is answered with 200."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether ``/readyz`` is answered with 200."""
        ...


@contextlib.contextmanager
def probe_server(health: Callable[[], Probed], port: int, host: str) -> Iterator[int]:
    """Answer ``/livez`` and ``/readyz`` on ``port`` with 200 or 503, and what ``health`` returns as JSON.

    Args:
        health: Called from the server's thread.
        port: The port, 0 for a free one.
        host: The address.

    Yields:
        The port.

    Raises:
        OSError: The port can't be had.
    """
    started: concurrent.futures.Future[tuple[int, Callable[[], None]]] = concurrent.futures.Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(health, port, host, started)), name="asyncjobs-probes", daemon=True
    )
    thread.start()
    port, stop = started.result()
    try:
        yield port
    finally:
        stop()
        thread.join()


async def _serve(health: Callable[[], Probed], port: int, host: str, started: concurrent.futures.Future[Any]) -> None:
    connected: dict[asyncio.Transport, None] = {}
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    try:
        # No more connections wait to be accepted than may be open, since all that wait are accepted at once.
        server = await loop.create_server(lambda: _Probe(health, connected), host, port, backlog=_MAX_PROBES)
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(stopped.set)))
    await stopped.wait()
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

    def __init__(self, health: Callable[[], Probed], connected: dict[asyncio.Transport, None]) -> None:
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


_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")


def _answer(request: bytes, health: Probed) -> bytes:
    line = _REQUEST_LINE.match(request)
    if line is None:
        return _response("400 Bad Request")
    path = line[2].partition(b"?")[0]
    answers = {b"/livez": health.is_live, b"/readyz": health.is_ready}
    if path not in answers:
        return _response("404 Not Found")
    body = msgspec.json.encode(health)
    head = _response("200 OK" if answers[path] else "503 Service Unavailable", len(body))
    return head if line[1] == b"HEAD" else head + body


def _response(status: str, length: int = 0) -> bytes:
    """Return the head of a response with a JSON body of ``length`` bytes."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
