"""The base of all groups of verbs."""

from __future__ import annotations

from collections.abc import Collection

from asyncjobs.app.connection import Connection
from asyncjobs.app.lookup import Lookup
from asyncjobs.app.queues import DeclaredQueues
from asyncjobs.app.sender import Sender
from asyncjobs.core.options import checked_queue
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.registry import Registry
from asyncjobs.jobs.values.hooks import Hooks
from asyncjobs.ports import Broker

__all__ = ["Verbs"]


class Verbs:
    """The parts of an app that its verbs use. A group of verbs adds methods, and no state."""

    registry: Registry
    retry: RetryPolicy
    _connection: Connection
    _lookup: Lookup
    _declared: DeclaredQueues
    _sender: Sender
    _encryption: Encryption | None
    _hooks: Hooks

    @property
    def _broker(self) -> Broker:
        """The open broker, on the app's own loop."""
        return self._connection.broker

    async def _queues(self, queue: str | Collection[str] | None) -> list[str]:
        """Return the given queue or queues; for ``None``, all queues in use."""
        if queue is None:
            return await self._broker.queues()
        is_one = isinstance(queue, str | bytes) or not isinstance(queue, Collection)
        return [checked_queue(one) for one in ([queue] if is_one else queue)]
