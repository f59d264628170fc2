"""What a middleware is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest

__all__ = ["CallNext", "Middleware", "Send"]

#: What is further in on the way out: sends the requests and returns their handles, in order.
Send = Callable[[Sequence[JobRequest[Any]]], Awaitable[list[JobHandle[Any]]]]

#: What is further in around a handler: runs it, and returns what it returned.
CallNext = Callable[[JobContext], Awaitable[Any]]


class Middleware:
    """One layer of the onion; override ``enqueue``, ``process`` or both, and give it to ``App(middleware=[…])``.

    The first of the list is the outermost, on both sides. One object serves all jobs at once, so keep what belongs to a
    job in local variables. The chain is composed when the app is made, or when the worker starts.
    """

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        """Send ``requests``, changed or not, by ``await send(requests)``, and return their handles in order.

        ``.delay()`` is a batch of one, ``enqueue_many`` a batch of all. A request may be replaced by one with other
        headers or options (``request.with_headers``, ``request.with_options``). What is raised here reaches who sends;
        sending again after an error is safe: a request keeps its id.

        The job of a schedule passes when the schedule is added; each tick's carries what it was given then. Those of
        ``@job(cron=…)`` and ``every=`` are sent by nobody, so they do not pass.
        """
        return await send(requests)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        """Run the handler, and the layers further in, by ``await call_next(job)``; return what becomes the result.

        An exception is a failure of the job, also one that this layer raises: the error then names the layer.
        ``Retry``, ``Snooze``, ``Discard`` and ``Cancel`` steer the job from here too.
        """
        return await call_next(job)
