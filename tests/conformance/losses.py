"""Calls of scripts whose request or reply is lost on the way to a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import redis
import redis.asyncio

__all__ = ["lossy"]


@contextlib.contextmanager
def lossy(lose: Callable[[], bool]) -> Iterator[None]:
    """Lose the request, or the reply, of each call of a script in this process for which ``lose`` says so.

    It is lost in the connection, below all that the broker does: what sets up a connection gets through.
    """
    called: set[Any] = set()
    with contextlib.ExitStack() as stack:
        for kind, send, read in [(one, one.send_packed_command, one.read_response) for one in _kinds()]:
            stack.enter_context(mock.patch.object(kind, "send_packed_command", _lossy_send(send, lose, called)))
            stack.enter_context(mock.patch.object(kind, "read_response", _lossy_read(read, lose, called)))
        yield


def _kinds(kind: Any = redis.asyncio.Connection) -> list[Any]:
    """Return redis-py's kind of connection, and those made of it, each of which may send in its own way."""
    return [kind, *(one for sub in kind.__subclasses__() for one in _kinds(sub))]


def _lossy_send(send: Any, lose: Callable[[], bool], called: set[Any]) -> Any:
    async def lossy_send(connection: Any, command: Any, *args: Any, **given: Any) -> None:
        is_call = b"EVAL" in b"".join(command)[:32]
        if is_call and lose():
            raise redis.ConnectionError("the request was lost")
        await send(connection, command, *args, **given)
        if is_call:
            called.add(connection)

    return lossy_send


def _lossy_read(read: Any, lose: Callable[[], bool], called: set[Any]) -> Any:
    async def lossy_read(connection: Any, *args: Any, **given: Any) -> Any:
        is_reply = connection in called
        called.discard(connection)
        reply = await read(connection, *args, **given)
        if is_reply and lose():
            raise redis.ConnectionError("the reply was lost")
        return reply

    return lossy_read
