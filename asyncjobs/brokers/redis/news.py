"""Wakes the tasks that await news: the end or the events of a job, or cancellations; over one connection for all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.blocked import timed_out
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerError, BrokerUnavailable
from asyncjobs.ports.outage import Outage

__all__ = ["NewsListener"]

_log = logging.getLogger(__name__)


class NewsListener:
    """Listens on channels, such as those of the queues whose jobs are awaited.

    A message only says "look again": the waiting task then reads, for one, the job's record. It does so after each
    reconnect too, since messages are lost while the connection is down.

    Args:
        settings: The timeouts.
        make_connection: Returns a new connection to subscribe with, not yet connected.
        what: What is awaited, for the log.
        ping_every_s: How often the server is asked whether it is there. One that has frozen, or that nobody can reach
            any longer, closes no connection: it only stops to answer.
    """

    def __init__(
        self, settings: Server, make_connection: Callable[[], Awaitable[Any]], what: str, ping_every_s: float
    ) -> None:
        self._settings = settings
        self._make_connection = make_connection
        self._what = what
        self._ping_every_s = ping_every_s
        self._task: asyncio.Task[None] | None = None
        # By channel: done once the server has confirmed the subscription, an error if it could not.
        self._channels: dict[str, asyncio.Future[None]] = {}
        # What the open connection is still to be sent.
        self._new: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def watching(self, channels: Sequence[str], about: str) -> AsyncIterator[asyncio.Event]:
        """Listen for news inside an ``async with`` block.

        Args:
            channels: The channels.
            about: The message of such news: the id of a job, for one.

        Yields:
            An event, which is set whenever there may be news.

        Raises:
            BrokerUnavailable: The server can't be reached.
            BrokerRefused: The server refuses the subscription.
        """
        news = asyncio.Event()
        for channel in channels:
            self._waiting.setdefault((channel, about), set()).add(news)
        try:
            for confirmed in [self._subscribe(channel) for channel in channels]:
                if not confirmed.done() or confirmed.exception() is not None:
                    # A caller that is cancelled must not end the subscription of other callers.
                    await asyncio.shield(confirmed)
            yield news
        finally:
            for channel in channels:
                self._waiting[channel, about].discard(news)
                if not self._waiting[channel, about]:
                    del self._waiting[channel, about]

    def _subscribe(self, channel: str) -> asyncio.Future[None]:
        if self._is_closed:
            raise _closed()
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = self._channels[channel] = asyncio.get_running_loop().create_future()
            # Read here, since all its callers may have been cancelled.
            confirmed.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._new.put_nowait(("SUBSCRIBE", channel))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="asyncjobs-news")
        return confirmed

    async def _listen(self) -> None:
        outage = Outage(_log, f"lost the connection that awaits {self._what}, reconnecting: %s")
        while self._channels:
            connection: Any = None
            try:
                with translated(self._settings):
                    timeout = self._settings.connect_timeout + self._settings.command_timeout
                    try:
                        async with asyncio.timeout(timeout) as bound:
                            connection = await self._make_connection()
                            await connection.connect()
                    except TimeoutError:
                        raise timed_out(bound, timeout) from None
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
            self._new.put_nowait(("SUBSCRIBE", channel))
        asked: deque[str] = deque()
        asking = asyncio.create_task(self._ask(connection, asked))
        try:
            while True:
                timeout = self._ping_every_s + self._settings.command_timeout
                try:
                    async with asyncio.timeout(timeout) as bound:
                        reply = await connection.read_response()
                except TimeoutError:
                    raise timed_out(bound, timeout) from None
                except redis.exceptions.ResponseError as error:
                    self._refused(asked.popleft(), error)
                    continue
                outage.over()
                self._take(reply, asked)
        finally:
            asking.cancel()

    async def _ask(self, connection: Any, asked: deque[str]) -> None:
        """Send the commands as they come, and a ping where there is none."""
        # An error breaks the connection, and the reader meets it there.
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            while True:
                try:
                    async with asyncio.timeout(self._ping_every_s):
                        command: tuple[str, ...] = await self._new.get()
                except TimeoutError:
                    command = ("PING",)
                if command[0] == "SUBSCRIBE":
                    asked.append(command[1])
                await connection.send_packed_command(connection.pack_command(*command), check_health=False)

    def leave(self, channels: Sequence[str]) -> None:
        """Listen on ``channels`` no longer, which nobody watches; with the last one the connection is given up."""
        for channel in channels:
            if self._channels.pop(channel, None) is not None:
                self._new.put_nowait(("UNSUBSCRIBE", channel))
        if not self._channels and self._task is not None:
            self._task.cancel()
            self._task = None

    def _refused(self, channel: str, error: redis.exceptions.ResponseError) -> None:
        confirmed = self._channels.pop(channel, None)
        try:
            with translated(self._settings):
                raise error
        except BrokerError as refusal:
            if confirmed is not None and not confirmed.done():
                confirmed.set_exception(refusal)

    def _take(self, reply: Any, asked: deque[str]) -> None:
        kind = reply[0] if isinstance(reply, list) else b""
        if kind == b"message":
            for news in self._waiting.get((reply[1].decode(), reply[2].decode()), ()):
                news.set()
        elif kind == b"subscribe":
            channel = asked.popleft()
            confirmed = self._channels.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
            # The server also confirms after a reconnect, and messages may have been missed before.
            for (watched, _), events in self._waiting.items():
                if watched == channel:
                    for news in events:
                        news.set()

    async def close(self) -> None:
        """Stop listening; further watches fail."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for confirmed in self._channels.values():
            if not confirmed.done():
                confirmed.set_exception(_closed())
        self._channels.clear()


def _closed() -> BrokerUnavailable:
    return BrokerUnavailable("the connection was closed")
