"""Failures in a row: how long to wait before the next try, and one warning for the whole row."""

from __future__ import annotations

import logging
from collections.abc import Sequence

__all__ = ["BROKER_PAUSES_S", "RESTART_PAUSES_S", "Outage", "pause_after"]

#: The pauses between tries to reach the broker; the last one holds for all further tries.
BROKER_PAUSES_S = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

#: The pauses before a part of a worker, or a worker process, is started again after it has failed.
RESTART_PAUSES_S = (0.1, 0.5, 1.0, 5.0)


def pause_after(failures: int, pauses_s: Sequence[float]) -> float:
    """Return how many seconds to wait before the next try.

    Args:
        failures: How many failures there were in a row; after 0 there is no wait.
        pauses_s: The waits after the first, the second and so on, in seconds; the last one holds for all further ones.
    """
    return pauses_s[min(failures, len(pauses_s)) - 1] if failures else 0.0


class Outage:
    """The failures in a row of something that goes on trying; only the first is warned of.

    Args:
        log: The logger of the warnings.
        begins: The warning at the first failure, with ``%s`` for the error at its end.
        ends: The warning at the first success after a failure; by default there is none.

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
        self.failures = 0
        """How many failures there were since the last success."""

    @property
    def next_pause(self) -> float:
        """What ``failed`` would return now, in seconds."""
        return pause_after(self.failures + 1, BROKER_PAUSES_S)

    def failed(self, error: object, *details: object) -> float:
        """Count a failure; the first one is warned of.

        Args:
            error: Why it failed.
            *details: What the warning names before the error.

        Returns:
            How long to wait before the next try, in seconds.
        """
        if not self.failures:
            self._log.warning(self._begins, *details, error)
        self.failures += 1
        return pause_after(self.failures, BROKER_PAUSES_S)

    def over(self) -> None:
        """Note a success; the next failure is the first again."""
        if self.failures:
            self.failures = 0
            if self._ends:
                self._log.warning(self._ends)
