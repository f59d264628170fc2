"""A TCP proxy in front of Redis that cuts, hangs, delays, holds up, slows down and drops replies at will."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time

__all__ = ["Proxy"]


class Proxy:
    """Forwards bytes to ``port``; its attributes may be changed while it runs.

    ``delay``: seconds that every reply waits. ``hang``: nothing is passed on. ``drop_replies``: the share of replies in
    whose place the connection is cut, after Redis has run the command. ``late``: the share of requests that arrive
    ``late_by`` seconds later, after others that were sent after them, also if their sender has hung up meanwhile.
    ``rate``: how many bytes a second go through, in each direction, over all connections.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self._target = port
        self._random = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.delay = 0.0
        self.drop_replies = 0.0
        self.late = 0.0
        self.late_by = 0.0
        self.rate = math.inf
        self.port = 0
        self.dropped = 0
        self.held_up = 0
        # By direction, until when what was let through takes.
        self._busy_until = [0.0, 0.0]

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def hang(self) -> bool:
        return not self._flows.is_set()

    @hang.setter
    def hang(self, hang: bool) -> None:
        if hang:
            self._flows.clear()
        else:
            self._flows.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        for source, sink, is_reply in ((reader, up_writer, False), (up_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, is_reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_reply: bool) -> None:
        try:
            while data := await source.read(65_536):
                await self._flows.wait()
                if is_reply and self.delay:
                    await asyncio.sleep(self.delay)
                if not is_reply and self._random.random() < self.late:
                    self.held_up += 1
                    await asyncio.sleep(self.late_by)
                await self._take_time(len(data), is_reply)
                if is_reply and self._random.random() < self.drop_replies:
                    self.dropped += 1
                    break
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(sink)
            sink.transport.abort()

    async def _take_time(self, size: int, is_reply: bool) -> None:
        """Wait as long as ``size`` bytes take at the rate, behind those before."""
        now = time.monotonic()
        until = max(now, self._busy_until[is_reply]) + size / self.rate
        self._busy_until[is_reply] = until
        if until > now:
            await asyncio.sleep(until - now)
