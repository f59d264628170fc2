"""Opens and closes resources: those of a worker around all its jobs, those of a job around its handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol

from asyncjobs.jobs.context import JobContext
from asyncjobs.middleware.base import CallNext
from asyncjobs.middleware.chain import Process, run_handler
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.resources.resolving import Need, Provider
from asyncjobs.worker.shield import Shielded

__all__ = ["OpenResources", "WorkerResources", "layer_with_resources", "with_resources"]

_log = logging.getLogger("asyncjobs.worker")


class _Closing(Protocol):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any: ...


class _Sync:
    """A sync context manager as an async one."""

    __slots__ = ("_manager",)

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        return self._manager.__exit__(kind, error, trace)


class Opened(Protocol):
    """Values of resources that are open, by the key of their provider."""

    def __getitem__(self, key: Provider, /) -> Any: ...

    def __contains__(self, key: object, /) -> bool: ...


class OpenResources:
    """Open resources, by the key of their provider; what isn't here is looked up in ``around``."""

    __slots__ = ("_around", "_managers", "values")

    def __init__(self, around: Opened) -> None:
        self._around = around
        self._managers: list[tuple[Need, _Closing]] = []
        self.values: dict[Provider, Any] = {}

    def __getitem__(self, key: Provider) -> Any:
        return self.values[key] if key in self.values else self._around[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values or key in self._around

    async def open(self, needs: Iterable[Need], job: JobContext | None) -> None:
        """Open ``needs`` in order, but for those that are open; if one can't be, the caller closes those before it."""
        for need in needs:
            if need.key in self:
                continue
            given = {name: self[key] for name, key in need.takes}
            for name in need.job:
                given[name] = job
            made = need.make(**given)
            if need.kind == "async context":
                self.values[need.key] = await made.__aenter__()
                self._managers.append((need, made))
            elif need.kind == "context":
                self.values[need.key] = made.__enter__()
                self._managers.append((need, _Sync(made)))
            else:
                self.values[need.key] = await made if need.kind == "awaitable" else made

    async def close(self, error: BaseException | None) -> None:
        """Close the resources, the last opened first, each once; ``error`` is raised at their ``yield``.

        An error of one resource doesn't keep the others open. The first such error is raised at the end, unless there
        was an ``error`` before, which no resource can swallow.
        """
        problem: BaseException | None = None
        while self._managers:
            need, manager = self._managers.pop()
            cause = error or problem
            try:
                await manager.__aexit__(type(cause) if cause else None, cause, cause.__traceback__ if cause else None)
            except BaseException as closing:
                if closing is not cause:
                    name = getattr(need.key, "__qualname__", repr(need.key))
                    if cause is not None:
                        _log.exception("closing the resource %s failed", name)
                    problem = problem or closing
        if problem is not None and error is None:
            raise problem


class WorkerResources(Duty):
    """The resources of one worker: ``needs`` in the order of their opening; ``values`` while they are open."""

    stop_within_s = 5.0

    def __init__(self, needs: Iterable[Need]) -> None:
        self._needs = tuple(needs)
        self._opened = OpenResources({})
        self.values: Mapping[Provider, Any] = self._opened.values

    async def start(self) -> None:
        """Open the resources; if one fails, those before it are closed again and its error is raised."""
        try:
            await self._opened.open(self._needs, None)
        except BaseException as error:
            await self._opened.close(error)
            raise

    async def stop(self) -> None:
        """Close the resources; one that can't be closed is logged, and the worker ends all the same."""
        try:
            await self._opened.close(None)
        except Exception:
            _log.exception("closing the worker's resources failed")


def with_resources(
    call: Callable[[JobContext], Awaitable[Any]],
    arguments: Mapping[str, Provider],
    needs: tuple[Need, ...],
    shared: WorkerResources,
) -> Callable[[JobContext], Awaitable[Any]]:
    """Return ``call`` with resources around it: ``needs`` opened before and closed after, ``arguments`` passed on."""

    def called(job: JobContext, given: dict[str, Any]) -> Awaitable[Any]:
        job.kwargs = {**job.kwargs, **given}
        return call(job)

    def run(job: JobContext) -> Awaitable[Any]:
        return _within(job, arguments, needs, shared, called)

    return run


def layer_with_resources(
    process: Callable[..., Coroutine[Any, Any, Any]],
    arguments: Mapping[str, Provider],
    needs: tuple[Need, ...],
    shared: WorkerResources,
) -> Process:
    """Return the layer ``process`` with resources around it, as ``with_resources`` does; the handler shares them."""

    def run(job: JobContext, call_next: CallNext) -> Coroutine[Any, Any, Any]:
        return _within(job, arguments, needs, shared, lambda job, given: process(job, call_next, **given))

    return run


async def _within(
    job: JobContext,
    arguments: Mapping[str, Provider],
    needs: tuple[Need, ...],
    shared: WorkerResources,
    call: Callable[[JobContext, dict[str, Any]], Awaitable[Any]],
) -> Any:
    around = job._resources
    opened = OpenResources(shared.values if around is None else around)
    try:
        # Through `run_handler`, so that an error of a provider isn't taken for one of the layer around.
        await run_handler(lambda job: opened.open(needs, job), job)
        job._resources = opened
        value = await call(job, {name: opened[key] for name, key in arguments.items()})
    except BaseException as error:
        with Shielded(job, "closing"):
            await _pending_cancellation()
            await opened.close(error)
        raise
    finally:
        job._resources = around
    with Shielded(job, "closing"):
        await _pending_cancellation()
        await run_handler(lambda _: opened.close(None), job)
    return value


async def _pending_cancellation() -> None:
    """Take a cancellation that came in the last step of a handler, so that it doesn't interrupt what closes."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
