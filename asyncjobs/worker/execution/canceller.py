"""Cancels attempts, and again while they swallow it.

Every cancellation comes from here, with what it leads to: a timeout, the sender's wish, a lost lease, the shutdown. A
sync handler's thread can't be cancelled: it is told (``JobContext.is_cancelled``), and its slot stays taken until it
returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import Cancelled
from asyncjobs.core.text import message_of
from asyncjobs.jobs.context import Shield
from asyncjobs.worker.execution.attempt import Attempt, CancelledFor, Lost
from asyncjobs.worker.execution.deadlines import Deadlines
from asyncjobs.worker.execution.traces import trace_of_thread
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.shield import ends_at, lift_shield, shield_of, tell_cancelled, thread_of

__all__ = ["Canceller", "abandon"]

_log = logging.getLogger("asyncjobs.worker")

_RECANCEL_EVERY_S = 1.0

# How long a job's resources may take to close before they are cancelled too.
_MAX_CLOSING_S = 4.0

# What an attempt does that was cancelled a grace ago, by its shield.
_GOES_ON: dict[Shield, str] = {
    "thread": "its handler goes on in a thread, which can't be stopped",
    "closing": "its resources do not close",
    "": "its handler goes on although it is cancelled",
}


class Canceller:
    """Cancels the attempts of one worker.

    ``leases`` are extended until ``grace_s`` after the timeout. A handler that still goes on then can't be stopped: its
    attempt is passed to ``on_overrun``, with its job and the error that is to end it. ``monotonic`` is the clock of the
    worker.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        leases: Leases,
        grace_s: float,
        on_overrun: Callable[[Attempt, Job, TimeoutError], None],
    ) -> None:
        self._monotonic = monotonic
        self._leases = leases
        self._grace_s = grace_s
        self._on_overrun = on_overrun
        self._deadlines = Deadlines()

    def limit(self, attempt: Attempt, seconds: float, name: str) -> float:
        """Cancel ``attempt`` in ``seconds``, unless its deadline is dropped, or moved by its handler, before.

        Args:
            attempt: The attempt.
            seconds: The timeout.
            name: Names the timeout, for the error.

        Returns:
            When that is, by the loop's clock.
        """
        attempt.deadline = self._deadlines.add(seconds, lambda: self._reach(attempt, f"{name} of {seconds:g} s", at))
        at = attempt.deadline.at
        self._keep(attempt, seconds)
        return at

    def _keep(self, attempt: Attempt, seconds: float) -> None:
        """Keep the lease for as long as the attempt may go on, and for a grace; no longer, if the loop is blocked."""
        self._leases.hold(attempt.lease, self._monotonic() + seconds + self._grace_s)

    def _reach(self, attempt: Attempt, what: str, first_at: float) -> None:
        """Cancel an attempt whose timeout is over, unless it was extended."""
        at = first_at
        if attempt.context is not None and attempt.deadline is not None:
            at = ends_at(attempt.context) or first_at
            if at > attempt.deadline.at:
                left_s = max(0.0, at - asyncio.get_running_loop().time())
                attempt.deadline = self._deadlines.add(left_s, lambda: self._reach(attempt, what, first_at))
                self._keep(attempt, left_s)
                return
        if at > first_at:
            what += f", extended by {at - first_at:.1f} s"
        message = f"the attempt took longer than {what}"
        self.cancel(attempt, TimeoutError(message))
        self._deadlines.add(self._grace_s, lambda: self._overrun(attempt, message))

    def _overrun(self, attempt: Attempt, message: str) -> None:
        if attempt.task is None or attempt.task.done() or attempt.context is None or isinstance(attempt.leads_to, Lost):
            return
        error = TimeoutError(f"{message}, and {_GOES_ON[shield_of(attempt.context)]}")
        trace = trace_of_thread(thread_of(attempt.context))
        self._on_overrun(attempt, attempt.context.record, error.with_traceback(trace))

    def cancel(self, attempt: Attempt, leads_to: CancelledFor) -> None:
        """Cancel ``attempt`` as soon as possible; of several reasons the first counts, but a lost lease always."""
        if attempt.leads_to is None or (isinstance(leads_to, Lost) and not isinstance(attempt.leads_to, Lost)):
            attempt.leads_to = leads_to
        if attempt.task is None or attempt.task.done():
            return
        if attempt.context is not None:
            tell_cancelled(attempt.context)
        if not self._must_wait(attempt):
            attempt.task.cancel()
        self._deadlines.add(_RECANCEL_EVERY_S, lambda: self.cancel(attempt, leads_to))

    def cancel_job(self, attempt: Attempt, reason: str) -> None:
        """Cancel ``attempt`` for the sender of its job, which counts for more than a timeout or the worker's end."""
        if attempt.leads_to is None:
            self.cancel(attempt, Cancelled(reason))
        elif not isinstance(attempt.leads_to, Cancelled | Lost):
            # It is being cancelled already.
            attempt.leads_to = Cancelled(reason)

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


async def abandon(attempts: Sequence[Attempt], seconds: float) -> None:
    """End the tasks of ``attempts``, so that none keeps the event loop from ending; each way may take ``seconds``.

    A task that waits for a thread is cancelled, although the thread goes on. Where a handler swallows its
    cancellation, its coroutine is closed.
    """
    for way in (_cancel, _close):
        tasks = [attempt.task for attempt in attempts if attempt.task is not None and not attempt.task.done()]
        if tasks:
            for attempt in attempts:
                way(attempt)
            await asyncio.wait(tasks, timeout=seconds)


def _cancel(attempt: Attempt) -> None:
    if attempt.context is not None:
        lift_shield(attempt.context)
    if attempt.task is not None:
        attempt.task.cancel()


def _close(attempt: Attempt) -> None:
    """Raise ``GeneratorExit`` where the handler of ``attempt`` waits."""
    if attempt.task is None or attempt.task.done():
        return
    coroutine = attempt.task.get_coro()
    try:
        if coroutine is not None:
            coroutine.close()
    except BaseException as error:
        # It awaits something in a ``finally``, say, and can't be ended.
        _log.error("the handler of job %s can't be ended: %s", attempt.lease.id, message_of(error))
        return
    # Now the task finds nothing left to run, and ends.
    attempt.task.add_done_callback(_retrieve)
    attempt.task.cancel()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take the error of a task whose coroutine was closed, which would be logged otherwise."""
    if not task.cancelled():
        task.exception()
