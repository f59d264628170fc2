"""Wakes tasks, in any event loop and thread.

Each function and method is called under the broker's lock, except ``Sleeper.sleep``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

__all__ = ["Bell", "Sleeper", "Watchers", "drop", "take_token"]


class Sleeper:
    """One task that waits to be woken, once."""

    __slots__ = ("_future", "_loop", "_thread", "woken_by")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.woken_by: Bell | None = None

    def wake(self) -> bool:
        """Let ``sleep`` return; return whether its event loop is still open."""
        try:
            if threading.get_ident() == self._thread:
                self._finish()
            else:
                self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:
            # The loop was closed while the task slept.
            return False
        return True

    def _finish(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def sleep(self, timeout: float | None) -> None:
        """Sleep until woken, at most ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._future
        except TimeoutError:
            pass


class Bell:
    """The wake-up token of one queue. There is one token at most.

    The worker that takes the token claims as many jobs as it can, and rings again if jobs are left. If workers sleep,
    the token goes straight to the one that has slept longest.
    """

    __slots__ = ("_sleepers", "token")

    def __init__(self) -> None:
        self.token = False
        self._sleepers: dict[Sleeper, None] = {}

    def ring(self) -> None:
        """Hand out a token, or keep it for the next worker that comes."""
        if self.token:
            return
        while self._sleepers:
            sleeper = next(iter(self._sleepers))
            del self._sleepers[sleeper]
            # A sleeper at several bells stays listed at the others until it wakes.
            if sleeper.woken_by is None and sleeper.wake():
                sleeper.woken_by = self
                return
        self.token = True

    def add(self, sleeper: Sleeper) -> None:
        """Let ``sleeper`` have the next token."""
        self._sleepers[sleeper] = None

    def drop(self, sleeper: Sleeper) -> None:
        """Remove ``sleeper``."""
        self._sleepers.pop(sleeper, None)


class Watchers(dict[str, set[Sleeper]]):
    """The sleepers that wait for news of a job, by its id."""

    __slots__ = ()

    def add(self, job_id: str) -> Sleeper:
        """Return a new sleeper that the next news of the job wakes."""
        sleeper = Sleeper()
        self.setdefault(job_id, set()).add(sleeper)
        return sleeper

    def tell(self, job_id: str) -> None:
        """Wake the sleepers that wait for news of the job."""
        for sleeper in self.pop(job_id, ()):
            sleeper.wake()

    def drop(self, job_id: str, sleeper: Sleeper) -> None:
        """Remove ``sleeper``."""
        sleepers = self.get(job_id)
        if sleepers is not None:
            sleepers.discard(sleeper)
            if not sleepers:
                del self[job_id]


def take_token(bells: Sequence[Bell]) -> bool:
    """Take the token of the first of ``bells`` that has one; return whether there was one."""
    for bell in bells:
        if bell.token:
            bell.token = False
            return True
    return False


def drop(bells: Sequence[Bell], sleeper: Sleeper) -> None:
    """Remove ``sleeper`` from each of ``bells``."""
    for bell in bells:
        bell.drop(sleeper)
