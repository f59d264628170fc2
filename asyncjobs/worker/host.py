"""What a worker needs of its app."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.request import Dispatcher, JobRequest
from asyncjobs.middleware.base import Middleware
from asyncjobs.ports import Broker, NewJob
from asyncjobs.settings import Settings

__all__ = ["WorkerApp", "WorkerHost"]


class WorkerApp(Protocol):
    """An app that a worker can be made for: what the worker needs of it stays off its public face."""

    @property
    def _host(self) -> WorkerHost:
        """What its workers need of it."""
        ...


class WorkerHost(Dispatcher, Protocol):
    """What the workers of an app need of it: jobs and settings, the broker, and the way of a job to the broker."""

    @property
    def registry(self) -> Registry:
        """The jobs that can be run."""
        ...

    @property
    def settings(self) -> Settings:
        """The app's settings."""
        ...

    @property
    def retry(self) -> RetryPolicy:
        """The policy of jobs that set none."""
        ...

    @property
    def middleware(self) -> Sequence[Middleware]:
        """The layers around handlers, outermost first."""
        ...

    @property
    def overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """What to use in place of resource providers."""
        ...

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        """Return the job of ``request``, ready to be sent; ``sent_at_ms``: when, in Unix milliseconds, if not now."""
        ...

    def handle(self, job_id: str, *, queue: str = ...) -> JobHandle[Any]:
        """Return a handle of a job."""
        ...

    @property
    def broker(self) -> Broker:
        """The open broker."""
        ...

    async def __aenter__(self) -> Any:
        """Open the app, once more if it is open."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Close the app, unless it was opened more than once."""
        ...
