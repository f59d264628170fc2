"""Connections for the calls of the hot path, one call at a time on each.

redis-py's client takes a connection from its pool for each command, records the command for its own metrics and puts
the connection back. That costs some 40 microseconds, a third of a single send, and the hot path needs none of it. Nor
does it need redis-py's timeouts, which start a task for each command that is sent and a timer for each reply: a line
bounds the call as a whole.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis.asyncio
import redis.exceptions

from asyncjobs.core.server import Server

__all__ = ["Line", "Lines"]

# A connection that has rested for longer is looked at before a call, since the server may have closed it meanwhile.
_RESTED_S = 1.0


class Line:
    """Calls over one connection, opened at the first call and again after an error.

    Args:
        settings: The timeouts.
        pool: Makes connections of the right kind, which have no timeouts of their own.
    """

    def __init__(self, settings: Server, pool: redis.asyncio.ConnectionPool) -> None:
        self._settings = settings
        self._pool = pool
        self._connection: Any = None
        self._used_at = 0.0
        self._lock = asyncio.Lock()

    async def call(self, *args: Any, timeout: float | None = None) -> Any:
        """Send a command, and return its reply; raises redis-py's errors.

        After a call that was cancelled, timed out or broke, the connection is dropped, so that the late reply is not
        taken for the reply of the next call.

        Args:
            *args: The command.
            timeout: For how many seconds to wait for the reply; by default the settings' ``command_timeout``.
        """
        async with self._lock:
            if timeout is None:
                timeout = self._settings.command_timeout
            if self._connection is None:
                self._connection = self._pool.make_connection()
                timeout += self._settings.connect_timeout
            try:
                async with asyncio.timeout(timeout):
                    return await self._call(self._connection, args)
            except TimeoutError:
                raise redis.exceptions.TimeoutError(f"no reply within {timeout:g} s") from None

    async def _call(self, connection: Any, args: tuple[Any, ...]) -> Any:
        try:
            if not connection.is_connected or time.monotonic() - self._used_at > _RESTED_S:
                await self._pool.ensure_connection(connection)
            await connection.send_packed_command(connection.pack_command(*args), check_health=False)
            reply = await connection.read_response()
            self._used_at = time.monotonic()
            return reply
        except BaseException as error:
            # An error that the server answers with leaves the connection usable, unless it now leads to a replica.
            is_answer = isinstance(error, redis.exceptions.ResponseError)
            if not is_answer or isinstance(error, redis.exceptions.ReadOnlyError):
                self._connection = None
                await connection.disconnect(nowait=True)
            raise

    async def close(self) -> None:
        """Give up the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()


class Lines:
    """Calls that block, any number at once, each on a line that is free.

    Args:
        settings: As for a line.
        pool: As for a line.
    """

    def __init__(self, settings: Server, pool: redis.asyncio.ConnectionPool) -> None:
        self._settings = settings
        self._pool = pool
        self._all: list[Line] = []
        self._free: list[Line] = []

    async def call(self, *args: Any, timeout: float) -> Any:
        """Send a command, and return its reply, as ``Line.call`` does."""
        if not self._free:
            line = Line(self._settings, self._pool)
            self._all.append(line)
            self._free.append(line)
        line = self._free.pop()
        try:
            return await line.call(*args, timeout=timeout)
        finally:
            self._free.append(line)

    async def close(self) -> None:
        """Give up the connections."""
        for line in self._all:
            await line.close()
