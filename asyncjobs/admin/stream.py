"""Streams of server-sent events that end by themselves.

A server that stops waits for the responses that it sends, so one that never ends would keep the whole program from
stopping. A browser comes back by itself, and says which event was its last one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from asyncjobs.admin.problem import HEADERS, Problem
from asyncjobs.core.bounds import MAX_COUNT, shown
from asyncjobs.errors import AsyncJobsError

__all__ = ["STREAM_S", "Line", "event_stream", "last_event_id", "wants_stream"]

STREAM_S = 10.0
"""After how many seconds a stream ends."""

_KIND = "text/event-stream"
_RETRY_MS = 500
_HEADERS = {**HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Line(NamedTuple):
    """One event of a stream."""

    number: int | None
    """Its number, with which a browser comes back; ``None`` if it has none."""
    kind: str
    """What it is."""
    data: Any
    """What it tells, as JSON."""


def wants_stream(request: Request) -> bool:
    """Return whether a request asks for a stream rather than for JSON."""
    return _KIND in request.headers.get("accept", "")


def last_event_id(headers: Mapping[str, str]) -> int | None:
    """Return the number of the last event that a browser has seen, ``None`` if it has seen none.

    Raises:
        Problem: It is no number.
    """
    given = headers.get("last-event-id")
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and int(given[:20]) <= MAX_COUNT):
        raise Problem(400, f"Last-Event-ID: {shown(given)}: expected the number of an event")
    return int(given)


def event_stream(read: Callable[[float], Awaitable[list[Line] | None]]) -> Response:
    """Return a stream of what ``read`` returns.

    Args:
        read: Waits for at most so many seconds for what comes next, and returns it; ``None`` when there can be no more.
    """
    return StreamingResponse(_lines(read), media_type=f"{_KIND}; charset=utf-8", headers=_HEADERS)


async def _lines(read: Callable[[float], Awaitable[list[Line] | None]]) -> AsyncIterator[bytes]:
    until = time.monotonic() + STREAM_S
    # A comment at once, so that proxies let go of the headers.
    yield f": it follows\nretry: {_RETRY_MS}\n\n".encode()
    while (left := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                lines = await read(left)
        except (TimeoutError, AsyncJobsError):
            # The browser comes back, and is told then what is wrong.
            return
        if lines is None:
            return
        yield b"".join(_encoded(line) for line in lines)


def _encoded(line: Line) -> bytes:
    number = b"" if line.number is None else b"id: %d\n" % line.number
    return b"%sevent: %s\ndata: %s\n\n" % (number, line.kind.encode(), msgspec.json.encode(line.data))
