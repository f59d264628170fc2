"""Jobs as users define them: a function, its options, and the verbs that send it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Generic, ParamSpec, TypeVar, Unpack

import msgspec

from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.options import UNSET, CallOptions, DefinitionOptions, SendOptions
from asyncjobs.core.record.header import MAX_NAME_BYTES
from asyncjobs.errors import ArgumentsError, DefinitionError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.open_apps import dispatcher_for
from asyncjobs.jobs.request import Dispatcher, JobRequest, Sending
from asyncjobs.jobs.signature import Signature
from asyncjobs.jobs.tenant_scope import current_tenant_id

__all__ = ["AsyncJobDefinition", "JobCall", "JobDefinition", "SyncJobDefinition"]

P = ParamSpec("P")
R = TypeVar("R")

_NO_OPTIONS = CallOptions()


class _Verbs(Generic[P, R]):
    """The verbs that send a job, shared by a definition and by one with options for a call."""

    def _parts(self) -> tuple[JobDefinition[P, R], CallOptions, Dispatcher | None]:
        raise NotImplementedError

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Sending[R]:
        """Send the job to run as soon as a worker is free; await what is returned to get its ``JobHandle``.

        The arguments are checked at once: raises ``ArgumentsError`` if they do not fit the handler or can't be encoded,
        ``PayloadTooLarge``, and ``AppNotOpen``. Awaiting raises ``BrokerUnavailable`` or ``BrokerRefused``.
        """
        return self._send(self._request(args, kwargs))

    def schedule_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Sending[R]:
        """Send the job to run at ``when``, an aware ``datetime``; in the past means now. Raises as ``delay`` does."""
        return self._send(self._request(args, kwargs, due_at_ms=due_ms(when, "schedule_at", "schedule_in")))

    def schedule_in(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Sending[R]:
        """Send the job to run after ``delay``: seconds, or a ``timedelta``. Raises as ``delay`` does."""
        return self._send(self._request(args, kwargs, delay_ms=to_ms("delay", delay)))

    def delay_sync(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``delay`` does from code without an event loop; inside one it is refused."""
        return self._send_sync(self._request(args, kwargs), "delay")

    def schedule_at_sync(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``schedule_at`` does from code without an event loop; inside one it is refused."""
        return self._send_sync(
            self._request(args, kwargs, due_at_ms=due_ms(when, "schedule_at", "schedule_in")), "schedule_at"
        )

    def schedule_in_sync(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Do what ``schedule_in`` does from code without an event loop; inside one it is refused."""
        return self._send_sync(self._request(args, kwargs, delay_ms=to_ms("delay", delay)), "schedule_in")

    def request(self, *args: P.args, **kwargs: P.kwargs) -> JobRequest[R]:
        """Return the checked call without sending it, for ``app.enqueue_many``."""
        return self._request(args, kwargs)

    def with_options(self, *, app: Dispatcher | None = None, **options: Unpack[SendOptions]) -> JobCall[P, R]:
        """Return the job with options for one call, which win over those of the definition.

        Args:
            app: The app that sends it; by default the job's own, or the one that is open.
            **options: See ``SendOptions``.

        Raises:
            ArgumentsError: There is no such option, or it has a wrong value. The message names it.
        """
        definition, before, own = self._parts()
        return JobCall(definition, before.updated(options), app or own)

    def _request(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, delay_ms: int = 0, due_at_ms: int | None = None
    ) -> JobRequest[R]:
        definition, options, _ = self._parts()
        if options.tenant is UNSET and (tenant := current_tenant_id()) is not None:
            options = msgspec.structs.replace(options, tenant=tenant)
        signature = definition.signature
        arguments, keywords = signature.encode(args, kwargs)
        return JobRequest(
            name=definition.name,
            arguments=arguments,
            keywords=keywords,
            signature=signature.hash,
            defaults=definition.options,
            options=options,
            returns=signature.returns,
            delay_ms=delay_ms,
            due_at_ms=due_at_ms,
        )

    def _dispatcher(self) -> Dispatcher:
        definition, _, dispatcher = self._parts()
        return dispatcher or definition.app or dispatcher_for(definition.name)

    def _send(self, request: JobRequest[R]) -> Sending[R]:
        caller = sys._getframe(2)
        return self._dispatcher().dispatch(request, f"{caller.f_code.co_filename}:{caller.f_lineno}")

    def _send_sync(self, request: JobRequest[R], verb: str) -> JobHandle[R]:
        return self._dispatcher().dispatch_sync(request, f"await {request.name}.{verb}(…)")


class JobDefinition(_Verbs[P, R]):
    """A job: its ``name``, ``function`` and ``options``, and the ``app`` it belongs to (``None``: a library's job)."""

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        name: str | None = None,
        aliases: tuple[str, ...] = (),
        options: DefinitionOptions,
        app: Dispatcher | None = None,
    ) -> None:
        if not callable(function) or not hasattr(function, "__name__"):
            raise DefinitionError(f"@job decorates functions, not {function!r}")
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise DefinitionError(f"job {function.__name__!r} is a generator; a handler returns its result")
        self.function = function
        self.name = _checked_name(function.__name__ if name is None else name)
        self.aliases = tuple(_checked_name(alias) for alias in aliases)
        self.options = options
        self.app = app
        self.is_async = inspect.iscoroutinefunction(function)
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._signature: Signature | None = None
        try:
            self._signature = Signature(function, self.name)
        except NameError:
            # An annotation names something defined further down; it is resolved at the first use.
            pass

    @property
    def signature(self) -> Signature:
        """The handler's parameters; raises ``DefinitionError`` if an annotation can't be resolved or decoded."""
        if self._signature is None:
            try:
                self._signature = Signature(self.function, self.name)
            except NameError as error:
                raise DefinitionError(
                    f"job {self.name!r}: an annotation can't be resolved ({error}); import the name where the module "
                    "is run, not only under TYPE_CHECKING"
                ) from error
        return self._signature

    def scheduled(self) -> JobRequest[R]:
        """Return the call that the job's own schedule makes; raise ``DefinitionError`` if it needs arguments."""
        try:
            return JobRequest(
                name=self.name,
                arguments=self.signature.encode((), {})[0],
                keywords=(),
                signature=self.signature.hash,
                defaults=self.options,
                options=_NO_OPTIONS,
                returns=self.signature.returns,
            )
        except ArgumentsError as error:
            raise DefinitionError(
                f"job {self.name!r} has a schedule, so all its parameters need defaults: {error}; or give them with "
                "app.add_schedule(…)"
            ) from error

    def __repr__(self) -> str:
        return f"<job {self.name!r} of {self.__module__}.{self.__qualname__}>"

    def _parts(self) -> tuple[JobDefinition[P, R], CallOptions, Dispatcher | None]:
        return self, _NO_OPTIONS, self.app


class AsyncJobDefinition(JobDefinition[P, R]):
    """A job whose handler is a coroutine function; calling it runs the plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        result: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return result


class SyncJobDefinition(JobDefinition[P, R]):
    """A job whose handler is a plain function, run in a thread; calling it runs the plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.function(*args, **kwargs)
        return result


class JobCall(_Verbs[P, R]):
    """A job with options for one call."""

    def __init__(self, definition: JobDefinition[P, R], options: CallOptions, app: Dispatcher | None) -> None:
        self._definition = definition
        self._options = options
        self._app = app

    def _parts(self) -> tuple[JobDefinition[P, R], CallOptions, Dispatcher | None]:
        return self._definition, self._options, self._app


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name.encode()) > MAX_NAME_BYTES or any(map(str.isspace, name)):
        raise DefinitionError(
            f"job name {name!r:.80}: expected 1 to {MAX_NAME_BYTES} bytes of text without white space"
        )
    return name
