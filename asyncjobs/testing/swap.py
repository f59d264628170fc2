"""The parts of an app that the test kit puts in place of the app's own: its connection, its loop, and its sender.

There is no connection to keep to one event loop, so each call runs in the loop, or in the thread, that makes it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from asyncjobs.app.batcher import Batcher
from asyncjobs.app.connection import Connection
from asyncjobs.app.loop import AppLoop
from asyncjobs.app.sender import Sender
from asyncjobs.jobs.handle import JobHandle, JobLookup
from asyncjobs.jobs.open_apps import note_open
from asyncjobs.jobs.request import JobRequest
from asyncjobs.ports import Broker, EnqueueReply, NewJob
from asyncjobs.settings import Settings
from asyncjobs.testing.clock import ManualClock
from asyncjobs.worker.execution.threads import HandlerThreads

if TYPE_CHECKING:
    from asyncjobs.app.app import App

__all__ = ["CallingThread", "KitConnection", "KitLoop", "KitSender"]

R = TypeVar("R")
T = TypeVar("T")


class CallingThread(HandlerThreads):
    """Runs sync handlers in the thread that waits for them in a synchronous call.

    So a handler uses the database connection of the test, with its open transaction, as those of Django's tests are.
    """

    def _find_thread(self) -> None:
        """Do nothing: the thread is the caller's, in ``serve``."""

    def serve(self) -> None:
        """Run what comes, until ``end`` is called."""
        self._serve()

    def end(self) -> None:
        """Let ``serve`` return."""
        self._calls.put(None)

    def close(self) -> None:
        """Do nothing: the thread is the caller's."""


class KitLoop(AppLoop):
    """Runs synchronous calls on a loop of their own, in another thread, while the calling thread runs sync handlers."""

    def __init__(self) -> None:
        super().__init__(_nothing, _nothing, lambda: None)
        self.serving: dict[asyncio.AbstractEventLoop, CallingThread] = {}
        """By loop, the thread that waits for it."""

    def run_sync(self, start: Callable[[], Coroutine[Any, Any, T]], instead: str, *, patience: float = 0.0) -> T:
        """Run the coroutine of ``start`` in a copy of the caller's context and return its result.

        See ``AppLoop.run_sync``.

        Raises:
            AppNotOpen: A loop runs in this thread.
        """
        self._refuse_to_block(instead)
        caller = CallingThread()
        replies: list[T] = []
        errors: list[BaseException] = []
        tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

        async def call() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            tasks.append((loop, task))
            self.serving[loop] = caller
            try:
                return await start()
            finally:
                del self.serving[loop]

        def run() -> None:
            try:
                # With a factory it leaves the thread's current loop alone.
                with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                    replies.append(runner.run(call()))
            except BaseException as error:
                errors.append(error)
            finally:
                caller.end()

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(run,), name="asyncjobs-kit", daemon=True)
        thread.start()
        try:
            caller.serve()
        except BaseException:
            # Ctrl-C, say: the loop must not go on beside what comes next.
            for loop, task in tasks:
                loop.call_soon_threadsafe(task.cancel)
            raise
        finally:
            thread.join()
        if errors:
            raise errors[0]
        return replies[0]


async def _nothing() -> None:
    """Do nothing: there is no loop in a thread to open an app on, or to close it."""


class KitConnection(Connection):
    """The connection to the broker of the kit, which may be used from any event loop and thread.

    Args:
        settings: The app's settings.
        broker: The broker.
        is_open: Whether the app counts as open all the time; if not, ``async with app`` opens it.
    """

    def __init__(self, settings: Settings, broker: Broker, *, is_open: bool) -> None:
        super().__init__(settings, broker)
        self.kit_loop = KitLoop()
        """The same as ``loop``."""
        self.loop = self.kit_loop
        self._is_open = is_open

    def begin(self) -> None:
        """Count as open, unless ``async with app`` is to open the app."""
        if self._is_open:
            self._enter()

    def end(self) -> None:
        """Count as closed, however often the app was entered."""
        self._forget()

    @property
    def broker(self) -> Broker:
        """The broker.

        Raises:
            AppNotOpen: The app isn't open.
        """
        self.check_open()
        return self._broker

    def run(self, start: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Return the coroutine of ``start``, which runs on whichever loop awaits it."""
        return start()

    async def open(self) -> None:
        """Count one user more."""
        self._enter()

    async def close(self) -> None:
        """Count one user less."""
        if self.shared.users:
            self.shared.users -= 1
            if not self.shared.users:
                self._forget()

    def _enter(self) -> None:
        self.shared.users += 1
        if self.shared.users == 1:
            for user in self._users:
                user.opened(self._broker)


class _Straight(Batcher):
    """Sends each call at once, and once: nothing gathers, and nobody waits for a broker that is away."""

    async def send(self, job: NewJob) -> EnqueueReply:
        [reply] = await self._call([job])
        return reply

    async def _call(self, jobs: Sequence[NewJob]) -> list[EnqueueReply]:
        return await self._broker.enqueue(jobs, replicated=self._replicated)


class KitSender(Sender):
    """Sends by the clock of the kit, and calls ``sent`` with what was sent.

    Args:
        connection: The connection to the broker of the kit.
        lookup: As of ``Sender``.
        app: The app, with its middleware and encryption.
        clock: The clock of the kit.
        sent: Called after each send, outside of the middleware, with the handles of the jobs.
    """

    def __init__(
        self,
        connection: Connection,
        lookup: JobLookup,
        app: App,
        clock: ManualClock,
        sent: Callable[[Sequence[JobHandle[Any]]], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(connection, lookup, app._declared, app.middleware, app._encryption)
        self._clock = clock
        self._sent = sent

    def opened(self, broker: Broker) -> None:
        self._batchers = {
            "local": _Straight(broker, 0.0, replicated=False),
            "replicated": _Straight(broker, 0.0, replicated=True),
        }
        note_open(self)

    async def _send(self, new: NewJob, request: JobRequest[R]) -> JobHandle[R]:
        handle = await super()._send(new, request)
        await self._sent([handle])
        return handle

    async def send_many(self, requests: Any) -> list[JobHandle[Any]]:
        handles = await super().send_many(requests)
        await self._sent(handles)
        return handles

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        return super().prepare(request, sent_at_ms=self._clock.now_ms() if sent_at_ms is None else sent_at_ms)
