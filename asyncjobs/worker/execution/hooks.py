"""Code of users around a worker's life: what runs before its first job, and after its last."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from asyncjobs.core.bounds import shown
from asyncjobs.errors import DefinitionError
from asyncjobs.jobs.handler import is_async
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.threads import in_thread
from asyncjobs.worker.resources.resolving import Provider, Resolver

__all__ = ["Hook", "Resolved", "WorkerHooks", "checked_hook", "name_of", "resolved"]

_log = logging.getLogger("asyncjobs.worker")

#: A function that a worker calls once at its start, or once at its end.
Hook: TypeAlias = Callable[..., object]


def checked_hook(given: Any, verb: str) -> None:
    """Raise ``DefinitionError`` if ``given`` can't be what the decorator ``verb`` decorates."""
    if not callable(given) or isinstance(given, type):
        raise DefinitionError(f"@app.{verb} decorates a function, not {shown(given)}")
    if inspect.isgeneratorfunction(given) or inspect.isasyncgenfunction(given):
        raise DefinitionError(
            f"@app.{verb} decorates a function that returns, and {name_of(given)} is a generator; to open something at "
            'the start and close it at the end, write @resource(scope="worker")'
        )


class Resolved(NamedTuple):
    """A hook, and the resources of the worker that it takes."""

    what: str
    call: Hook
    takes: Mapping[str, Provider]


def resolved(hook: Hook, what: str, resolver: Resolver, *, given: int = 0) -> Resolved:
    """Return ``hook`` with the worker's resources that it takes.

    Args:
        hook: The hook.
        what: Names it in errors.
        resolver: Finds its resources.
        given: How many of its first parameters the caller gives.

    Raises:
        DefinitionError: It takes what no worker can give it.
    """
    takes, own = resolver.resolve(hook, what)
    if own:
        raise DefinitionError(
            f"{what} takes {name_of(own[0].key)}, which lives as long as a job; it can only take what is marked "
            '@resource(scope="worker")'
        )
    for name, parameter in list(inspect.signature(hook).parameters.items())[given:]:
        has_value = name in takes or parameter.default is not parameter.empty
        if not has_value and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DefinitionError(f"{what} has the parameter {name!r}; give it a default, or Inject(…)")
    return Resolved(what, hook, takes)


class WorkerHooks(Duty):
    """Calls ``on_start`` in order before the first job, and ``on_stop`` in reverse once the last job is settled.

    ``resources``: the values of the worker's resources, which are open for as long.
    """

    # For the resources, which close after it.
    leaves_s = 2.0

    def __init__(
        self,
        on_start: Sequence[Resolved],
        on_stop: Sequence[Resolved],
        resources: Mapping[Provider, Any],
        *,
        stop_within_s: float,
    ) -> None:
        self._on_start = on_start
        self._on_stop = on_stop
        self._resources = resources
        self.stop_within_s = stop_within_s

    async def start(self) -> None:
        """Call the hooks of the start; the error of one keeps the worker from starting, and says so."""
        for hook in self._on_start:
            try:
                await self._call(hook)
            except Exception as error:
                error.add_note(f"It was raised by {hook.what}: the worker does not start.")
                raise

    async def stop(self) -> None:
        """Call the hooks of the end; one that fails is logged, and the worker ends all the same."""
        for hook in reversed(self._on_stop):
            try:
                await self._call(hook)
            except asyncio.CancelledError:
                _log.error("%s took too long", hook.what)
                raise
            except Exception:
                _log.exception("%s failed", hook.what)

    async def _call(self, hook: Resolved) -> None:
        taken = {name: self._resources[key] for name, key in hook.takes.items()}
        if is_async(hook.call):
            await cast("Awaitable[object]", hook.call(**taken))
        else:
            returned = await in_thread(hook.call, taken)
            if inspect.isawaitable(returned):
                # A partial or a wrapper of an async function, that does not show that it is one.
                await returned


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, for errors."""
    return getattr(function, "__qualname__", None) or repr(function)
