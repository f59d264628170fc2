"""Notices, in the heartbeat's thread, that the event loop is blocked, and names the handler that blocks it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable

from asyncjobs.worker.duty import Duty

__all__ = ["Watchdog"]

_log = logging.getLogger("asyncjobs.worker")

_TICK_EVERY_S = 0.25
_REPORT_AFTER_S = 1.0


class Watchdog(Duty):
    """Compares the loop's ticks with the time: ``step`` and ``silence_s`` are for the thread, the others for the loop.

    ``blocking_job`` names the job whose code is running right now, for the report; empty if it is none, or
    not known: below Python 3.12 that of a task which a handler has made is not.
    """

    def __init__(
        self, monotonic: Callable[[], float], blocking_job: Callable[[asyncio.AbstractEventLoop], str]
    ) -> None:
        self._monotonic = monotonic
        self._blocking_job = blocking_job
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._timer: asyncio.TimerHandle | None = None
        self._ticked = monotonic()
        # The tick before the block that was reported, and what blocked the loop.
        self._reported: tuple[float, str] | None = None
        self._lag_s = 0.0

    async def start(self) -> None:
        """Begin to tick."""
        self._ticked = self._monotonic()
        self._tick()

    def _tick(self) -> None:
        self._lag_s = max(self._lag_s, self.silence_s)
        self._ticked = self._monotonic()
        self._timer = self._loop.call_later(_TICK_EVERY_S, self._tick)

    async def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_lag_s(self) -> float:
        """Return how many seconds late the loop ticked at most since this was asked before."""
        lag_s, self._lag_s = max(self._lag_s, self.silence_s), 0.0
        return lag_s

    @property
    def silence_s(self) -> float:
        """How many seconds ago the loop should have ticked; 0 while nothing ticks."""
        if self._timer is None:
            return 0.0
        return max(0.0, self._monotonic() - self._ticked - _TICK_EVERY_S)

    def step(self) -> None:
        """Report a block once it has lasted a second, with the stack that blocks, and again when it is over."""
        ticked, silence_s = self._ticked, self.silence_s
        if silence_s < _REPORT_AFTER_S:
            if self._reported is not None:
                before, what = self._reported
                _log.warning(
                    "the event loop runs again; %s blocked it for %.1f s, in which no reply of the broker was read",
                    what,
                    ticked - before,
                )
                self._reported = None
        elif self._reported is None or self._reported[0] != ticked:
            job = self._blocking_job(self._loop)
            what = job or "code outside of handlers' own tasks"
            plain = "make the handler a plain function, which runs in a thread, or " if job else ""
            self._reported = ticked, what
            frame = sys._current_frames().get(self._thread_id)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)\n"
            _log.error(
                "the event loop has been blocked for %.1f s by %s; %smove the work with asyncio.to_thread\n%s",
                silence_s,
                what,
                plain,
                stack,
            )
