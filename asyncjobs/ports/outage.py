"""Failures in a row: how long to wait before the next try, and one line in the log for all of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

__all__ = ["BROKER_PAUSES_S", "RESTART_PAUSES_S", "Outage", "pause_after"]

#: Between tries to reach the broker; the last one holds for all further tries.
BROKER_PAUSES_S = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

#: Before a part of a worker, or a worker process, that has failed is started again.
RESTART_PAUSES_S = (0.1, 0.5, 1.0, 5.0)


def pause_after(failures: int, pauses_s: Sequence[float]) -> float:
    """Return how many seconds to wait after so many failures in a row, 0 after none."""
    return pauses_s[min(failures, len(pauses_s)) - 1] if failures else 0.0


class Outage:
    """The failures in a row of something that goes on trying; warned of once.

    Args:
        log: where the warnings go.
        begins: the warning at the first failure, with ``%s`` for the error, last.
        ends: the warning at the first success after it; by default there is none.

    Example:
        ```python
        outage = Outage(_log, "sending must wait: %s", "sending goes on")
        while True:
            try:
                await send()
            except BrokerUnavailable as error:
                await asyncio.sleep(outage.failed(error))
            else:
                outage.over()
        ```
    """

    __slots__ = ("_begins", "_ends", "_log", "failures")

    def __init__(self, log: logging.Logger, begins: str, ends: str = "") -> None:
        self._log = log
        self._begins = begins
        self._ends = ends
        #: How many there were since the last success.
        self.failures = 0

    @property
    def next_pause(self) -> float:
        """How many seconds ``failed`` would return now."""
        return pause_after(self.failures + 1, BROKER_PAUSES_S)

    def failed(self, error: object, *details: object) -> float:
        """Count a failure and return how many seconds to wait; the first one is warned of.

        Args:
            error: why it failed.
            details: what else the warning names, before the error.
        """
        if not self.failures:
            self._log.warning(self._begins, *details, error)
        self.failures += 1
        return pause_after(self.failures, BROKER_PAUSES_S)

    def over(self) -> None:
        """Note a success, if there were ``failures``: the next failure is the first again."""
        if self.failures:
            self.failures = 0
            if self._ends:
                self._log.warning(self._ends)
