"""A call on its way out: the request, and the awaitable that sends it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, Unpack

import msgspec

from asyncjobs.core.options import DEFAULT_QUEUE, CallOptions, DefinitionOptions, SendOptions

if TYPE_CHECKING:
    from asyncjobs.jobs.handle import JobHandle

__all__ = ["Dispatcher", "JobRequest", "Sending"]

R = TypeVar("R")


class JobRequest(msgspec.Struct, Generic[R], frozen=True, kw_only=True, gc=False):
    """A checked and encoded call that has not been sent; what ``.request()`` returns and ``enqueue_many`` takes.

    ``delay_ms`` from the moment of sending, or ``due_at_ms`` in Unix milliseconds: not before then. ``id``: the job's,
    once it has been given one. ``headers``: what middleware sends along.
    """

    name: str
    arguments: bytes
    keywords: tuple[str, ...]
    signature: int
    defaults: DefinitionOptions
    options: CallOptions
    returns: Any
    delay_ms: int = 0
    due_at_ms: int | None = None
    id: str = ""
    headers: dict[str, str] = {}

    @property
    def queue(self) -> str:
        """The queue that it goes to."""
        return self.options.queue or self.defaults.queue or DEFAULT_QUEUE

    def with_headers(self, headers: Mapping[str, str]) -> JobRequest[R]:
        """Return the request with ``headers`` added; they are on ``current_job().headers``."""
        return msgspec.structs.replace(self, headers={**self.headers, **headers})

    def with_options(self, **options: Unpack[SendOptions]) -> JobRequest[R]:
        """Return the request with options in place of those that it has.

        Args:
            **options: See ``SendOptions``.

        Raises:
            ArgumentsError: There is no such option, or it has a wrong value. The message names it.
        """
        return msgspec.structs.replace(self, options=self.options.updated(options))


class Dispatcher(Protocol):
    """What a definition needs of an app."""

    def dispatch(self, request: JobRequest[R], where: str) -> Sending[R]:
        """Check ``request`` against the app's limits and return what sends it when awaited."""
        ...

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        """Send ``request`` from a thread without a loop; with one, refuse and name what to write ``instead``."""
        ...


class Sending(Coroutine[Any, Any, "JobHandle[R]"]):
    """A job being sent: await it, once. It is a coroutine too, so ``asyncio.create_task`` takes it.

    One that is dropped without being awaited warns with the job's name and the line of the call: nothing was sent.
    """

    __slots__ = ("_coroutine", "_name", "_start", "_where")

    def __init__(self, start: Callable[[], Coroutine[Any, Any, JobHandle[R]]], name: str, where: str) -> None:
        self._start: Callable[[], Coroutine[Any, Any, JobHandle[R]]] | None = start
        self._coroutine: Coroutine[Any, Any, JobHandle[R]] | None = None
        self._name = name
        self._where = where

    def _begin(self) -> Coroutine[Any, Any, JobHandle[R]]:
        if self._coroutine is None:
            if self._start is None:
                raise RuntimeError(f"the sending of {self._name!r} ({self._where}) was closed or awaited before")
            start, self._start = self._start, None
            self._coroutine = start()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, JobHandle[R]]:
        if self._start is None:
            raise RuntimeError(f"the sending of {self._name!r} ({self._where}) was closed or awaited before")
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        return self._begin().send(value)

    def throw(self, *error: Any) -> Any:
        return self._begin().throw(*error)

    def close(self) -> None:
        self._start = None
        if self._coroutine is not None:
            self._coroutine.close()

    def __del__(self) -> None:
        if getattr(self, "_start", None) is not None:
            warnings.warn(
                f"{self._name!r} at {self._where} was never awaited: the job was not sent", RuntimeWarning, stacklevel=2
            )
