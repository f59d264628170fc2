"""What a worker needs of its app."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from asyncjobs.core.limits import QueueRules
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.handle import JobLookup
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.request import Dispatcher, JobRequest
from asyncjobs.middleware.base import Middleware
from asyncjobs.ports import Broker, NewJob
from asyncjobs.settings import Settings

__all__ = ["HostConnection", "HostSender", "WorkerApp", "WorkerHost"]


class HostConnection(Protocol):
    """The connection of an app to its broker."""

    @property
    def broker(self) -> Broker:
        """The open broker."""
        ...

    async def open(self) -> None:
        """Open the app, or count once more if it is open."""
        ...

    async def close(self) -> None:
        """Close the app, once this was called as often as ``open``."""
        ...


class HostSender(Dispatcher, Protocol):
    """What an app sends with."""

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        """Return the job that ``request`` asks for, as sent now, or at a time in Unix milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerHost:
    """The parts of an app that its workers use."""

    registry: Registry
    """The jobs that can be run."""
    settings: Settings
    """The app's settings."""
    retry: RetryPolicy
    """The policy of jobs that set none."""
    middleware: tuple[Middleware, ...]
    """The layers around handlers, outermost first."""
    overrides: Mapping[Callable[..., Any], Callable[..., Any]]
    """What to use in place of resource providers."""
    on_start: Sequence[Callable[..., object]]
    """What a worker calls before its first job."""
    on_stop: Sequence[Callable[..., object]]
    """What a worker calls after its last job."""
    rules_of: Callable[[str], QueueRules]
    """Returns the limits and weights that the program declares of a queue."""
    connection: HostConnection
    """The app's connection."""
    sender: HostSender
    """What the app sends with."""
    lookup: JobLookup
    """What the handles of its jobs ask, and what shows jobs to middleware."""
    encryption: Encryption | None = None
    """Decrypts arguments, and encrypts what becomes of jobs."""


class WorkerApp(Protocol):
    """An app that a worker can be made for: what the worker needs of it stays off its public face."""

    @property
    def _host(self) -> WorkerHost:
        """What its workers need of it."""
        ...
