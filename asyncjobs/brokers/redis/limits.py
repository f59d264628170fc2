"""How many jobs of a queue may run, at once and in a time, on Redis."""

from __future__ import annotations

from asyncjobs.brokers.redis.arguments import limit_of, limit_text
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.core.limits import QueueLimit

__all__ = ["RedisLimits"]

_LIMIT = load("limit")


class RedisLimits(Session):
    """A ``ports.Limits``."""

    async def declare_limit(self, queue: str, limit: QueueLimit) -> QueueLimit:
        return limit_of(await self._on_queue(_LIMIT, queue, text=limit_text(limit), by_hand=False, by=""))

    async def set_limit(self, queue: str, limit: QueueLimit | None, by: str) -> bool:
        await self._register(queue)
        text = "" if limit is None else limit_text(limit)
        before: bytes = await self._on_queue(_LIMIT, queue, text=text, by_hand=True, by=by)
        return before != text.encode()
