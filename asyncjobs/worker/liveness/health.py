"""Whether a worker does its work: a claim or an idle wait ended lately. An answer of the process is not enough."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import msgspec

__all__ = ["Health", "health_file", "health_server", "healthy_within"]

# How much longer than its longest wait a healthy worker may take for a claim or a wait, and the least that it may.
_GRACE_S = 10.0
_HEALTHY_WITHIN_S = 15.0

_WRITE_EVERY_S = 1.0

# How long a probe may take to send its request and to read the answer.
_REQUEST_S = 5.0


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
        OSError: The file can't be written.
    """
    file = anyio.Path(path)
    await file.write_text("starting\n")

    async def write() -> None:
        while True:
            if health().is_healthy:
                await file.write_text("healthy\n")
            await asyncio.sleep(_WRITE_EVERY_S)

    writing = asyncio.create_task(write(), name="asyncjobs-health-file")
    try:
        yield
    finally:
        writing.cancel()
        # Not awaited itself: a cancellation of this task would be taken for that of the other.
        await asyncio.gather(writing, return_exceptions=True)
        await file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def health_server(health: Callable[[], Health], port: int, host: str = "0.0.0.0") -> AsyncIterator[int]:
    """Answer each HTTP request on ``port`` with 200 or 503 and the health as JSON; yields the port (for 0, a free one).

    The server runs in the worker's loop: while the loop is blocked, there is no answer at all.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(_REQUEST_S):
                await reader.readuntil(b"\r\n\r\n")
                now = health()
                body = json.dumps(msgspec.to_builtins(now)).encode()
                status = b"200 OK" if now.is_healthy else b"503 Service Unavailable"
                head = (
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                )
                writer.write(head % (status, len(body)) + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
