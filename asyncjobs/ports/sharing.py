"""Opens what several tasks use at once for the first of them, and closes it after the last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Shared"]


class Shared:
    """Counts the users of something that is opened and closed, also if they come and go at the same time.

    Args:
        open_it: Opens it.
        close_it: Closes it.
    """

    def __init__(
        self, open_it: Callable[[], Coroutine[Any, Any, None]], close_it: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.users = 0
        """How many have entered and not left."""
        self._open = open_it
        self._close = close_it
        # Not the same as whether there are users: the last may have left, and wait for its turn to close it.
        self._is_open = False
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _turn(self) -> asyncio.Lock:
        """Return the lock of the running event loop: a lock that had to be waited for in one fails in another."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._lock, self._loop = asyncio.Lock(), loop
        return self._lock

    async def enter(self) -> None:
        """Open it, unless it is open, on this event loop or on another one that runs."""
        if self._loop not in (None, asyncio.get_running_loop()) and not self._loop.is_running():
            self.forget()
        if not self.users:
            async with self._turn():
                if not self._is_open:
                    await self._open()
                    self._is_open = True
                self.users += 1
        else:
            self.users += 1

    async def leave(self) -> None:
        """Close it, if this was the last user; do nothing if it was forgotten meanwhile."""
        if not self.users:
            return
        self.users -= 1
        if not self.users:
            async with self._turn():
                if self._is_open and not self.users:
                    self._is_open = False
                    await self._close()

    def forget(self) -> None:
        """Reset to closed without closing it: the process is a forked one, or its event loop has ended."""
        self.users = 0
        self._is_open = False
        self._loop = None
