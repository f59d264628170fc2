"""Keeps a worker's leases alive from a thread of its own, also while a handler blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from asyncjobs.errors import BrokerError
from asyncjobs.ports import Extension, LeaseKeeper
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.liveness.watchdog import Watchdog

__all__ = ["Heartbeat"]

_log = logging.getLogger("asyncjobs.worker")

_LOOK_EVERY_S = 0.25

# The least time between two looks for cancellations, so that many of them cost few extensions.
_HURRY_EVERY_S = 0.02


class Heartbeat(Duty):
    """Extends what ``leases`` holds every quarter of a lease; ``on_extension`` is called, in its thread, with news.

    Three beats may fail before a lease lapses. Once the loop has been blocked for ``blocked_limit`` seconds, nothing is
    extended any more: the jobs are for another worker.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        leases: Leases,
        watchdog: Watchdog,
        on_extension: Callable[[Extension], None],
        *,
        monotonic: Callable[[], float],
        lease_ms: int,
        blocked_limit: float,
    ) -> None:
        self._keeper = keeper
        self._leases = leases
        self._watchdog = watchdog
        self._on_extension = on_extension
        self._monotonic = monotonic
        self._lease_ms = lease_ms
        self._period_s = lease_ms / 4000
        self._blocked_limit = blocked_limit
        self._next_at = monotonic() + self._period_s
        self._loop = asyncio.get_running_loop()
        self._is_stopping = False
        self._has_given_up = False
        self._wake = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="asyncjobs-heartbeat", daemon=True)

    async def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; leases that are still held lapse."""
        self._is_stopping = True
        self._wake.set()
        # While it calls a server that hangs, it ends later, with its timeout.
        await self._ended.wait()
        self._thread.join()

    def hurry(self) -> None:
        """Extend as soon as possible, since a job may be to be cancelled; from any thread."""
        self._wake.set()

    def step(self) -> None:
        """Extend everything that is held, once. Raises ``BrokerError``."""
        held = self._leases.held(self._monotonic())
        if self._watchdog.silence_s >= self._blocked_limit:
            if not self._has_given_up:
                self._has_given_up = True
                _log.error(
                    "the event loop has been blocked for more than blocked_limit (%g s): the %d jobs of this worker "
                    "are left to others, as their leases lapse",
                    self._blocked_limit,
                    len(held),
                )
            return
        self._has_given_up = False
        if held:
            extension = self._keeper.extend(held, self._lease_ms)
            if extension.lost or extension.cancelled:
                self._on_extension(extension)

    def _run(self) -> None:
        outage = Outage(_log, "leases can't be extended: %s", "leases are extended again")
        while True:
            is_hurried = self._wake.wait(min(_LOOK_EVERY_S, self._period_s))
            if self._is_stopping:
                break
            self._wake.clear()
            self._watchdog.step()
            if not is_hurried and self._monotonic() < self._next_at:
                continue
            self._next_at = self._monotonic() + self._period_s
            try:
                self.step()
            except BrokerError as error:
                self._next_at = self._monotonic() + min(self._period_s, outage.failed(error))
            else:
                outage.over()
            if is_hurried:
                time.sleep(_HURRY_EVERY_S)
        self._keeper.close()
        with contextlib.suppress(RuntimeError):  # The loop has closed, and the worker has ended with it.
            self._loop.call_soon_threadsafe(self._ended.set)
