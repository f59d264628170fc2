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
from typing import Any, NamedTuple

import redis.asyncio
import redis.exceptions

from asyncjobs.brokers.redis.blocked import timed_out
from asyncjobs.core.server import Server

__all__ = ["Calls", "Gathered", "Line", "Lines", "closed"]

# How many commands one round trip has at most that calls share: the server serves nobody else meanwhile.
_MAX_SHARED = 100


class Calls(abc.ABC):
    """Commands to one server."""

    @abc.abstractmethod
    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands in one round trip, and return their replies, errors of the server among them."""

    @abc.abstractmethod
    async def close(self) -> None:
        """End the calls under way, and give up the connections; further calls fail."""

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


class _Call(NamedTuple):
    """Commands that wait for their turn to end."""

    commands: Sequence[Sequence[Any]]
    replies: asyncio.Future[list[Any]]


class Line(Calls):
    """Calls over one connection, opened at the first call and again after an error, until it is closed.

    Only the call under way uses the connection, and gives it up: two tasks on one connection would find it half closed.

    Args:
        settings: The timeouts.
        pool: Makes connections of the right kind, which have no timeouts of their own.
    """

    def __init__(self, settings: Server, pool: redis.asyncio.ConnectionPool) -> None:
        self._settings = settings
        self._pool = pool
        self._connection: Any = None
        self._lock = asyncio.Lock()
        # The timeout of the call under way.
        self._bound: asyncio.Timeout | None = None
        self._is_closed = False

    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands in one round trip, and return their replies, errors of the server among them.

        After a call that was cancelled, timed out or broke, the connection is dropped, so that the late reply is not
        taken for the reply of the next call.

        Args:
            commands: The commands.
            timeout: As of ``call``.
        """
        async with self._lock:
            if self._connection is not None and self._connection.was_closed():
                await self._give_up(nowait=True)
            if self._is_closed:
                # What goes on after its app was closed opens no connection that nobody would close.
                raise closed()
            if timeout is None:
                timeout = self._settings.command_timeout
            is_new = self._connection is None
            if is_new:
                self._connection = self._pool.make_connection()
                timeout += self._settings.connect_timeout
            connection, is_usable, leads_to_replica = self._connection, False, False
            packed: list[bytes] = []
            replies: list[Any] = []
            try:
                async with asyncio.timeout(timeout) as bound:
                    self._bound = bound
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
                raise (closed() if self._is_closed else timed_out(bound, timeout)) from None
            finally:
                self._bound = None
                if not is_usable or self._is_closed:
                    await self._give_up(nowait=True)
            return replies

    async def drop(self) -> None:
        """Give up the connection unless a call uses it; the next call opens another."""
        if not self._lock.locked():
            await self._give_up(nowait=True)

    async def close(self) -> None:
        """End the call under way, and give up the connection; further calls fail."""
        self._is_closed = True
        if self._bound is not None and not self._bound.expired():
            self._bound.reschedule(asyncio.get_running_loop().time())
        async with self._lock:
            await self._give_up(nowait=False)

    async def _give_up(self, *, nowait: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=nowait)


def closed() -> redis.exceptions.ConnectionError:
    """Return the error of a call that goes on while the connections are closed, or comes after that."""
    return redis.exceptions.ConnectionError("the connections were closed")


class Lines(Calls):
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
        self._is_closed = False

    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands, and return their replies, as ``Line.send`` does."""
        if self._turns is None:
            return await self._send(commands, timeout)
        async with self._turns:
            return await self._send(commands, timeout)

    async def _send(self, commands: Sequence[Sequence[Any]], timeout: float | None) -> list[Any]:
        if self._is_closed:
            raise closed()
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
            for other in list(self._free):
                await other.drop()
        return replies

    async def close(self) -> None:
        """End the calls under way, and give up the connections; further calls fail."""
        self._is_closed = True
        await asyncio.gather(*(line.close() for line in self._all))


class Gathered(Calls):
    """Calls of one turn of the event loop, which share round trips: what reads many queues at once waits for one.

    Args:
        lines: What sends them.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        # Those that have joined the first call of this turn, ``None`` before that.
        self._joined: list[_Call] | None = None
        self._trips: set[asyncio.Task[None]] = set()

    async def send(self, commands: Sequence[Sequence[Any]], *, timeout: float | None = None) -> list[Any]:
        """Send commands, and return their replies, as ``Line.send`` does; with a ``timeout``, in a trip of their own.

        Where a caller is cancelled, the calls that share its round trip go on.
        """
        if timeout is not None:
            return await self._lines.send(commands, timeout=timeout)
        if self._joined is not None:
            return await self._join(self._joined, commands)
        joined = self._joined = []
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._begin(joined)
            raise
        finally:
            self._joined = None
        if not joined:
            return await self._lines.send(commands)
        own = self._join(joined, commands)
        self._begin(joined)
        return await own

    def _join(self, joined: list[_Call], commands: Sequence[Sequence[Any]]) -> asyncio.Future[list[Any]]:
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        joined.append(_Call(commands, replies))
        return replies

    def _begin(self, calls: list[_Call]) -> None:
        """Send calls, as many in one round trip as may be."""
        shared: list[_Call] = []
        size = 0
        for call in calls:
            if shared and size + len(call.commands) > _MAX_SHARED:
                self._start(shared)
                shared, size = [], 0
            shared.append(call)
            size += len(call.commands)
        if shared:
            self._start(shared)

    def _start(self, calls: list[_Call]) -> None:
        trip = asyncio.ensure_future(self._send(calls))
        self._trips.add(trip)
        trip.add_done_callback(lambda trip: self._ended(trip, calls))

    def _ended(self, trip: asyncio.Task[None], calls: list[_Call]) -> None:
        """Fail the calls that a trip leaves without replies: it may be cancelled before its first step."""
        self._trips.discard(trip)
        for call in calls:
            if not call.replies.done():
                call.replies.set_exception(closed())

    async def _send(self, calls: list[_Call]) -> None:
        # A caller that has gone meanwhile wants nothing sent.
        calls = [call for call in calls if not call.replies.done()]
        if not calls:
            return
        try:
            replies = await self._lines.send([command for call in calls for command in call.commands])
        except Exception as error:
            for call in calls:
                if not call.replies.done():
                    call.replies.set_exception(error)
            return
        start = 0
        for call in calls:
            end = start + len(call.commands)
            if not call.replies.done():
                call.replies.set_result(replies[start:end])
            start = end

    async def close(self) -> None:
        """Give up the connections."""
        trips = list(self._trips)
        for trip in trips:
            trip.cancel()
        await asyncio.gather(*trips, return_exceptions=True)
        await self._lines.close()
