"""The event loop of an app, and the ways into it from other loops and threads.

An app's connections belong to one loop: the loop of ``async with app``, or in a program without one, a loop that the
first synchronous call starts in a thread.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asyncjobs.errors import AppNotOpen

__all__ = ["AppLoop"]

T = TypeVar("T")

# How long closing an app may hold up the end of the process.
_CLOSE_S = 5.0


class AppLoop:
    """The loop of one app, and the ways into it.

    Args:
        open_app: Opens the app, for the loop in a thread.
        close_app: Closes the app, for the same loop, when the process ends.
        forget: Resets the app to closed in a forked process, where the parent's loop is gone.
    """

    def __init__(
        self,
        open_app: Callable[[], Coroutine[Any, Any, None]],
        close_app: Callable[[], Coroutine[Any, Any, None]],
        forget: Callable[[], None],
    ) -> None:
        self._open_app = open_app
        self._close_app = close_app
        self._forget = forget
        self.current: asyncio.AbstractEventLoop | None = None
        """The loop, ``None`` while the app is closed."""
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def attach(self) -> None:
        """Make the running loop the app's own."""
        self.current = asyncio.get_running_loop()
        self._pid = os.getpid()

    def detach(self) -> None:
        """Let the app have no loop."""
        self.current = None

    @property
    def is_running_here(self) -> bool:
        """Whether the running loop is the app's own."""
        return self.current is asyncio.get_running_loop()

    async def run_elsewhere(self, start: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> T:
        """Run the coroutine of ``start`` on ``loop``, the app's own, from another one."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_started(start), loop))

    def run_sync(self, start: Callable[[], Coroutine[Any, Any, T]], instead: str) -> T:
        """Run the coroutine of ``start`` on the app's loop, wait for it, and return its result.

        Args:
            start: Returns the coroutine.
            instead: What to write inside a running loop, for the error.

        Raises:
            AppNotOpen: A loop runs in this thread, which would be blocked.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise AppNotOpen(f"a synchronous call inside a running event loop would block it; write {instead}")
        return asyncio.run_coroutine_threadsafe(_started(start), self._loop_or_start_thread()).result()

    def _loop_or_start_thread(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._pid != os.getpid():
                self.current = None
                self._forget()
            if self.current is not None:
                return self.current
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="asyncjobs-app", daemon=True).start()
            asyncio.run_coroutine_threadsafe(self._open_app(), loop).result()
            self._thread_loop = loop
            atexit.register(self._end)
            return loop

    def _end(self) -> None:
        loop, self._thread_loop = self._thread_loop, None
        if loop is not None and self._pid == os.getpid():
            asyncio.run_coroutine_threadsafe(self._close_app(), loop).result(_CLOSE_S)
            loop.call_soon_threadsafe(loop.stop)


async def _started(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call ``start`` and await its coroutine, so that both happen on the app's loop."""
    return await start()
