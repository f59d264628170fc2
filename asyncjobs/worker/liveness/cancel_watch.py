"""Lets a worker learn at once that one of its jobs is to be cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from asyncjobs.errors import BrokerRefused, BrokerUnavailable
from asyncjobs.ports import Work
from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after
from asyncjobs.worker.duty import Duty

__all__ = ["CancelWatch"]

_log = logging.getLogger("asyncjobs.worker")


class CancelWatch(Duty):
    """Calls ``hurry`` whenever a job of the worker ``worker_id`` may be to be cancelled.

    Without it, the worker learns of that when it extends its leases. So nothing depends on it.
    """

    def __init__(self, broker: Work, hurry: Callable[[], None], *, worker_id: str, queues: Sequence[str]) -> None:
        self._broker = broker
        self._hurry = hurry
        self._worker_id = worker_id
        self._queues = queues

    async def run(self) -> None:
        """Watch, for as long as the broker allows it."""
        failures = 0
        while True:
            try:
                await self._broker.watch_cancels(self._worker_id, self._queues, self._hurry)
            except BrokerUnavailable:
                # Maintenance meets the same error and logs it.
                failures += 1
                await asyncio.sleep(pause_after(failures, RESTART_PAUSES_S))
            except BrokerRefused as error:
                _log.warning("cancellations of running jobs arrive only when leases are extended: %s", error)
                return
