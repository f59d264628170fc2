"""An app as its workers see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from asyncjobs.app.connection import Connection
from asyncjobs.app.lookup import Lookup
from asyncjobs.app.sender import Sender
from asyncjobs.core.options import DEFAULT_QUEUE
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.request import JobRequest, Sending
from asyncjobs.middleware.base import Middleware
from asyncjobs.ports import Broker, NewJob

R = TypeVar("R")


class AppHost:
    def __init__(
        self,
        connection: Connection,
        lookup: Lookup,
        sender: Sender,
        registry: Registry,
        retry: RetryPolicy,
        middleware: Sequence[Middleware],
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self._connection = connection
        self._lookup = lookup
        self._sender = sender
        self.registry = registry
        self.settings = connection.settings
        self.retry = retry
        self.middleware = middleware
        self.overrides = overrides

    def dispatch(self, request: JobRequest[R], where: str) -> Sending[R]:
        return self._sender.dispatch(request, where)

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        return self._sender.dispatch_sync(request, instead)

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        return self._sender.prepare(request, sent_at_ms=sent_at_ms)

    def handle(self, job_id: str, *, queue: str = DEFAULT_QUEUE) -> JobHandle[Any]:
        return JobHandle(self._lookup, queue, job_id)

    @property
    def broker(self) -> Broker:
        return self._connection.broker

    async def __aenter__(self) -> None:
        await self._connection.open()

    async def __aexit__(self, *error: object) -> None:
        await self._connection.close()
