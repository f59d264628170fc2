"""The app: where settings, jobs, broker and worker meet, and the adapters are chosen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, Unpack, overload

import msgspec

from asyncjobs.app.brokers import make_broker
from asyncjobs.app.connection import Connection
from asyncjobs.app.lookup import Lookup
from asyncjobs.app.queues import DeclaredQueues
from asyncjobs.app.sender import Sender
from asyncjobs.app.sync import SyncApp
from asyncjobs.app.verbs.all import AllVerbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.gates import By
from asyncjobs.core.limits import Rate
from asyncjobs.core.options import UNSET, JobOptions, UnsetType
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.definition import AsyncJobDefinition, SyncJobDefinition
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.registry import JobDecorator, Registry, decorator, default_registry
from asyncjobs.jobs.values.hooks import STANDARD, Encoders, Hooks
from asyncjobs.middleware.base import Middleware
from asyncjobs.middleware.chain import checked_middleware
from asyncjobs.ports import Broker
from asyncjobs.settings import SettingOptions, Settings, load_server, load_settings
from asyncjobs.worker.execution.hooks import checked_hook
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.worker import Worker

if TYPE_CHECKING:
    from asyncjobs.testing.kit import Kit

__all__ = ["App"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])


class App(AllVerbs):
    """Jobs, a broker and settings; open inside an ``async with`` block, or over a web app's lifespan.

    Args:
        url: Where the broker is: ``redis://``, ``rediss://`` (TLS), ``unix://``, ``memory://``, ``redis+sentinel://``
            or ``redis+cluster://``. By default the value of ``ASYNCJOBS_URL``, or the server of ``REDIS_HOST``,
            ``REDIS_PORT`` and ``REDIS_PASSWORD``.
        retry: The policy of jobs that set none; by default ``RetryPolicy()``.
        middleware: The layers around sending and running, outermost first.
        broker: A broker of your own, in place of the one that ``url`` names.
        encoders: How objects of classes that can't be sent otherwise are sent by the jobs of ``app.job``: by class, a
            pair of functions. The first turns an object into a value that can be sent, the second turns it back.
        **settings: The keywords of ``asyncjobs.settings.SettingOptions``; times are seconds or ``timedelta``. A setting
            that isn't given comes from the environment, as ``ASYNCJOBS_<NAME>``, or has its default.

    Raises:
        ConfigurationError: A setting or the URL is wrong. The message names the setting, the value and what is
            expected. For a keyword that isn't known it is an ``UnknownSetting``, which is a ``TypeError`` too. An
            encoder is no pair of functions, or is for a class that is sent without one.

    Example:
        ```python
        app = App("redis://localhost:6379/0")

        @app.job
        async def add(a: int, b: int) -> int:
            return a + b

        async with app, app.worker():
            handle = await add.delay(1, 2)
            print(await handle.result())
        ```
    """

    settings: Settings
    """The settings, from the arguments, the URL and the environment."""

    retry: RetryPolicy
    """The retry policy of jobs that set none."""

    middleware: tuple[Middleware, ...]
    """The layers around sending and running, outermost first."""

    registry: Registry
    """The jobs of the app by name, and the jobs of ``asyncjobs.job``."""

    sync: SyncApp
    """The methods of the app for code without an event loop."""

    def __init__(
        self,
        url: str | UnsetType = UNSET,
        *,
        retry: RetryPolicy | None = None,
        middleware: Sequence[Middleware] = (),
        broker: Broker | None = None,
        encoders: Encoders | None = None,
        **settings: Unpack[SettingOptions],
    ) -> None:
        self.settings = load_settings(url, settings, os.environ)
        if not isinstance(retry, RetryPolicy | None):
            raise ConfigurationError(f"retry={shown(retry)}: expected a RetryPolicy")
        if broker is not None and not callable(getattr(broker, "enqueue", None)):
            raise ConfigurationError(f"broker={shown(broker)}: expected a broker, as of asyncjobs.ports")
        self.retry = RetryPolicy() if retry is None else retry
        self.middleware = checked_middleware(middleware)
        self._connection = Connection(
            self.settings, make_broker(self.settings.server, self.settings.prefix) if broker is None else broker
        )
        self._hooks = Hooks(encoders) if encoders else STANDARD
        self.registry = Registry(app=self, beneath=default_registry)
        keys = self.settings.encryption_keys
        self._encryption = Encryption(keys, self.settings.encryption) if keys else None
        self._lookup = Lookup(self._connection, self.registry, self._encryption)
        self._declared = DeclaredQueues(self.registry)
        self._sender = Sender(self._connection, self._lookup, self._declared, self.middleware, self._encryption)
        self.sync = SyncApp(self, self._connection.loop, self.settings.send_timeout)
        self._overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._on_start: list[Callable[..., object]] = []
        self._on_stop: list[Callable[..., object]] = []

    def __repr__(self) -> str:
        return f"App({str(self.settings.server)!r})"

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connection.close()

    def _move(self, url: str) -> None:
        """Use the broker of ``url`` in place of the app's own, with the same settings; for the command line.

        Raises:
            ConfigurationError: The URL is wrong, or the app is open.
        """
        if self._connection.shared.users:
            raise ConfigurationError(f"the app is open on {self.settings.server}, so it can't use another broker")
        self.settings = msgspec.structs.replace(self.settings, server=load_server(url, os.environ))
        self._connection.replace(self.settings, make_broker(self.settings.server, self.settings.prefix))

    @property
    def _host(self) -> WorkerHost:
        """The app as its workers see it."""
        return WorkerHost(
            registry=self.registry,
            settings=self.settings,
            retry=self.retry,
            middleware=self.middleware,
            overrides=self._overrides,
            on_start=tuple(self._on_start),
            on_stop=tuple(self._on_stop),
            rules_of=self._declared.rules_of,
            connection=self._connection,
            sender=self._sender,
            lookup=self._lookup,
            encryption=self._encryption,
        )

    # -- defining jobs

    @overload
    def job(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncJobDefinition[P, R]: ...
    @overload
    def job(self, function: Callable[P, R], /) -> SyncJobDefinition[P, R]: ...
    @overload
    def job(self, /, **options: Unpack[JobOptions]) -> JobDecorator: ...
    def job(self, function: Callable[..., Any] | None = None, /, **options: Unpack[JobOptions]) -> Any:
        """Make a function a job of this app.

        Args:
            function: The handler. An async function runs on the worker's event loop, a plain one in a thread.
            **options: See ``JobOptions``.

        Returns:
            The job, which can still be called as the plain function; without ``function``, a decorator that makes it.

        Raises:
            DefinitionError: The job can't work: its name is taken, an option isn't known, or an annotation can't be
                decoded.
            ArgumentsError: An option has a wrong value.

        Example:
            ```python
            @app.job(queue="mail", timeout=30)
            async def send_email(to: str, subject: str) -> None: ...
            ```
        """
        return decorator(self.registry, function, options)

    def queue(
        self,
        name: str,
        /,
        *,
        running: int | None = None,
        rate: Rate | str | None = None,
        fair_by: By | None = None,
        weights: Mapping[Any, float] | None = None,
        fair: Literal["starts", "time"] = "starts",
    ) -> None:
        """Declare how many jobs of a queue may run, on all workers together, and between whom they take turns.

        Workers that start make limits and weights known; the latest of them counts. ``app.set_limit`` changes limits
        while they run. ``fair_by`` holds for the jobs that this program sends.

        Args:
            name: The queue.
            running: How many of its jobs may run at once; by default any number.
            rate: How many of its jobs may start in a time: a ``Rate``, or a text such as ``"50/s"``, ``"1000/m"`` or
                ``"100/10s"``; by default any number.
            fair_by: Between whom its jobs take turns: ``TENANT``, or the name of a parameter. By default they run in
                the order in which they were sent.
            weights: The share of each group that has another one than 1, by the value of the parameter, or the tenant.
            fair: Whether groups take turns job by job (``starts``), or by how long their jobs run (``time``).

        Raises:
            ArgumentsError: ``name`` can't be the name of a queue, a value is wrong, or none was given.
            DefinitionError: The queue was declared otherwise before.

        Example:
            ```python
            app.queue("mail", running=20, rate="50/s")
            app.queue("reports", fair_by=TENANT, weights={"gold": 3})
            ```
        """
        self._declared.declare(name, running, rate, fair_by, weights, fair)

    @contextlib.contextmanager
    def override(self, provider: Callable[..., Any], replacement: Callable[..., Any]) -> Iterator[None]:
        """Replace the provider of a resource for workers that start inside a ``with`` block; for tests.

        Args:
            provider: The provider that handlers name, as in ``Inject(provider)``.
            replacement: The provider to call in its place.

        Example:
            ```python
            with app.override(open_database, FakeDatabase):
                async with app, app.worker():
                    ...
            ```
        """
        before = dict(self._overrides)
        self._overrides[provider] = replacement
        try:
            yield
        finally:
            # In place: workers hold the mapping.
            self._overrides.clear()
            self._overrides.update(before)

    def testing(
        self, *, eager: bool = False, now: datetime | None = None, concurrency: int = 1, opened: bool = True
    ) -> Kit:
        """Return a kit for tests: inside its ``with`` block jobs stay in this process, and run when the test says so.

        Args:
            eager: Whether a job that is sent runs at once, before its ``await`` returns, and raises there what its
                handler raised. By default jobs run in ``await kit.run()``.
            now: The time at which the clock stands still, an aware ``datetime``; by default the system's.
            concurrency: How many jobs run at once. With 1 they run one after the other, in order.
            opened: Whether the app counts as open. With ``False`` it must be opened as in production, by
                ``async with app`` or a web app's lifespan.

        Raises:
            ArgumentsError: ``now`` or ``concurrency`` has a wrong value.

        Example:
            ```python
            with app.testing() as kit:
                await sign_up("ada@example.com")
                kit.assert_sent(send_welcome, "ada@example.com")
            ```
        """
        # The only import against the order of the rooms; programs that don't test never make it.
        from asyncjobs.testing.kit import Kit

        return Kit(self, eager=eager, now=now, concurrency=concurrency, opened=opened)

    # -- a worker's life

    def on_worker_start(self, function: F, /) -> F:
        """Call a function in each worker of this app that starts, before its first job.

        The functions are called in the order in which they are decorated. An error of one keeps the worker from
        starting. They may send jobs.

        Args:
            function: An async function, called on the worker's event loop, or a plain one, called in a thread. Its
                parameters are the worker's resources, by ``Inject``.

        Returns:
            The function.

        Raises:
            DefinitionError: ``function`` is no function, or a generator. What else can't be called is an error when the
                worker starts.

        Example:
            ```python
            @app.on_worker_start
            async def warm_up(pool: Pool = Inject(pool)) -> None: ...
            ```
        """
        checked_hook(function, "on_worker_start")
        self._on_start.append(function)
        return function

    def on_worker_stop(self, function: F, /) -> F:
        """Call a function in each worker of this app that ends, once its last job is settled.

        The functions are called in the reverse order, while the worker's resources are still open. Together they may
        take as long as the setting ``shutdown_timeout``, and no longer than the worker has left to end. An error of one
        is logged. They aren't called if a function of ``on_worker_start`` has failed, or the worker is killed.

        Args:
            function: As ``on_worker_start`` takes it.

        Returns:
            The function.

        Raises:
            DefinitionError: As ``on_worker_start`` raises it.
        """
        checked_hook(function, "on_worker_stop")
        self._on_stop.append(function)
        return function

    # -- embedding

    @contextlib.asynccontextmanager
    async def lifespan(self, web_app: object = None) -> AsyncIterator[None]:
        """Keep the app open while a web app runs: ``FastAPI(lifespan=app.lifespan)``.

        Args:
            web_app: The web app, which its framework passes; not used.
        """
        async with self:
            yield

    @contextlib.asynccontextmanager
    async def worker(
        self, *, queues: Sequence[str] | Mapping[str, float] | None = None, concurrency: int | None = None
    ) -> AsyncIterator[Worker]:
        """Run a worker in the background of an ``async with`` block, in the same event loop.

        Args:
            queues: As ``Worker`` takes it.
            concurrency: As ``Worker`` takes it.

        Yields:
            The worker, which runs until the block ends. Its handlers may finish then; if the block is cancelled, they
            are cancelled too.

        Raises:
            ConfigurationError: An argument has a wrong value.
            DefinitionError: A job of the app can't be run.
            BrokerError: The broker can't be reached.

        Example:
            ```python
            async with app, app.worker(concurrency=10):
                await serve()
            ```
        """
        async with Worker(self, queues=queues, concurrency=concurrency).running() as worker:
            yield worker
