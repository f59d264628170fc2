"""Jobs as users define them: a function, its options, and the verbs that send it."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from types import FrameType
from typing import Any, Generic, ParamSpec, TypeVar, Unpack

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.options import DEFAULT_QUEUE, UNSET, CallOptions, DefinitionOptions, SendOptions
from asyncjobs.errors import ArgumentsError, DefinitionError, closest
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.handler import check_importable, checked_job_name
from asyncjobs.jobs.limits import LineKeys
from asyncjobs.jobs.open_apps import dispatcher_for
from asyncjobs.jobs.request import Dispatcher, JobRequest, SendingApp
from asyncjobs.jobs.signature import Signature
from asyncjobs.jobs.tenant_scope import current_tenant_id, id_here
from asyncjobs.jobs.uniqueness import check_unique, rule_for
from asyncjobs.jobs.values.hooks import STANDARD

__all__ = [
    "AsyncJobDefinition",
    "JobCall",
    "JobDefinition",
    "SyncJobDefinition",
    "keys_of",
    "signature_of",
]

P = ParamSpec("P")
R = TypeVar("R")

V = TypeVar("V", bound=Callable[..., Any])

_NO_OPTIONS = CallOptions()


def _as_coroutine_function(verb: V) -> V:
    """Mark ``verb``, which returns a coroutine, for callers that look before they call.

    One of them is Starlette's ``BackgroundTasks``, which would drop what is returned.
    """
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(verb)
    else:
        verb._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return verb


# Type checkers find a forgotten `await` only where a `Coroutine` is returned. It sends and receives `None`, since mypy
# takes an `asyncio.gather` of different coroutines for `Any` if there is an `Any` in their types.


class _Verbs(Generic[P, R]):
    """The verbs that send a job, shared by a definition and by one with options for a call."""

    _definition: JobDefinition[P, R]
    _call_options: CallOptions
    _app: SendingApp | None

    @_as_coroutine_function
    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, JobHandle[R]]:
        """Send the job to run as soon as a worker is free.

        The arguments are checked at once, before anything is awaited.

        Args:
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            A coroutine that sends the job, once, and returns its handle. Dropped without being awaited, it warns.

        Raises:
            ArgumentsError: The arguments don't fit the handler, or can't be encoded; or the job has no tenant, and a
                ``job_id`` that begins with ``@``.
            PayloadTooLarge: The job is larger than ``max_payload``.
            AppNotOpen: The app isn't open; or the job belongs to no app, and not exactly one is open.
            BrokerUnavailable: The broker can't be reached; raised by the ``await``.
            BrokerRefused: The broker won't take the job; raised by the ``await``.

        Example:
            ``handle = await send_email.delay("user@example.com", subject="Welcome!")``
        """
        return self._send(self._request(args, kwargs), sys._getframe(1))

    @_as_coroutine_function
    def schedule_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, JobHandle[R]]:
        """Send the job to run at a time.

        Args:
            when: An aware ``datetime``; one in the past means now.
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            A coroutine that sends the job, once, and returns its handle. Dropped without being awaited, it warns.

        Raises:
            ArgumentsError: ``when`` is no aware ``datetime``. Otherwise raises as ``delay`` does.
        """
        due_at_ms = due_ms(when, "schedule_at", "schedule_in", time.time_ns() // 1_000_000)
        return self._send(self._request(args, kwargs, due_at_ms=due_at_ms), sys._getframe(1))

    @_as_coroutine_function
    def schedule_in(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, JobHandle[R]]:
        """Send the job to run after a delay, counted from when the broker has it.

        Args:
            delay: Seconds or ``timedelta``, 0 or more.
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            A coroutine that sends the job, once, and returns its handle. Dropped without being awaited, it warns.

        Raises:
            ArgumentsError: ``delay`` is no such duration. Otherwise raises as ``delay`` does.
        """
        return self._send(self._request(args, kwargs, delay_ms=to_ms("delay", delay)), sys._getframe(1))

    def delay_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``delay`` does, from code without an event loop.

        Args:
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            The handle of the job.

        Raises:
            AppNotOpen: It was called inside a running event loop. Otherwise raises as ``delay`` does.
        """
        return self._send_sync(self._request(args, kwargs), "delay")

    def schedule_at_sync(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``schedule_at`` does, from code without an event loop.

        Args:
            when: An aware ``datetime``; one in the past means now.
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            The handle of the job.

        Raises:
            AppNotOpen: It was called inside a running event loop. Otherwise raises as ``schedule_at`` does.
        """
        due_at_ms = due_ms(when, "schedule_at", "schedule_in", time.time_ns() // 1_000_000)
        return self._send_sync(self._request(args, kwargs, due_at_ms=due_at_ms), "schedule_at")

    def schedule_in_sync(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``schedule_in`` does, from code without an event loop.

        Args:
            delay: Seconds or ``timedelta``, 0 or more.
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Returns:
            The handle of the job.

        Raises:
            AppNotOpen: It was called inside a running event loop. Otherwise raises as ``schedule_in`` does.
        """
        return self._send_sync(self._request(args, kwargs, delay_ms=to_ms("delay", delay)), "schedule_in")

    def request(self, /, *args: P.args, **kwargs: P.kwargs) -> JobRequest[R]:
        """Return the checked call without sending it, for ``app.enqueue_many`` and ``app.add_schedule``.

        Args:
            *args: The handler's positional arguments.
            **kwargs: The handler's keyword arguments.

        Raises:
            ArgumentsError: The arguments don't fit the handler, or can't be encoded.
        """
        return self._request(args, kwargs)

    def handle(self, job_id: str) -> JobHandle[R]:
        """Return a handle of a job that was sent before, perhaps by another process.

        The queue and the tenant are those that a call would have. ``with_options(queue=…)`` names another queue. The
        handle reads the result as the handler's return annotation says.

        Args:
            job_id: The job's id.

        Raises:
            ArgumentsError: ``job_id`` is no text, or the id of another tenant's job.
            AppNotOpen: The job belongs to no app, and not exactly one is open.

        Example:
            ``text = await send_email.handle(job_id).result(timeout=10)``
        """
        definition, options = self._definition, self._call_options
        queue = options.queue or definition.options.queue or DEFAULT_QUEUE
        returns = signature_of(definition).returns
        return self._dispatcher().handle(queue, id_here(job_id, options.tenant), returns)

    def with_options(self, *, app: SendingApp | None = None, **options: Unpack[SendOptions]) -> JobCall[P, R]:
        """Return the job with options for one call, which win over those of the definition.

        Args:
            app: The ``App`` that sends it; by default the job's own, or the one that is open.
            **options: See ``SendOptions``.

        Raises:
            ArgumentsError: There is no such option, or it has a wrong value. The message names it.

        Example:
            ``await send_email.with_options(priority="high", timeout=30).delay("user@example.com")``
        """
        if app is not None and not hasattr(app, "_sender"):
            raise ArgumentsError(f"app={shown(app)}: expected the App that is to send the job")
        return JobCall(self._definition, self._call_options.updated(options), self._app if app is None else app)

    def _request(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, delay_ms: int = 0, due_at_ms: int | None = None
    ) -> JobRequest[R]:
        definition, options = self._definition, self._call_options
        if options.tenant is UNSET and (tenant := current_tenant_id()) is not None:
            options = msgspec.structs.replace(options, tenant=tenant)
        return definition._new_request(args, kwargs, options, delay_ms, due_at_ms)

    def _send(self, request: JobRequest[R], caller: FrameType) -> Coroutine[None, None, JobHandle[R]]:
        return self._dispatcher().dispatch(request, f"{caller.f_code.co_filename}:{caller.f_lineno}")

    def _send_sync(self, request: JobRequest[R], verb: str) -> JobHandle[R]:
        return self._dispatcher().dispatch_sync(request, f"await {request.name}.{verb}(…)")

    def _dispatcher(self) -> Dispatcher:
        return dispatcher_for(self._definition.name) if self._app is None else self._app._sender


class JobDefinition(_Verbs[P, R]):
    """A job: what ``@job`` makes of a function. Calling it calls the function."""

    function: Callable[P, Any]
    """The handler."""

    name: str
    """The name under which the job is queued."""

    aliases: tuple[str, ...]
    """Its earlier names."""

    options: DefinitionOptions
    """What ``@job`` has set, as checked; times in milliseconds."""

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        name: str | None = None,
        aliases: tuple[str, ...] = (),
        options: DefinitionOptions,
        app: SendingApp | None = None,
    ) -> None:
        self.function = function
        self.name = checked_job_name(function.__name__ if name is None else name)
        if options.timing is not None and self.name.startswith("@"):
            raise DefinitionError(
                f"job {self.name!r} has a schedule of its name, and @ begins the ids of tenants' schedules; give it "
                "another name: @job(name='…')"
            )
        self.aliases = tuple(checked_job_name(alias) for alias in aliases)
        self.options = options
        if options.executor == "process":
            check_importable(function, self.name)
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._definition = self
        self._call_options = _NO_OPTIONS
        self._app = app
        self._unique = options.unique or options.debounce
        self._signature: Signature | None = None
        self._keys: LineKeys | None = None
        try:
            self._signature = self._new_signature()
        except NameError:
            # An annotation names something defined further down; it is resolved at the first use.
            pass

    def _new_signature(self) -> Signature:
        hooks = STANDARD if self._app is None else self._app._hooks
        signature = Signature(self.function, self.name, hooks, self.options.secret)
        own = [name.lstrip("*") for name in signature.parameters]
        for name in self.options.secret:
            if name not in own:
                raise DefinitionError(
                    f"job {self.name!r}: secret={shown(name)} is none of its parameters, {', '.join(own) or 'none'}."
                    f"{closest(name, own)}"
                )
        check_unique(self.name, self.options, signature)
        self._keys = LineKeys(self.name, self.options, signature)
        return signature

    def _new_request(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions,
        delay_ms: int = 0,
        due_at_ms: int | None = None,
    ) -> JobRequest[Any]:
        """Return the checked call with these options, whatever the tenant here; raises as ``request`` does."""
        signature = signature_of(self)
        arguments, keywords = signature.encode(args, kwargs)
        unique = self._unique
        return JobRequest(
            name=self.name,
            arguments=arguments,
            keywords=keywords,
            signature=signature.hash,
            defaults=self.options,
            options=options,
            _returns=signature.returns,
            _unique=rule_for(unique, signature, arguments, keywords) if unique else None,
            _keys=self._keys,
            delay_ms=delay_ms,
            due_at_ms=due_at_ms,
        )

    def __repr__(self) -> str:
        return f"<job {self.name!r} of {self.__module__}.{self.__qualname__}>"


class AsyncJobDefinition(JobDefinition[P, R]):
    """A job whose handler is a coroutine function; calling it runs the plain function."""

    @_as_coroutine_function
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, R]:
        result: Coroutine[None, None, R] = self.function(*args, **kwargs)
        return result


class SyncJobDefinition(JobDefinition[P, R]):
    """A job whose handler is a plain function, run in a thread; calling it runs the plain function."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.function(*args, **kwargs)
        return result


class JobCall(_Verbs[P, R]):
    """A job with options for one call."""

    def __init__(self, definition: JobDefinition[P, R], options: CallOptions, app: SendingApp | None) -> None:
        self._definition = definition
        self._call_options = options
        self._app = app


def signature_of(definition: JobDefinition[..., Any]) -> Signature:
    """Return the parameters of a job's handler.

    Raises:
        DefinitionError: An annotation can't be resolved, or its values can't be decoded.
    """
    if definition._signature is None:
        try:
            definition._signature = definition._new_signature()
        except NameError as error:
            raise DefinitionError(
                f"job {definition.name!r}: an annotation can't be resolved ({error}); import the name where the module "
                "is run, not only under TYPE_CHECKING"
            ) from error
    return definition._signature


def keys_of(definition: JobDefinition[..., Any]) -> LineKeys:
    """Return what puts the jobs of a definition into lines.

    Raises:
        DefinitionError: An annotation can't be resolved, or a limit can't hold.
    """
    signature_of(definition)
    assert definition._keys is not None
    return definition._keys
