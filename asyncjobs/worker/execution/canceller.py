"""Cancels attempts, and again while they swallow it.

Cancellation always comes from here, with what it leads to: a timeout, the sender's wish, a lost lease, the shutdown. A
sync handler's thread can't be cancelled: its slot stays taken until it returns.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncjobs.core.settlement import Outcome
from asyncjobs.worker.execution.attempt import LOST, Attempt, Lost
from asyncjobs.worker.execution.deadlines import Deadlines
from asyncjobs.worker.shield import shield_of

__all__ = ["Canceller"]

_AGAIN_S = 1.0

# How long a job's resources may take to close before they are cancelled too.
_CLOSE_S = 4.0


class Canceller:
    """Cancels the attempts of one worker; ``monotonic`` is its clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._deadlines = Deadlines()

    def limit(self, attempt: Attempt, seconds: float) -> None:
        """Cancel ``attempt`` in ``seconds``, its timeout, unless its deadline is dropped before."""
        attempt.deadline = self._deadlines.add(seconds, lambda: self._time_out(attempt, seconds))

    def _time_out(self, attempt: Attempt, seconds: float) -> None:
        self.cancel(attempt, TimeoutError(f"the attempt took longer than its timeout of {seconds:g} s"))

    def cancel(self, attempt: Attempt, leads_to: Outcome | TimeoutError | Lost) -> None:
        """Cancel ``attempt`` as soon as that can be; of several reasons the first counts, but a lost lease always."""
        if attempt.leads_to is None or leads_to is LOST:
            attempt.leads_to = leads_to
        if attempt.task is None or attempt.task.done():
            return
        if not self._is_held(attempt):
            attempt.task.cancel()
        self._deadlines.add(_AGAIN_S, lambda: self.cancel(attempt, leads_to))

    def _is_held(self, attempt: Attempt) -> bool:
        """Say whether the attempt can't be cancelled now: it is in a thread, or is closing its resources."""
        if attempt.context is None:
            # A task that is cancelled before its first step ends without it, and nobody would free the slot.
            return not attempt.is_waiting
        shield = shield_of(attempt.context)
        if shield != "closing":
            attempt.held_since = None
            return shield == "thread"
        now = self._monotonic()
        attempt.held_since = attempt.held_since or now
        return now - attempt.held_since < _CLOSE_S

    def close(self) -> None:
        """Forget all timeouts, and the cancellations to be repeated."""
        self._deadlines.close()
