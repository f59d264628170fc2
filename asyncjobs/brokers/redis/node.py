"""One server, with its connections: for the scripts of the hot path, for other commands, and for waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.clients import close_pool, pool
from asyncjobs.brokers.redis.line import Calls, Gathered, Line, Lines
from asyncjobs.brokers.redis.scripts import Script
from asyncjobs.core.server import Server

__all__ = ["Call", "Node", "OneServer", "raise_first"]

#: Sends a command, and returns its reply, as ``Line.call`` does.
Call = Callable[..., Awaitable[Any]]


class Node:
    """A server, or the primary behind sentinels.

    Args:
        settings: Where it is.
        hot: The scripts that have a connection each for themselves.
    """

    def __init__(self, settings: Server, hot: Iterable[Script] = ()) -> None:
        self.address = settings.address
        """Where it is, for people."""
        self._pool = pool(settings)
        self.commands = Gathered(Lines(settings, self._pool, settings.max_connections))
        """For commands that are answered at once; those of one turn of the event loop share round trips."""
        self.waits = Lines(settings, self._pool)
        """For commands that block; their callers bound the wait."""
        self._hot = {script: Line(settings, self._pool) for script in hot}

    def calls(self, script: Script | None) -> Calls:
        """Return what sends the calls of ``script``, or commands without one."""
        return self.commands if script is None else self._hot.get(script, self.commands)

    def connection(self) -> Any:
        """Return a connection of its own, not yet connected."""
        return self._pool.make_connection()

    async def info(self) -> dict[str, str]:
        """Return the fields of ``INFO``."""
        text = (await self.commands.call("INFO")).decode(errors="replace")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    async def close(self) -> None:
        """Give up the connections; further calls fail."""
        await asyncio.gather(*(one.close() for one in (self.commands, self.waits, *self._hot.values())))
        await close_pool(self._pool)


class OneServer:
    """The way to all keys where one server has them: the counterpart of ``Cluster``."""

    def __init__(self, settings: Server, hot: Iterable[Script] = ()) -> None:
        self._node = Node(settings, hot)

    def caller(self, key: str, script: Script | None = None) -> Call:
        """Return what calls the server of ``key``, with ``script`` if one is given."""
        return self._node.calls(script).call

    def waiter(self, key: str) -> Call:
        """Return what calls the server of ``key`` with a command that blocks."""
        return self._node.waits.call

    async def send(self, key: str, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands to the server of ``key`` over one connection; return the replies, errors among them."""
        return await self._node.commands.send(commands)

    async def call_each(self, commands: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Send commands, each with a key of its own, and return the replies."""
        return raise_first(await self._node.commands.send([command for _, command in commands])) if commands else []

    async def nodes(self) -> list[Node]:
        """Return the server."""
        return [self._node]

    async def infos(self) -> list[dict[str, str]]:
        """Return the fields of ``INFO`` of each primary that can be reached."""
        return [await self._node.info()]

    async def connection(self) -> Any:
        """Return a connection to subscribe with, not yet connected."""
        return self._node.connection()

    async def close(self) -> None:
        """Give up the connections."""
        await self._node.close()


def raise_first(replies: list[Any]) -> list[Any]:
    """Return ``replies``; raise the first error among them."""
    for reply in replies:
        if isinstance(reply, redis.exceptions.RedisError):
            raise reply
    return replies
