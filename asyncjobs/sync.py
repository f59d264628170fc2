"""``app.sync``: the verbs of an app for code without an event loop, as in Django, Flask, scripts and sync handlers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.handle import JobHandle
from asyncjobs.home import Home
from asyncjobs.operations import Operations
from asyncjobs.overview import QueueStats, Stats
from asyncjobs.ports import CancelReply
from asyncjobs.sending import JobRequest

__all__ = ["SyncApp"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class SyncApp:
    """Each verb does what the app's does and waits for it, on the app's loop or, without one, on one in a thread.

    Inside a running event loop each raises ``AppNotOpen`` and names the verb to await instead.
    """

    def __init__(self, client: Operations, home: Home) -> None:
        self._client = client
        self._home = home

    def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs; see ``App.enqueue_many``."""
        return self._home.run_sync(lambda: self._client.enqueue_many(requests), "await app.enqueue_many(…)")

    def run(self, verb: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what any verb of the app does: ``app.sync.run(app.edit_job, job_id, priority="high")``."""
        return self._home.run_sync(lambda: verb(*args, **kwargs), f"await app.{verb.__name__}(…)")

    def result(self, handle: JobHandle[R], timeout: float | timedelta | None = None) -> R:
        """Wait for a job's result; see ``JobHandle.result``."""
        return self._home.run_sync(lambda: handle.result(timeout), "await handle.result(…)")

    def find_job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """Return a job as it stands; see ``App.find_job``."""
        return self._home.run_sync(lambda: self._client.find_job(job_id, queue=queue), "await app.find_job(…)")

    def cancel_job(self, job_id: str, *, queue: str | None = None) -> CancelReply:
        """Cancel a job; see ``App.cancel_job``."""
        return self._home.run_sync(lambda: self._client.cancel_job(job_id, queue=queue), "await app.cancel_job(…)")

    def failed_jobs(self, limit: int = 100, *, queue: str | None = None) -> list[Job]:
        """List the dead letter queue; see ``App.failed_jobs``."""
        return self._home.run_sync(lambda: self._client.failed_jobs(limit, queue=queue), "await app.failed_jobs(…)")

    def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Retry a dead job; see ``App.retry_job``."""
        return self._home.run_sync(lambda: self._client.retry_job(job_id, queue=queue), "await app.retry_job(…)")

    def pause(self, queue: str) -> None:
        """Pause a queue; see ``App.pause``."""
        self._home.run_sync(lambda: self._client.pause(queue), "await app.pause(…)")

    def resume(self, queue: str) -> None:
        """Resume a queue; see ``App.resume``."""
        self._home.run_sync(lambda: self._client.resume(queue), "await app.resume(…)")

    def stats(self) -> Stats:
        """Return all figures; see ``App.stats``."""
        return self._home.run_sync(self._client.stats, "await app.stats()")

    def queue_stats(self, queue: str) -> QueueStats:
        """Return the figures of one queue; see ``App.queue_stats``."""
        return self._home.run_sync(lambda: self._client.queue_stats(queue), "await app.queue_stats(…)")

    def job_history(self, name: str, limit: int = 100) -> list[HistoryEntry]:
        """Return how jobs ended; see ``App.job_history``."""
        return self._home.run_sync(lambda: self._client.job_history(name, limit), "await app.job_history(…)")
