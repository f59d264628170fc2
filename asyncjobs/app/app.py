"""The app: where settings, jobs, broker and worker meet, and the adapters are chosen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from asyncjobs.app.sync import SyncApp
from asyncjobs.app.verbs.schedules import ScheduleVerbs
from asyncjobs.core.duration import Duration
from asyncjobs.core.options import DEFAULT_QUEUE, UNSET, Acks, Durability, Executor, UnsetType
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.retry import RetryPolicy, RetryRule
from asyncjobs.core.schedule import Missed
from asyncjobs.jobs.definition import AsyncJobDefinition, SyncJobDefinition
from asyncjobs.jobs.registry import JobDecorator, Registry, decorator, default_registry
from asyncjobs.middleware.base import Middleware
from asyncjobs.ports import Broker
from asyncjobs.settings import Server, load_settings
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.worker import Worker

__all__ = ["App"]

P = ParamSpec("P")
R = TypeVar("R")


class App(ScheduleVerbs):
    """Jobs, a broker and settings; open while it is in an ``async with`` block, or over a web app's lifespan.

    ``url``: ``redis://``, ``rediss://``, ``unix://`` or ``memory://``, by default from the environment
    (``ASYNCJOBS_URL``, or ``REDIS_HOST``, ``REDIS_PORT``, ``REDIS_PASSWORD``). ``retry``: the policy of jobs that set
    none. ``middleware``: layers around sending and running, outermost first. The others are described at
    ``asyncjobs.settings.Settings``; times are seconds or ``timedelta``, and each may also come from the environment as
    ``ASYNCJOBS_<NAME>``. ``broker``: one of your own, in place of ``url``.

    Raises ``ConfigurationError`` that names setting, value and what is allowed.
    """

    def __init__(
        self,
        url: str | UnsetType = UNSET,
        *,
        lease: Duration | UnsetType = UNSET,
        shutdown_timeout: Duration | UnsetType = UNSET,
        poll_interval: Duration | UnsetType = UNSET,
        result_ttl: Duration | UnsetType = UNSET,
        max_payload: int | UnsetType = UNSET,
        prefix: str | UnsetType = UNSET,
        scheduler: bool | UnsetType = UNSET,
        scheduler_interval: Duration | UnsetType = UNSET,
        worker_count: int | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        queues: Sequence[str] | UnsetType = UNSET,
        unknown_job_grace: Duration | UnsetType = UNSET,
        max_deaths: int | UnsetType = UNSET,
        blocked_limit: Duration | UnsetType = UNSET,
        send_timeout: Duration | UnsetType = UNSET,
        durability: Durability | UnsetType = UNSET,
        dead_ttl: Duration | UnsetType = UNSET,
        dead_most: int | UnsetType = UNSET,
        max_events: int | UnsetType = UNSET,
        event_ttl: Duration | UnsetType = UNSET,
        handler_processes: int | UnsetType = UNSET,
        retry: RetryPolicy | None = None,
        middleware: Sequence[Middleware] = (),
        broker: Broker | None = None,
    ) -> None:
        settings = load_settings(
            url,
            {
                "lease": lease,
                "shutdown_timeout": shutdown_timeout,
                "poll_interval": poll_interval,
                "result_ttl": result_ttl,
                "max_payload": max_payload,
                "prefix": prefix,
                "scheduler": scheduler,
                "scheduler_interval": scheduler_interval,
                "worker_count": worker_count,
                "concurrency": concurrency,
                "queues": queues,
                "unknown_job_grace": unknown_job_grace,
                "max_deaths": max_deaths,
                "blocked_limit": blocked_limit,
                "send_timeout": send_timeout,
                "durability": durability,
                "dead_ttl": dead_ttl,
                "dead_most": dead_most,
                "max_events": max_events,
                "event_ttl": event_ttl,
                "handler_processes": handler_processes,
            },
            os.environ,
        )
        broker = broker or _make_broker(settings.server, settings.prefix)
        super().__init__(settings, broker, retry or RetryPolicy(), middleware)
        self.registry = Registry(app=self, beneath=default_registry)
        self.sync = SyncApp(self, self._home)
        #: What tests use in place of resource providers; see ``override``.
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"App({str(self.settings.server)!r})"

    @property
    def _host(self) -> WorkerHost:
        """What the app's workers need of it."""
        return self

    def _queues_in_code(self, name: str | None) -> set[str]:
        known = self.registry.names()
        names = known if name is None else known & {name}
        return {self.registry.get(one).options.queue or DEFAULT_QUEUE for one in names}

    # -- defining jobs

    @overload
    def job(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncJobDefinition[P, R]: ...
    @overload
    def job(self, function: Callable[P, R], /) -> SyncJobDefinition[P, R]: ...
    @overload
    def job(
        self,
        /,
        *,
        name: str | None = None,
        aliases: tuple[str, ...] = (),
        queue: str | UnsetType = UNSET,
        priority: Priority | PriorityName | UnsetType = UNSET,
        retry: RetryPolicy | RetryRule | UnsetType = UNSET,
        timeout: Duration | UnsetType | None = UNSET,
        expires: Duration | UnsetType = UNSET,
        result_ttl: Duration | UnsetType = UNSET,
        acks: Acks | UnsetType = UNSET,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        missed: Missed = "once",
        executor: Executor = "thread",
    ) -> JobDecorator: ...
    def job(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a function a job of this app; options and errors as of ``asyncjobs.job``."""
        return decorator(self.registry, function, options)

    @contextlib.contextmanager
    def override(self, provider: Callable[..., Any], replacement: Callable[..., Any]) -> Iterator[None]:
        """Let workers that start in this block use ``replacement`` for ``Inject(provider)``; for tests."""
        before = dict(self.overrides)
        self.overrides[provider] = replacement
        try:
            yield
        finally:
            self.overrides = before

    # -- embedding

    @contextlib.asynccontextmanager
    async def lifespan(self, web_app: object = None) -> AsyncIterator[None]:
        """Keep the app open while a web app runs: ``FastAPI(lifespan=app.lifespan)``."""
        async with self:
            yield

    @contextlib.asynccontextmanager
    async def worker(
        self, *, queues: Sequence[str] | Mapping[str, float] | None = None, concurrency: int | None = None
    ) -> AsyncIterator[Worker]:
        """Run a worker in the background of this block, in this loop; arguments as of ``Worker``."""
        async with Worker(self, queues=queues, concurrency=concurrency).running() as worker:
            yield worker


def _make_broker(server: Server, prefix: str) -> Broker:
    """Return the broker for a server; the one place that knows all of them."""
    if server.scheme == "memory":
        from asyncjobs.brokers.memory import MemoryBroker

        return MemoryBroker()
    from asyncjobs.brokers.redis.broker import RedisBroker
    from asyncjobs.brokers.redis.connection import ConnectionSettings

    settings = ConnectionSettings(
        mode=server.mode,
        nodes=server.nodes,
        service=server.service,
        unix_path=server.path or None,
        username=server.username,
        password=server.password,
        database=server.database,
        tls=server.tls,
        max_connections=server.max_connections,
        connect_timeout=server.connect_timeout,
        command_timeout=server.command_timeout,
    )
    return RedisBroker(settings, prefix=prefix)
