"""Composes middleware into one call, once; layers that do nothing on a side are left out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest
from asyncjobs.middleware.base import CallNext, Middleware, Send

__all__ = ["checked_middleware", "innermost", "overrides", "processing", "sees_sending", "sending"]


def checked_middleware(given: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Return the layers, outermost first; raise ``ConfigurationError`` for what is none."""
    if isinstance(given, Middleware) or not isinstance(given, Sequence):
        raise ConfigurationError(f"middleware={given!r}: expected a list of Middleware objects")
    for one in given:
        if not isinstance(one, Middleware):
            made = " Make an object of it." if isinstance(one, type) and issubclass(one, Middleware) else ""
            raise ConfigurationError(f"middleware has {one!r}: expected objects of subclasses of Middleware.{made}")
    return tuple(given)


def sees_sending(layers: Sequence[Middleware]) -> bool:
    """Say whether any of the layers has something to do where jobs are sent."""
    return any(overrides(one, "enqueue") for one in layers)


def sending(layers: Sequence[Middleware], send: Send) -> Send | None:
    """Return ``send`` with the layers around it, or ``None`` if none of them has anything to do there."""
    chain = send
    for one in reversed(layers):
        if overrides(one, "enqueue"):
            chain = _enqueue_layer(one, chain)
    return None if chain is send else chain


def _enqueue_layer(layer: Middleware, send: Send) -> Send:
    name = type(layer).__qualname__

    async def call(requests: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
        handles = await layer.enqueue(requests, send)
        if len(handles) != len(requests):
            raise ConfigurationError(
                f"{name}.enqueue returned {len(handles)} handles for {len(requests)} requests; it must return what "
                "send(requests) returned, one handle a request"
            )
        return handles

    return call


def processing(layers: Sequence[Middleware], call: CallNext) -> CallNext:
    """Return ``call`` with the layers around it; ``call`` itself if none of them has anything to do there."""
    wanted = [one for one in layers if overrides(one, "process")]
    if not wanted:
        return call
    chain = innermost(call)
    for one in reversed(wanted):
        chain = _process_layer(one.process, chain)
    return chain


def innermost(call: CallNext) -> CallNext:
    async def run_handler(job: Any) -> Any:
        return await call(job)

    return run_handler


def _process_layer(process: Callable[..., Any], call_next: CallNext) -> CallNext:
    # A plain function that returns the layer's coroutine: a coroutine less than one that awaits it.
    def call(job: Any) -> Any:
        return process(job, call_next)

    return call


def overrides(layer: Middleware, side: str) -> bool:
    return getattr(type(layer), side) is not getattr(Middleware, side)
