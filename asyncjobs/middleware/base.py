"""What a middleware is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from asyncjobs.core.job import Job
from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest

__all__ = ["CallNext", "Middleware", "Send"]

Send = Callable[[Sequence[JobRequest[Any]]], Coroutine[Any, Any, list[JobHandle[Any]]]]
"""Sends requests through the layers further in, and returns their handles, in order."""

CallNext = Callable[[JobContext], Coroutine[Any, Any, Any]]
"""Runs the handler inside the layers further in, and returns its result."""


class Middleware:
    """One layer around sending and running; override ``enqueue``, ``process`` or ``ended``, and give it to ``App``.

    The first layer of ``App(middleware=[…])`` is the outermost, on both sides. One object serves all jobs at once, so
    keep what belongs to a job in local variables. The layers are composed when the app is made, or the worker starts.

    ``process`` and ``ended`` may have further parameters with ``Inject``, which the worker fills in; those of ``ended``
    are the worker's resources.

    Example:
        ``App("memory://", middleware=[Logging(), DefaultTimeout(60)])``
    """

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        """Send jobs by ``return await send(requests)``; what is raised here is raised where they are sent.

        The job of each tick of a schedule passes in the worker that fires the tick, and goes to the queue of its
        schedule whatever its options say. An error here, or 10 seconds without an end, leaves the tick due, and it is
        tried again.

        Args:
            requests: The calls: one for ``.delay()``, all of them for ``enqueue_many``. Any of them may be replaced, by
                ``request.with_headers`` or ``request.with_options``. Each keeps its id, so sending again after an
                error makes no second job.
            send: Sends the requests through the layers further in.

        Returns:
            The handles, one for each request and in the same order, as ``send`` returns them.
        """
        return await send(requests)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        """Run an attempt by ``return await call_next(job)``; what is raised here fails it.

        The error of an attempt names the layer that raised it. ``Retry``, ``Snooze``, ``Discard`` and ``Cancel`` do
        here what they do in a handler.

        Args:
            job: The attempt. ``job.args`` and ``job.kwargs`` may be replaced.
            call_next: Runs the handler inside the layers further in.

        Returns:
            The result of the job.
        """
        return await call_next(job)

    async def ended(self, job: Job) -> None:
        """Note that a job has ended: completed, cancelled, or failed for good.

        Called once by the worker whose attempt has ended the job, after the broker has accepted that; so not for a try
        that will be repeated, and not where another worker had taken the job over. It isn't called for a job that ends
        without a worker's attempt, as by a cancellation while it waits, nor where the worker dies before. The innermost
        layer is called first. An error here is logged, and after 10 seconds the call is cancelled.

        Args:
            job: The job as ``App.find_job`` returns it, with its ``state``, ``result``, ``errors``, ``reason`` and
                ``duration_ms``.
        """
