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

__all__ = ["Hook", "WorkerHooks", "checked_hook", "resolved_hooks"]

_log = logging.getLogger("asyncjobs.worker")

#: A function that a worker calls once at its start, or once at its end.
Hook: TypeAlias = Callable[..., object]


def checked_hook(given: Any, verb: str) -> None:
    """Raise ``DefinitionError`` if ``given`` can't be what the decorator ``verb`` decorates."""
    if not callable(given) or isinstance(given, type):
        raise DefinitionError(f"@app.{verb} decorates a function, not {shown(given)}")
    if inspect.isgeneratorfunction(given) or inspect.isasyncgenfunction(given):
        raise DefinitionError(
            f"@app.{verb} decorates a function that returns, and {_name(given)} is a generator; to open something at "
            'the start and close it at the end, write @resource(scope="worker")'
        )


class _Resolved(NamedTuple):
    """A hook, and the resources that it takes."""

    call: Hook
    takes: Mapping[str, Provider]


def resolved_hooks(hooks: Sequence[Hook], verb: str, resolver: Resolver) -> list[_Resolved]:
    """Return ``hooks`` with the worker's resources that they take.

    Raises:
        DefinitionError: One takes what no worker can give it.
    """
    found = []
    for hook in hooks:
        what = f"the {verb} hook {_name(hook)}"
        takes, own = resolver.resolve(hook, what)
        if own:
            raise DefinitionError(
                f"{what} takes {_name(own[0].key)}, which lives as long as a job; a hook can only take what is marked "
                '@resource(scope="worker")'
            )
        for name, parameter in inspect.signature(hook).parameters.items():
            is_given = name in takes or parameter.default is not parameter.empty
            if not is_given and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise DefinitionError(f"{what} has the parameter {name!r}; give it a default, or Inject(…)")
        found.append(_Resolved(hook, takes))
    return found


class WorkerHooks(Duty):
    """Calls ``on_start`` in order before the first job, and ``on_stop`` in reverse once the last job is settled.

    ``resources``: the values of the worker's resources, which are open for as long.
    """

    # For the resources, which close after it.
    leaves_s = 2.0

    def __init__(
        self,
        on_start: Sequence[_Resolved],
        on_stop: Sequence[_Resolved],
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
                error.add_note(f"The on_worker_start hook {_name(hook.call)} raised this: the worker does not start.")
                raise

    async def stop(self) -> None:
        """Call the hooks of the end; one that fails is logged, and the worker ends all the same."""
        for hook in reversed(self._on_stop):
            try:
                await self._call(hook)
            except asyncio.CancelledError:
                _log.error("the on_worker_stop hook %s took too long", _name(hook.call))
                raise
            except Exception:
                _log.exception("the on_worker_stop hook %s failed", _name(hook.call))

    async def _call(self, hook: _Resolved) -> None:
        given = {name: self._resources[key] for name, key in hook.takes.items()}
        if is_async(hook.call):
            await cast("Awaitable[object]", hook.call(**given))
        else:
            await in_thread(hook.call, given)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
