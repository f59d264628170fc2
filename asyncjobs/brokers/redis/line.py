"""Connections of our own, one call at a time on each.

redis-py's client takes a connection from its pool for each command, records the command for its own metrics and puts
the connection back. That costs some 40 microseconds, a third of a single send, and nothing here needs it. Nor
does it need redis-py's timeouts, which start a task for each command that is sent and a timer for each reply: a line
bounds the call as a whole.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
import redis.exceptions

from asyncjobs.core.server import Server

__all__ = ["Line", "Lines"]


class _Calls(abc.ABC):
    """Commands to one server."""

    @abc.abstractmethod
    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands in one round trip, and return their replies, errors of the server among them."""

    async def call(self, *args: Any, timeout: float | None = None) -> Any:
        """Send a command, and return its reply; raises redis-py's errors.

        Args:
            *args: The command.
            timeout: For how many seconds to wait for the reply; by default the settings' ``command_timeout``.
        """
        [reply] = await self.send([args], timeout=timeout)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Line(_Calls):
    """Calls over one connection, opened at the first call and again after an error.

    Args:
        settings: The timeouts.
        pool: Makes connections of the right kind, which have no timeouts of their own.
    """

    def __init__(self, settings: Server, pool: redis.asyncio.ConnectionPool) -> None:
        self._settings = settings
        self._pool = pool
        self._connection: Any = None
        self._lock = asyncio.Lock()

    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands in one round trip, and return their replies, errors of the server among them.

        After a call that was cancelled, timed out or broke, the connection is dropped, so that the late reply is not
        taken for the reply of the next call.

        Args:
            commands: The commands.
            timeout: As of ``call``.
        """
        async with self._lock:
            if timeout is None:
                timeout = self._settings.command_timeout
            if self._connection is not None and self._connection.was_closed():
                await self.close()
            is_new = self._connection is None
            if is_new:
                self._connection = self._pool.make_connection()
                timeout += self._settings.connect_timeout
            connection, is_usable, leads_to_replica = self._connection, False, False
            packed: list[bytes] = []
            replies: list[Any] = []
            try:
                async with asyncio.timeout(timeout):
                    if is_new:
                        await connection.connect()
                    for command in commands:
                        packed += connection.pack_command(*command)
                    await connection.send_packed_command(packed, check_health=False)
                    for _ in commands:
                        try:
                            replies.append(await connection.read_response())
                        except redis.exceptions.ResponseError as error:
                            replies.append(error)
                            leads_to_replica = leads_to_replica or isinstance(error, redis.exceptions.ReadOnlyError)
                # An error that the server answers with leaves the connection usable, unless it leads to a replica now.
                is_usable = not leads_to_replica
            except TimeoutError:
                raise redis.exceptions.TimeoutError(f"no reply within {timeout:g} s") from None
            finally:
                if not is_usable:
                    self._connection = None
                    await connection.disconnect(nowait=True)
            return replies

    async def close(self) -> None:
        """Give up the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()


class Lines(_Calls):
    """Calls at the same time, each on a line that is free.

    Args:
        settings: As for a line.
        pool: As for a line.
        most: How many calls at once; further ones wait for a line. By default any number.
    """

    def __init__(self, settings: Server, pool: redis.asyncio.ConnectionPool, most: int | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._turns = None if most is None else asyncio.Semaphore(most)
        self._all: list[Line] = []
        self._free: list[Line] = []

    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands, and return their replies, as ``Line.send`` does."""
        if self._turns is None:
            return await self._send(commands, timeout)
        async with self._turns:
            return await self._send(commands, timeout)

    async def _send(self, commands: Sequence[Sequence[Any]], timeout: float | None) -> list[Any]:
        if not self._free:
            line = Line(self._settings, self._pool)
            self._all.append(line)
            self._free.append(line)
        line = self._free.pop()
        try:
            replies = await line.send(commands, timeout=timeout)
        finally:
            self._free.append(line)
        if any(isinstance(reply, redis.exceptions.ReadOnlyError) for reply in replies):
            # After a failover, the others lead to the same server, which is a replica now.
            for other in self._free:
                await other.close()
        return replies

    async def close(self) -> None:
        """Give up the connections."""
        for line in self._all:
            await line.close()
