"""The test kit: an app whose jobs stay in this process, run when the test says so, and by a clock that it moves."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast, overload

from asyncjobs.app.lookup import Lookup
from asyncjobs.app.sync import SyncApp
from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import Duration, to_ms, unix_ms, utc_time
from asyncjobs.core.options import DEFAULT_QUEUE, UnsetType
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.context import running
from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.open_apps import note_closed, note_open
from asyncjobs.ports import Broker
from asyncjobs.testing.attempts import Attempt, raise_errors
from asyncjobs.testing.broker import KitBroker
from asyncjobs.testing.clock import ManualClock
from asyncjobs.testing.running import KitWorker
from asyncjobs.testing.sent import Call, SentJob, listing, sent_job
from asyncjobs.testing.swap import KitConnection, KitSender

if TYPE_CHECKING:
    from asyncjobs.app.app import App

__all__ = ["Kit"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# What the kit puts in place of the app's own while it is in use.
_PARTS = ("_connection", "_lookup", "_sender", "sync")

# Whether a worker of a kit runs here: its jobs, its hooks or its resources.
_in_worker: contextvars.ContextVar[bool] = contextvars.ContextVar("asyncjobs_in_kit_worker", default=False)


class Kit:
    """What ``app.testing()`` returns: inside its ``with`` block the app uses a broker of the test's own.

    Jobs are checked, encoded, sent through the middleware, claimed, decoded, run, retried and settled as in production;
    the broker is in memory, and the time is that of a clock which stands still. A job runs in ``run`` and ``run_for``,
    or with ``eager=True``, as soon as it is sent.

    The methods that are awaited may be awaited on any event loop.

    Example:
        ```python
        async def test_an_order_is_confirmed() -> None:
            with app.testing() as kit:
                await place_order(1007)
                kit.assert_sent(confirm, 1007, language="en")
                await kit.run()
        ```
    """

    def __init__(self, app: App, *, eager: bool, now: datetime | None, concurrency: int, opened: bool) -> None:
        now_ms = time.time_ns() // 1_000_000 if now is None else unix_ms(now)
        if now_ms is None:
            raise ArgumentsError(f"now={shown(now)}: expected an aware datetime, as datetime.now(UTC) returns")
        self._app = app
        self._eager = eager
        self._concurrency = checked_count("concurrency", concurrency, least=1)
        self._clock = ManualClock(now_ms)
        self._broker = KitBroker(self._clock, self._concurrency)
        self._connection = KitConnection(app.settings, self._as_broker, is_open=opened)
        self._lookup = Lookup(self._connection, app.registry, app._encryption)
        self._sender = KitSender(self._connection, self._lookup, app, self._clock, self._after_send)
        self._sync = SyncApp(app, self._connection.loop, app.settings.send_timeout)
        self._context: contextvars.Context | None = None
        self._before: dict[str, Any] = {}

    @property
    def _as_broker(self) -> Broker:
        # It has the verbs of the broker in memory, which type checkers can't see.
        return cast("Broker", self._broker)

    def __enter__(self) -> Self:
        if self._context is not None:
            raise RuntimeError("this kit was entered before: call app.testing() for each `with` block")
        # Handlers see what holds here, and not what holds where a job is sent, as the current request.
        self._context = contextvars.copy_context()
        app = self._app
        self._before = {name: getattr(app, name) for name in _PARTS}
        if self._before["_connection"].shared.users:
            note_closed(self._before["_sender"])
        app._connection, app._lookup, app._sender, app.sync = self._connection, self._lookup, self._sender, self._sync
        self._connection.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.end()
        for name, part in self._before.items():
            setattr(self._app, name, part)
        if self._before["_connection"].shared.users:
            note_open(self._before["_sender"])

    # -- what was sent

    @overload
    def sent(self) -> list[SentJob[Any]]: ...
    @overload
    def sent(self, job: JobDefinition[..., R], /) -> list[SentJob[R]]: ...
    @overload
    def sent(self, job: JobDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs) -> list[SentJob[R]]: ...
    # mypy doesn't see that this takes what the second and the third take.
    def sent(  # type: ignore[misc]
        self, job: JobDefinition[P, Any] | None = None, /, *args: P.args, **kwargs: P.kwargs
    ) -> list[SentJob[Any]]:
        """Return the jobs that were sent, in order, also those that have run.

        Of jobs that were sent under one id, only the first is there, since only that one runs.

        Args:
            job: The job to look for; by default all.
            *args: The positional arguments with which it was sent.
            **kwargs: The keyword arguments; without both, it is found with any arguments.

        Raises:
            ArgumentsError: The handler can't be called so.

        Example:
            ``[mail] = kit.sent(send_email)``
        """
        found = self._all_sent()
        return found if job is None else list(filter(Call(job, args, kwargs).matches, found))

    @overload
    def assert_sent(self, job: JobDefinition[..., R], /) -> SentJob[R]: ...
    @overload
    def assert_sent(self, job: JobDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SentJob[R]: ...
    def assert_sent(self, job: JobDefinition[..., Any], /, *args: Any, **kwargs: Any) -> SentJob[Any]:
        """Check that a job was sent.

        Arguments are compared with those that a worker gets, defaults included. ``unittest.mock.ANY`` equals any value.

        Args:
            job: The job.
            *args: The positional arguments with which it was sent.
            **kwargs: The keyword arguments; without both, any arguments will do.

        Returns:
            The job that was sent; the latest, if several match.

        Raises:
            AssertionError: It was not sent. The message shows what was.
            ArgumentsError: The handler can't be called so.

        Example:
            ``assert kit.assert_sent(send_email, "ada@example.com", subject="Hi").queue == "mail"``
        """
        call = Call(job, args, kwargs)
        found = self._all_sent()
        if matching := list(filter(call.matches, found)):
            return matching[-1]
        raise AssertionError(f"{call} was not sent. {listing(found, call)}")

    @overload
    def assert_not_sent(self, job: JobDefinition[..., Any], /) -> None: ...
    @overload
    def assert_not_sent(self, job: JobDefinition[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def assert_not_sent(self, job: JobDefinition[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Check that a job was not sent.

        Args:
            job: The job.
            *args: The positional arguments with which it was not sent.
            **kwargs: The keyword arguments; without both, it was not sent at all.

        Raises:
            AssertionError: It was sent. The message shows each time.
            ArgumentsError: The handler can't be called so.
        """
        call = Call(job, args, kwargs)
        if found := list(filter(call.matches, self._all_sent())):
            raise AssertionError(f"{call} was sent. {listing(found)}")

    def clear(self) -> None:
        """Forget all jobs, those that wait too, and what was noted of them; the clock stays where it is."""
        self._broker.clear()

    def _all_sent(self) -> list[SentJob[Any]]:
        return [sent_job(record, self._app, self._lookup) for record in self._broker.sent]

    # -- running

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that have ended since the beginning, or since ``clear``, in order."""
        return list(self._broker.attempts.ended)

    async def run(self, *, check: bool = True) -> list[Attempt]:
        """Run every job that waits, with what it sends, its retries, and jobs that are due later.

        The clock jumps to the next moment at which a job is due. Schedules fire in ``run_for`` alone: they have no end.

        Args:
            check: Whether to raise what a job died of.

        Returns:
            The attempts, in the order in which they ended.

        Raises:
            Exception: A job went to the dead letter queue, and its handler had raised this at the last attempt. Of
                several jobs, an ``ExceptionGroup``. A job that a handler has discarded by ``Discard`` doesn't count.
            RuntimeError: 10,000 attempts have run, and there are still jobs.
            DefinitionError: A job of the app can't be run.
        """
        return await self._run(None, check, schedules=False)

    async def run_for(self, duration: Duration, *, check: bool = True) -> list[Attempt]:
        """Let a time pass by the clock, and run what comes due in it, at its time, schedules included.

        Args:
            duration: Seconds or ``timedelta``; 0 runs what is due now.
            check: As of ``run``.

        Returns:
            The attempts, in the order in which they ended.

        Raises:
            Exception: As of ``run``.
            ArgumentsError: ``duration`` is no such duration.
            RuntimeError: 10,000 attempts have run, and there are still jobs.
            DefinitionError: A job of the app can't be run.
        """
        until_ms = self._clock.now_ms() + to_ms("duration", duration)
        self._broker.lapse()
        return await self._run(until_ms, check, schedules=True)

    def run_sync(self, *, check: bool = True) -> list[Attempt]:
        """Do what ``run`` does, from code without an event loop. Sync handlers run in the calling thread.

        Args:
            check: As of ``run``.

        Returns:
            The attempts, in the order in which they ended.

        Raises:
            AppNotOpen: It was called inside a running event loop. Otherwise raises as ``run`` does.
        """
        return self._connection.loop.run_sync(lambda: self.run(check=check), "await kit.run()")

    def run_for_sync(self, duration: Duration, *, check: bool = True) -> list[Attempt]:
        """Do what ``run_for`` does, from code without an event loop. Sync handlers run in the calling thread.

        Args:
            duration: Seconds or ``timedelta``; 0 runs what is due now.
            check: As of ``run``.

        Returns:
            The attempts, in the order in which they ended.

        Raises:
            AppNotOpen: It was called inside a running event loop. Otherwise raises as ``run_for`` does.
        """
        return self._connection.loop.run_sync(
            lambda: self.run_for(duration, check=check), f"await kit.run_for({shown(duration)})"
        )

    async def _run(self, until_ms: int | None, check: bool, *, schedules: bool) -> list[Attempt]:
        ended = self._broker.attempts.ended
        start = len(ended)
        await self._work(until_ms, schedules=schedules)
        attempts = ended[start:]
        if check:
            raise_errors([one for one in attempts if one.outcome == "failed"])
        return attempts

    async def _work(self, until_ms: int | None, *, schedules: bool = False) -> None:
        """Run jobs, with another worker once a job was sent to a queue that the one before does not serve."""
        is_done = False
        while not is_done:
            worker = KitWorker(
                self._app,
                self._as_broker,
                self._broker.attempts,
                self._clock,
                self._connection.kit_loop,
                queues=await self._queues(),
                concurrency=self._concurrency,
                schedules=schedules,
            )
            is_done = await self._apart(worker.run_until(until_ms))

    async def _queues(self) -> list[str]:
        """Return the queues of the app: as its settings order them, then those of its jobs, then those in use."""
        named = [one.options.queue for one in self._app.registry]
        defined = sorted({DEFAULT_QUEUE if isinstance(queue, UnsetType) else queue for queue in named})
        return list(dict.fromkeys([*self._app.settings.queues, *defined, *await self._as_broker.queues()]))

    async def _apart(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` in a task whose context is that of the kit."""
        if self._context is None:
            work.close()
            raise RuntimeError("the kit is used outside of its `with` block")
        context = self._context.copy()
        context.run(_in_worker.set, True)
        return await asyncio.get_running_loop().create_task(work, context=context)

    async def _after_send(self, handles: Sequence[JobHandle[Any]]) -> None:
        # What a worker's own hook or resource sends is left to it: another worker would call that hook again.
        if not self._eager or (_in_worker.get() and running.get() is None):
            return
        await self._work(self._clock.now_ms())
        ended: list[Attempt] = []
        for handle in handles:
            news = self._broker.attempts.news_of(handle.queue, handle.id) if handle.is_new else None
            if news is None:
                # It is due later, or held back.
                continue
            # Another send that runs jobs at this moment may have claimed it.
            attempt = await asyncio.shield(asyncio.wrap_future(news))
            if attempt is not None and attempt.outcome in ("retrying", "failed"):
                ended.append(attempt)
        raise_errors(ended)

    # -- the clock

    @property
    def now(self) -> datetime:
        """The time by the clock of the kit, in UTC."""
        return utc_time(self._clock.now_ms())

    def advance(self, duration: Duration) -> None:
        """Move the clock forward, and run nothing.

        Args:
            duration: By how much: seconds or ``timedelta``.

        Raises:
            ArgumentsError: ``duration`` is no such duration.
        """
        self._clock.advance(to_ms("duration", duration))
        self._broker.lapse()

    # -- faults

    @contextlib.contextmanager
    def broker_away(self) -> Iterator[None]:
        """Let the broker be away inside a ``with`` block: each call to it raises ``BrokerUnavailable`` at once.

        In production that takes ``send_timeout``.

        Example:
            ```python
            with kit.broker_away():
                assert (await client.post("/orders")).status_code == 503
            ```
        """
        self._broker.is_away = True
        try:
            yield
        finally:
            self._broker.is_away = False

    @contextlib.contextmanager
    def lost_replies(self) -> Iterator[None]:
        """Let replies be lost inside a ``with`` block: jobs are accepted, and their sends raise ``BrokerUnavailable``.

        A program that then sends again sends a second job, unless both have one ``job_id``.
        """
        self._broker.loses_replies = True
        try:
            yield
        finally:
            self._broker.loses_replies = False

    def kill_worker(self, job: JobDefinition[..., Any] | None = None, *, times: int = 1) -> None:
        """Kill the worker of the next attempts, when the handler has ended and the outcome is not stored yet.

        So the job runs again, once its lease has lapsed: the test of whether a handler may run twice.

        Args:
            job: The job under which the worker is killed; by default any.
            times: How many attempts.

        Raises:
            ArgumentsError: ``times`` is no whole number above 0.
        """
        self._broker.kills["" if job is None else job.name] += checked_count("times", times, least=1)
