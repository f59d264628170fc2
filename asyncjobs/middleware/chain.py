"""Composes middleware into one call, once; a layer that does nothing on a side is left out of it."""

from __future__ import annotations

import dis
import inspect
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, TypeAlias

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.handler import is_async
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.resources import Injected
from asyncjobs.middleware.base import CallNext, Middleware, Send

__all__ = [
    "Caller",
    "Process",
    "checked_middleware",
    "overrides",
    "processing",
    "run_handler",
    "sees_sending",
    "sending",
]

_EXPECTED = "expected it to end by `return await send(requests)`, with one handle a request"


def checked_middleware(given: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Return the layers, outermost first.

    Raises:
        ConfigurationError: ``given`` is no sequence of middleware, or an ``enqueue`` returns nothing.
    """
    if isinstance(given, Middleware) or not isinstance(given, Sequence):
        raise ConfigurationError(f"middleware={shown(given)}: expected a list of Middleware objects")
    for one in given:
        if not isinstance(one, Middleware):
            made = " Make an object of it." if isinstance(one, type) and issubclass(one, Middleware) else ""
            raise ConfigurationError(
                f"middleware has {shown(one)}: expected objects of subclasses of Middleware.{made}"
            )
        if overrides(one, "enqueue") and _returns_nothing(type(one).enqueue):
            raise ConfigurationError(f"{type(one).__qualname__}.enqueue returns nothing: {_EXPECTED}")
        if not is_async(one.ended):
            raise ConfigurationError(f"{type(one).__qualname__}.ended is a plain function: expected an async def")
        if any(isinstance(parameter.default, Injected) for parameter in _parameters_of(one.enqueue)):
            raise ConfigurationError(
                f"{type(one).__qualname__}.enqueue has a parameter with Inject, but jobs are sent where no worker is, "
                "too: only process and ended can have resources"
            )
    return tuple(given)


def _parameters_of(function: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()


def _returns_nothing(function: Callable[..., Any]) -> bool:
    """Return whether ``function`` ends without a value wherever it returns, as its code tells before it is called."""
    if not isinstance(function, types.FunctionType):
        return False
    code = list(dis.get_instructions(function))
    values = [one.argval for one in code if one.opname == "RETURN_CONST"]
    for before, one in itertools.pairwise(code):
        if one.opname == "RETURN_VALUE":
            values.append(before.argval if before.opname == "LOAD_CONST" else before)
    return bool(values) and all(value is None for value in values)


def overrides(layer: Middleware, side: Literal["enqueue", "process", "ended"]) -> bool:
    """Return whether ``layer`` has something to do where jobs are sent (``enqueue``), run (``process``), or end."""
    return getattr(type(layer), side) is not getattr(Middleware, side)


# -- sending


def sees_sending(layers: Sequence[Middleware]) -> bool:
    """Return whether any of the layers has something to do where jobs are sent."""
    return any(overrides(one, "enqueue") for one in layers)


def sending(layers: Sequence[Middleware], send: Send) -> Send | None:
    """Return ``send`` with the layers around it, or ``None`` if none of them has anything to do there."""
    if not sees_sending(layers):
        return None
    for one in reversed(layers):
        if overrides(one, "enqueue"):
            send = _enqueue_layer(one, send)
    return send


def _enqueue_layer(layer: Middleware, send: Send) -> Send:
    async def call(requests: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
        handles = await layer.enqueue(requests, send)
        # A list first: to ask whether something is a sequence takes ten times as long.
        is_sequence = type(handles) is list or isinstance(handles, Sequence)
        if not is_sequence or len(handles) != len(requests) or {*map(type, handles)} - {JobHandle}:
            given = f"{shown(handles)} for {len(requests)} requests"
            raise ConfigurationError(f"{type(layer).__qualname__}.enqueue returned {given}: {_EXPECTED}")
        return handles

    return call


# -- running

#: Calls the handler of one attempt, and returns what it returned.
Caller: TypeAlias = Callable[[JobContext], Awaitable[Any]]


#: The ``process`` of a layer.
Process: TypeAlias = Callable[[JobContext, CallNext], Coroutine[Any, Any, Any]]


def processing(layers: Sequence[Process], call: Caller) -> Caller:
    """Return ``call``, which runs a handler, with ``layers`` around it, outermost first; itself without any."""
    if not layers:
        return call
    # Bound as a method is: calling it costs less than calling a functools.partial.
    chain: CallNext = types.MethodType(run_handler, call)
    for process in reversed(layers):
        chain = _process_layer(process, chain)
    return chain


async def run_handler(call: Caller, job: JobContext) -> Any:
    """Run a handler inside middleware. This frame marks in a traceback where the layers end."""
    return await call(job)


def _process_layer(process: Process, call_next: CallNext) -> CallNext:
    # It returns the layer's coroutine, and is none itself: one fewer is made for each layer and job.
    def call(job: JobContext) -> Coroutine[Any, Any, Any]:
        return process(job, call_next)

    return call
