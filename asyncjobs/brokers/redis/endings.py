"""Wakes the tasks that await the end or the events of a job, over one connection for all subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.connection import translated
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerError, BrokerUnavailable
from asyncjobs.ports.outage import Outage

__all__ = ["EndListener"]

_log = logging.getLogger(__name__)

# A server that has frozen, or that nobody can reach any longer, closes no connection: it only stops to answer.
_PING_EVERY_S = 2.0


class EndListener:
    """Listens on the channels of the queues whose jobs are awaited.

    A message only says "look again": the waiting task then reads the job's record. It does so after each reconnect too,
    since messages are lost while the connection is down.

    Args:
        settings: The timeouts.
        make_connection: Returns a new connection to subscribe with, not yet connected.
    """

    def __init__(self, settings: Server, make_connection: Callable[[], Awaitable[Any]]) -> None:
        self._settings = settings
        self._make_connection = make_connection
        self._task: asyncio.Task[None] | None = None
        # By channel: done once the server has confirmed the subscription, an error if it could not.
        self._channels: dict[str, asyncio.Future[None]] = {}
        # The channels that the open connection is still to subscribe to.
        self._new: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}

    @contextlib.asynccontextmanager
    async def watching(self, channel: str, job_id: str) -> AsyncIterator[asyncio.Event]:
        """Listen for news of a job inside an ``async with`` block.

        Args:
            channel: The channel of the job's queue.
            job_id: The job's id.

        Yields:
            An event, which is set whenever the job may have ended.

        Raises:
            BrokerUnavailable: The server can't be reached.
            BrokerRefused: The server refuses the subscription.
        """
        news = asyncio.Event()
        key = channel, job_id
        self._waiting.setdefault(key, set()).add(news)
        try:
            confirmed = self._subscribe(channel)
            if not confirmed.done() or confirmed.exception() is not None:
                # A caller that is cancelled must not end the subscription of other callers.
                await asyncio.shield(confirmed)
            yield news
        finally:
            self._waiting[key].discard(news)
            if not self._waiting[key]:
                del self._waiting[key]

    def _subscribe(self, channel: str) -> asyncio.Future[None]:
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = self._channels[channel] = asyncio.get_running_loop().create_future()
            # Read here, since all its callers may have been cancelled.
            confirmed.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._new.put_nowait(channel)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="asyncjobs-endings")
        return confirmed

    async def _listen(self) -> None:
        outage = Outage(_log, "lost the connection that awaits results, reconnecting: %s")
        while self._channels:
            connection: Any = None
            try:
                with translated(self._settings):
                    async with asyncio.timeout(self._settings.connect_timeout + self._settings.command_timeout):
                        connection = await self._make_connection()
                        await connection.connect()
                    await self._serve(connection, outage)
            except BrokerError as error:
                for channel in [name for name, confirmed in self._channels.items() if not confirmed.done()]:
                    self._channels.pop(channel).set_exception(error)
                pause = outage.failed(error)
            finally:
                if connection is not None:
                    await connection.disconnect(nowait=True)
            if self._channels:
                await asyncio.sleep(pause)

    async def _serve(self, connection: Any, outage: Outage) -> None:
        """Subscribe to all channels on ``connection``, and wake those who wait, until it breaks or is silent."""
        self._new = asyncio.Queue()
        for channel in self._channels:
            self._new.put_nowait(channel)
        asked: deque[str] = deque()
        asking = asyncio.create_task(self._ask(connection, asked))
        try:
            while True:
                try:
                    async with asyncio.timeout(_PING_EVERY_S + self._settings.command_timeout):
                        reply = await connection.read_response()
                except redis.exceptions.ResponseError as error:
                    self._refused(asked.popleft(), error)
                    continue
                outage.over()
                self._take(reply, asked)
        finally:
            asking.cancel()

    async def _ask(self, connection: Any, asked: deque[str]) -> None:
        """Send the subscriptions as they come, and a ping where there is none."""
        # An error breaks the connection, and the reader meets it there.
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            while True:
                try:
                    async with asyncio.timeout(_PING_EVERY_S):
                        channel = await self._new.get()
                except TimeoutError:
                    command: tuple[str, ...] = ("PING",)
                else:
                    asked.append(channel)
                    command = ("SUBSCRIBE", channel)
                await connection.send_packed_command(connection.pack_command(*command), check_health=False)

    def _refused(self, channel: str, error: redis.exceptions.ResponseError) -> None:
        confirmed = self._channels.pop(channel)
        try:
            with translated(self._settings):
                raise error
        except BrokerError as refusal:
            if not confirmed.done():
                confirmed.set_exception(refusal)

    def _take(self, reply: Any, asked: deque[str]) -> None:
        kind = reply[0] if isinstance(reply, list) else b""
        if kind == b"message":
            for news in self._waiting.get((reply[1].decode(), reply[2].decode()), ()):
                news.set()
        elif kind == b"subscribe":
            channel = asked.popleft()
            if not self._channels[channel].done():
                self._channels[channel].set_result(None)
            # The server also confirms after a reconnect, and messages may have been missed before.
            for (watched, _), events in self._waiting.items():
                if watched == channel:
                    for news in events:
                        news.set()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for confirmed in self._channels.values():
            if not confirmed.done():
                confirmed.set_exception(BrokerUnavailable("the connection was closed"))
        self._channels.clear()
