"""Cancels attempts, and again while they swallow it.

Every cancellation comes from here, with what it leads to: a timeout, the sender's wish, a lost lease, the shutdown. A
sync handler's thread can't be cancelled: its slot stays taken until it returns.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncjobs.worker.execution.attempt import LOST, Attempt, CancelledFor
from asyncjobs.worker.execution.deadlines import Deadlines
from asyncjobs.worker.shield import shield_of

__all__ = ["Canceller"]

_RECANCEL_EVERY_S = 1.0

# How long a job's resources may take to close before they are cancelled too.
_MAX_CLOSING_S = 4.0


class Canceller:
    """Cancels the attempts of one worker; ``monotonic`` is its clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._deadlines = Deadlines()

    def limit(self, attempt: Attempt, seconds: float, name: str) -> None:
        """Cancel ``attempt`` in ``seconds``, unless its deadline is dropped before; ``name`` names the timeout."""
        attempt.deadline = self._deadlines.add(seconds, lambda: self._time_out(attempt, seconds, name))

    def _time_out(self, attempt: Attempt, seconds: float, name: str) -> None:
        self.cancel(attempt, TimeoutError(f"the attempt took longer than {name} of {seconds:g} s"))

    def cancel(self, attempt: Attempt, leads_to: CancelledFor) -> None:
        """Cancel ``attempt`` as soon as possible; of several reasons the first counts, but a lost lease always."""
        if attempt.leads_to is None or leads_to is LOST:
            attempt.leads_to = leads_to
        if attempt.task is None or attempt.task.done():
            return
        if not self._must_wait(attempt):
            attempt.task.cancel()
        self._deadlines.add(_RECANCEL_EVERY_S, lambda: self.cancel(attempt, leads_to))

    def _must_wait(self, attempt: Attempt) -> bool:
        """Return whether the attempt can't be cancelled now: not begun, in a thread, or closing its resources."""
        if attempt.context is None:
            # A task that is cancelled before its first step ends without it, and its slot would never be freed.
            return not attempt.is_waiting
        shield = shield_of(attempt.context)
        if shield != "closing":
            attempt.closing_since = None
            return shield == "thread"
        now = self._monotonic()
        attempt.closing_since = attempt.closing_since or now
        return now - attempt.closing_since < _MAX_CLOSING_S

    def close(self) -> None:
        """Forget all timeouts, and the cancellations to be repeated."""
        self._deadlines.close()
