"""The worker of an app: checks its options, and runs in the foreground, in the background, or once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.options import DEFAULT_QUEUE, UnsetType, checked_queue
from asyncjobs.errors import ArgumentsError, BrokerUnavailable, ConfigurationError
from asyncjobs.jobs.ids import new_id
from asyncjobs.ports import Clock
from asyncjobs.ports.clock import SystemClock
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.host import HostConnection, WorkerApp, WorkerHost
from asyncjobs.worker.liveness.health import Health
from asyncjobs.worker.queue_order import QueueOrder
from asyncjobs.worker.recycling import EndedBy, check_limits
from asyncjobs.worker.run import WorkerRun
from asyncjobs.worker.signals import stopping_on_signals
from asyncjobs.worker.tasks import cancel, end_within, first_of, shielded

__all__ = ["Worker"]

_log = logging.getLogger("asyncjobs.worker")

T = TypeVar("T")

# How long the worker may take to close the app, where no other user has it open.
_CLOSE_WITHIN_S = 2.0


class Worker:
    """Runs jobs of an app in the running event loop.

    Args:
        app: The app whose jobs are run; the worker opens it while it runs.
        queues: Names of queues, served in strict order, or a mapping of names to weights above 0, served at random by
            weight. By default the setting ``queues``, else the queues that the app's jobs name.
        concurrency: How many jobs run at once, 1 or more; by default the setting.
        ageing: The share of claims, from 0 to 1, that serve low priority first, so that it never starves.
        start_timeout: For how long the worker waits at its start for a broker that can't be reached, in seconds.
        max_jobs: After how many jobs the worker ends by itself; by default never.
        max_memory: Above how many bytes of resident memory of its process the worker ends by itself; by default never.
            It is looked at before a claim, at most twice a second, and not before the first job has ended.
        clock: A clock in place of the system's, for tests.

    A worker that ends by itself claims no more, and lets its running jobs end, however long they take.

    Raises:
        ConfigurationError: An argument has a wrong value.

    Example:
        ```python
        await Worker(app, queues=["critical", "default"]).run()
        ```
    """

    id: str
    """The worker's id, with the name of its machine and the number of its process."""

    ended_by: EndedBy
    """Which limit, ``max_jobs`` or ``max_memory``, has ended the last run; empty if none has."""

    def __init__(
        self,
        app: WorkerApp,
        *,
        queues: Sequence[str] | Mapping[str, float] | None = None,
        concurrency: int | None = None,
        ageing: float = 0.05,
        start_timeout: float = 0.0,
        max_jobs: int | None = None,
        max_memory: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not hasattr(app, "_host"):
            raise ConfigurationError(f"Worker was given {shown(app)}: expected an App")
        if isinstance(queues, str | bytes) or not isinstance(queues, Sequence | Mapping | None):
            raise ConfigurationError(
                f"queues={shown(queues)}: expected a list of names, or a mapping of names to weights"
            )
        if concurrency is not None:
            try:
                checked_count("concurrency", concurrency, least=1)
            except ArgumentsError as error:
                raise ConfigurationError(str(error)) from None
        if not isinstance(ageing, int | float) or not 0 <= ageing <= 1:
            raise ConfigurationError(f"ageing={shown(ageing)}: expected a share from 0 to 1")
        if not isinstance(start_timeout, int | float) or not 0 <= start_timeout < math.inf:
            raise ConfigurationError(f"start_timeout={shown(start_timeout)}: expected a number of seconds, 0 or more")
        if isinstance(queues, Mapping) and not all(map(_is_weight, queues.values())):
            raise ConfigurationError(f"queues={shown(dict(queues))}: expected weights above 0")
        check_limits(max_jobs, max_memory)
        self.ended_by = ""
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self.id = f"{socket.gethostname()}-{os.getpid()}-{new_id()[-8:]}"
        self._host = app._host
        self._concurrency = concurrency or self._host.settings.concurrency
        self._order = QueueOrder(_queues(self._host, queues), ageing=ageing)
        self._start_timeout = start_timeout
        self._clock = clock or SystemClock()
        # Over all runs, since a claim whose number was used before gets the jobs that were claimed then.
        self._numbers = itertools.count(1)
        self._current_run: WorkerRun | None = None
        self._stopping: asyncio.Event | None = None
        self._is_stopped = False

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues that the worker serves, in the order given."""
        return self._order.queues

    def health(self, within: float | None = None) -> Health:
        """Return whether the worker's loop turns, and whether it does its work; may be called from any thread.

        Args:
            within: How long ago a claim, or a wait for jobs, may have ended, in seconds; by default 10 seconds more
                than the longest wait that the settings ``poll_interval`` and ``scheduler_interval`` allow, and at
                least 15.
        """
        run = self._current_run
        return Health() if run is None else run.health(within)

    def stop(self) -> None:
        """Claim no more and let handlers finish; called once more, cancel them now.

        Returns at once; ``run`` returns when the worker has ended. Call it in the worker's event loop.
        """
        self._is_stopped = True
        if self._stopping is not None:
            self._stopping.set()
        if self._current_run is not None:
            self._current_run.stop()

    async def run(self, *, signals: bool = True, on_start: Callable[[], None] | None = None) -> None:
        """Run jobs until ``stop`` is called, or the worker has reached ``max_jobs`` or ``max_memory``.

        After ``stop``, handlers may finish for the setting ``shutdown_timeout``; after that they are cancelled, and
        their jobs go back to their queues. This takes ten seconds more at most, whatever handlers, resources and the
        broker do. To cancel this coroutine is to stop the worker without waiting for handlers.

        Args:
            signals: Whether SIGTERM, SIGINT and SIGHUP stop the worker, a second one without waiting for handlers. A
                third one is handled as if there were no worker, which usually ends the process. A SIGHUP that the
                process ignores, as under ``nohup``, stays ignored.
            on_start: Called once the worker has started: the broker answers, and the worker's resources are open.

        Raises:
            DefinitionError: A job of the app could not be run.
            BrokerError: The broker can't be reached within ``start_timeout``; later, the worker waits for it.
        """

        async def work(run: WorkerRun) -> None:
            if on_start is not None:
                on_start()
            await run.until_stopped()

        await self._live(work, signals)

    async def run_until_empty(self, *, signals: bool = True) -> int:
        """Run jobs until none is startable and none runs; scheduled jobs and retries that are due later are left alone.

        While other workers hold jobs of the queues, one of them may have been killed. So the worker waits for their
        leases to expire, for up to a lease and a second, and runs the jobs that it recovers.

        Args:
            signals: As of ``run``.

        Returns:
            How many jobs have ended.

        Raises:
            DefinitionError: A job of the app could not be run.
            BrokerError: The broker can't be reached.
        """
        return await self._live(WorkerRun.until_empty, signals) or 0

    async def run_once(self, *, signals: bool = True) -> bool:
        """Claim one job and run it to its end.

        If none is startable, the worker waits for a job that a killed worker has left, as ``run_until_empty`` does.

        Args:
            signals: As of ``run``.

        Returns:
            Whether there was a job.

        Raises:
            DefinitionError: A job of the app could not be run.
            BrokerError: The broker can't be reached.
        """
        return bool(await self._live(WorkerRun.once, signals))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Run jobs in the background of a block, which must be entered and left in one task.

        At its end the worker is stopped; a block that is cancelled does not wait for handlers.

        Yields:
            The worker itself.

        Example:
            ```python
            async with Worker(app).running():
                print(await handle.result())
            ```
        """
        ready = asyncio.Event()

        async def work(run: WorkerRun) -> None:
            ready.set()
            await run.until_stopped()

        # Not a task group, which would wrap what the block raises.
        task = self._task_of(work)
        try:
            await first_of(task, ready)
            if not task.done() or task.exception() is None:
                yield self
        except asyncio.CancelledError:
            self._stop_now()
            raise
        finally:
            if not (task.done() or self._is_stopped):
                self.stop()
            await self._end_of(task)

    async def _live(self, work: Callable[[WorkerRun], Coroutine[Any, Any, T]], signals: bool) -> T | None:
        """Open the app, do ``work`` until it has ended or the worker is stopped, and end everything.

        To cancel this is to stop the worker without waiting for its handlers.

        Returns:
            What ``work`` has returned; ``None`` if it was stopped before.
        """
        with stopping_on_signals(self.stop, signals):
            return await self._end_of(self._task_of(work))

    def _task_of(self, work: Callable[[WorkerRun], Coroutine[Any, Any, T]]) -> asyncio.Task[T | None]:
        return asyncio.create_task(self._run(work), name=f"asyncjobs-worker-{self.id}")

    async def _end_of(self, task: asyncio.Task[T]) -> T:
        try:
            return await shielded(task, self._stop_now)
        finally:
            self._is_stopped = False

    def _stop_now(self) -> None:
        self.stop()
        self.stop()

    async def _run(self, work: Callable[[WorkerRun], Coroutine[Any, Any, T]]) -> T | None:
        self._stopping = asyncio.Event()
        if self._is_stopped:
            self._stopping.set()
        try:
            async with contextlib.AsyncExitStack() as stack:
                starting = asyncio.create_task(self._start(stack))
                try:
                    await first_of(starting, self._stopping)
                finally:
                    if not await cancel(starting):
                        _log.error("the start of the worker does not end, although it was cancelled")
                if starting.cancelled() or not starting.done():
                    return None
                run = starting.result()
                self.ended_by = ""
                working = run.begin(work(run))
                await first_of(working, self._stopping)
                self.ended_by = run.reached
            return None if working.cancelled() or not working.done() else working.result()
        finally:
            self._stopping = self._current_run = None

    async def _start(self, stack: contextlib.AsyncExitStack) -> WorkerRun:
        connection = self._host.connection
        await self._open(connection)
        stack.push_async_callback(end_within, _CLOSE_WITHIN_S, connection.close(), "the app's connection")
        run = WorkerRun(
            self._host,
            self._order,
            self._concurrency,
            self._clock,
            self.id,
            self._numbers,
            max_jobs=self._max_jobs,
            max_memory=self._max_memory,
        )
        # Kept until the run has ended, so that a second stop can hurry the first.
        self._current_run = run
        return await stack.enter_async_context(run)

    async def _open(self, connection: HostConnection) -> None:
        """Open the app's connection, and wait for the broker if it can't be reached yet."""
        outage, until = Outage(_log, "the worker waits to start: %s"), time.monotonic() + self._start_timeout
        while True:
            try:
                return await connection.open()
            except BrokerUnavailable as error:
                pause = outage.next_pause
                if time.monotonic() + pause > until:
                    raise
                outage.failed(error)
            await asyncio.sleep(pause)


def _is_weight(given: object) -> bool:
    return isinstance(given, int | float) and 0 < given < math.inf


def _queues(host: WorkerHost, given: Sequence[str] | Mapping[str, float] | None) -> Sequence[str] | Mapping[str, float]:
    queues = given or host.settings.queues
    if not queues:
        # Every queue that a job names, and the default one for jobs that name none.
        named = {definition.options.queue for definition in host.registry}
        queues = sorted({DEFAULT_QUEUE if isinstance(queue, UnsetType) else queue for queue in named})
    for queue in queues:
        checked_queue(queue)
    if len(set(queues)) != len(queues):
        raise ConfigurationError(f"queues={shown(list(queues))}: a queue is named twice")
    return queues or [DEFAULT_QUEUE]
