"""Keeps a worker's leases alive from a thread of its own, also while a handler blocks the event loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from asyncjobs.errors import BrokerError
from asyncjobs.ports import Extension, Lease, LeaseKeeper

__all__ = ["Heartbeat"]

_log = logging.getLogger("asyncjobs.worker")


class Heartbeat:
    """Extends what ``held`` names every quarter of a lease, and gives what it learns to ``tell``, from its thread.

    Three beats may fail before a lease lapses.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        held: Callable[[], list[Lease]],
        tell: Callable[[Extension], None],
        lease_ms: int,
    ) -> None:
        self._keeper = keeper
        self._held = held
        self._tell = tell
        self._lease_ms = lease_ms
        self._stop = threading.Event()
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="asyncjobs-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is held is left to its leases."""
        self._stop.set()

    def step(self) -> None:
        """Extend everything that is held, once. Raises ``BrokerError``."""
        held = self._held()
        if held:
            extension = self._keeper.extend(held, self._lease_ms)
            if extension.lost or extension.cancelled:
                self._tell(extension)

    def _run(self) -> None:
        period = self._lease_ms / 4000
        wait = period
        while not self._stop.wait(wait):
            wait = period
            try:
                self.step()
            except BrokerError as error:
                if not self._is_away:
                    _log.warning("leases can't be extended: %s", error)
                self._is_away = True
                wait = min(period, 1.0)
            else:
                if self._is_away:
                    _log.warning("leases are extended again")
                self._is_away = False
        self._keeper.close()
