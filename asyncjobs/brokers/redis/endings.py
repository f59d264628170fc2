"""Wakes the tasks that await the end or the events of a job, over one connection for all subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import redis.asyncio
import redis.exceptions

from asyncjobs.brokers.redis.clients import AsyncClient, close, listening
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.core.server import Server
from asyncjobs.ports.outage import Outage

__all__ = ["EndListener"]

_log = logging.getLogger(__name__)


class EndListener:
    """Listens on the channels of the queues whose jobs are awaited.

    A message only says "look again": the waiting task then reads the job's record. It does so after each reconnect too,
    since messages are lost while the connection is down.
    """

    def __init__(self, client: AsyncClient, settings: Server) -> None:
        self._client = client
        self._settings = settings
        self._listening: redis.asyncio.Redis | None = None
        self._pubsub: redis.asyncio.client.PubSub | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}

    @contextlib.asynccontextmanager
    async def watching(self, channel: str, job_id: str) -> AsyncIterator[asyncio.Event]:
        """Listen for news of a job inside an ``async with`` block.

        Args:
            channel: The channel of the job's queue.
            job_id: The job's id.

        Yields:
            An event, which is set whenever the job may have ended.
        """
        news = asyncio.Event()
        key = channel, job_id
        self._waiting.setdefault(key, set()).add(news)
        try:
            await self._subscribe(channel)
            yield news
        finally:
            self._waiting[key].discard(news)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _subscribe(self, channel: str) -> None:
        task = self._subscriptions.get(channel)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            # In a task of its own: a caller that is cancelled must not end the subscription of other callers.
            task = self._subscriptions[channel] = asyncio.create_task(self._start(channel), name="asyncjobs-subscribe")
        await asyncio.shield(task)

    async def _start(self, channel: str) -> None:
        """Subscribe, and wait until the server has confirmed it."""
        with translated(self._settings):
            async with asyncio.timeout(self._settings.command_timeout), self._lock:
                confirmed = self._confirmed.setdefault(channel, asyncio.Event())
                if self._pubsub is None:
                    self._listening = await listening(self._settings, self._client)
                    self._pubsub = self._listening.pubsub()
                await self._pubsub.subscribe(channel)
                if self._task is None:
                    self._task = asyncio.create_task(self._listen(self._pubsub), name="asyncjobs-endings")
                await confirmed.wait()

    async def _listen(self, pubsub: redis.asyncio.client.PubSub) -> None:
        outage = Outage(_log, "lost the connection that awaits results, reconnecting: %s")
        while True:
            try:
                message = await pubsub.get_message(timeout=None)
            except (redis.exceptions.RedisError, OSError) as error:
                await asyncio.sleep(outage.failed(error))
                continue
            outage.over()
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "message":
                for news in self._waiting.get((channel, message["data"].decode()), ()):
                    news.set()
            elif message["type"] == "subscribe":
                # The server also confirms after a reconnect, and messages may have been missed before.
                self._confirmed[channel].set()
                for (watched, _), events in self._waiting.items():
                    if watched == channel:
                        for news in events:
                            news.set()

    async def close(self) -> None:
        """Stop listening."""
        tasks = [*self._subscriptions.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None
        if self._pubsub is not None:
            await self._pubsub.aclose()
            self._pubsub = None
        if self._listening is not None and self._listening is not self._client:
            await close(self._listening)
        self._listening = None
        self._subscriptions.clear()
        self._confirmed.clear()
