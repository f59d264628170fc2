"""Calls of scripts whose request or reply is lost on the way to a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import redis
import redis.asyncio

__all__ = ["lossy"]


@contextlib.contextmanager
def lossy(lose: Callable[[], bool]) -> Iterator[None]:
    """Lose the request, or the reply, of each call of a script in this process for which ``lose`` says so.

    It is lost in redis-py's connection, below all that the broker does: what sets up a connection gets through.
    """
    kind: Any = redis.asyncio.Connection
    send, read = kind.send_packed_command, kind.read_response
    called: set[Any] = set()

    async def lossy_send(connection: Any, command: Any, *args: Any, **given: Any) -> None:
        is_call = b"EVAL" in b"".join(command)[:32]
        if is_call and lose():
            raise redis.ConnectionError("the request was lost")
        await send(connection, command, *args, **given)
        if is_call:
            called.add(connection)

    async def lossy_read(connection: Any, *args: Any, **given: Any) -> Any:
        is_reply = connection in called
        called.discard(connection)
        reply = await read(connection, *args, **given)
        if is_reply and lose():
            raise redis.ConnectionError("the reply was lost")
        return reply

    kind.send_packed_command, kind.read_response = lossy_send, lossy_read
    try:
        yield
    finally:
        kind.send_packed_command, kind.read_response = send, read
