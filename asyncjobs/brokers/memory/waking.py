"""Wakes tasks, whichever event loop and thread they run in.

All of this is called under the broker's lock, except ``Sleeper.sleep``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

__all__ = ["Watches", "Bell", "Sleeper", "take_token"]


class Sleeper:
    """One task that waits to be woken, once."""

    __slots__ = ("_future", "_loop", "_thread", "woken_by")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.woken_by: Bell | None = None

    def wake(self) -> bool:
        """Let ``sleep`` return; say whether there is still a loop to return in."""
        try:
            if threading.get_ident() == self._thread:
                self._finish()
            else:
                self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:
            # The loop was closed with the task in it.
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
    """Holds at most one token: whoever takes it claims all he can, and rings again if more is left.

    A token goes straight to who has slept longest, if anybody sleeps.
    """

    __slots__ = ("_sleepers", "token")

    def __init__(self) -> None:
        self.token = False
        self._sleepers: dict[Sleeper, None] = {}

    def ring(self) -> None:
        """Hand out or lay down a token, unless one lies here."""
        if self.token:
            return
        while self._sleepers:
            sleeper = next(iter(self._sleepers))
            del self._sleepers[sleeper]
            # One that sleeps at several bells stays listed at the others until it wakes.
            if sleeper.woken_by is None and sleeper.wake():
                sleeper.woken_by = self
                return
        self.token = True

    def add(self, sleeper: Sleeper) -> None:
        """Let ``sleeper`` have a token as soon as there is one."""
        self._sleepers[sleeper] = None

    def drop(self, sleeper: Sleeper) -> None:
        """Forget ``sleeper``."""
        self._sleepers.pop(sleeper, None)


class Watches:
    """Job id → ``sleepers`` that await news of it."""

    __slots__ = ("sleepers",)

    def __init__(self) -> None:
        self.sleepers: dict[str, set[Sleeper]] = {}

    def add(self, job_id: str) -> Sleeper:
        """Return a new sleeper that the next news of the job wakes."""
        sleeper = Sleeper()
        self.sleepers.setdefault(job_id, set()).add(sleeper)
        return sleeper

    def tell(self, job_id: str) -> None:
        """Wake all who await news of the job."""
        for sleeper in self.sleepers.pop(job_id, ()):
            sleeper.wake()

    def drop(self, job_id: str, sleeper: Sleeper) -> None:
        """Forget ``sleeper``."""
        sleepers = self.sleepers.get(job_id)
        if sleepers is not None:
            sleepers.discard(sleeper)
            if not sleepers:
                del self.sleepers[job_id]


def take_token(bells: Sequence[Bell]) -> bool:
    """Take the token of the first of ``bells`` that has one; say whether there was one."""
    for bell in bells:
        if bell.token:
            bell.token = False
            return True
    return False
