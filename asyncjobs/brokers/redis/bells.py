"""Waits for the bells of queues in different slots of a Cluster, which no single command may name.

Each queue has a connection that blocks for its token. It is left blocking when a wait ends, since to cut it off would
cost a new connection for each queue and job. A token that comes while nobody waits goes back at once, for another
worker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from asyncjobs.errors import BrokerError

__all__ = ["Bells"]

# How long one blocking call lasts at most.
_POP_S = 5.0

# When to try again after an error. The claims, which meet it too, warn of it.
_TRY_AGAIN_S = 0.5


class Bells:
    """The waits for the wake-up tokens of queues.

    Args:
        pop: Waits for the token of a queue for some seconds, takes it, and returns whether there was one.
        ring: Puts the token of a queue back.
    """

    def __init__(
        self, pop: Callable[[Sequence[str], float], Awaitable[bool]], ring: Callable[[str], Awaitable[None]]
    ) -> None:
        self._pop = pop
        self._ring = ring
        self._waits: dict[str, list[asyncio.Event]] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        """Wait for a token of ``queues`` for at most ``timeout`` seconds, and return whether there was one."""
        rung = asyncio.Event()
        for queue in queues:
            self._waits.setdefault(queue, []).append(rung)
            listening = self._listening.get(queue)
            if listening is None or listening.done():
                self._listening[queue] = asyncio.create_task(self._listen(queue), name="asyncjobs-bell")
        try:
            async with asyncio.timeout(timeout):
                await rung.wait()
        except TimeoutError:
            pass
        finally:
            for queue in queues:
                self._waits[queue].remove(rung)
        return rung.is_set()

    def _waiting(self, queue: str) -> asyncio.Event | None:
        """Return the first of the waits for ``queue`` that go on."""
        return next((rung for rung in self._waits[queue] if not rung.is_set()), None)

    async def _listen(self, queue: str) -> None:
        while self._waiting(queue) is not None:
            try:
                has_token = await self._pop([queue], _POP_S)
            except BrokerError:
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            waiting = self._waiting(queue)
            if has_token and waiting is not None:
                waiting.set()
            elif has_token:
                with contextlib.suppress(BrokerError):
                    await self._ring(queue)

    async def close(self) -> None:
        """Listen no more."""
        tasks = list(self._listening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
