"""How many jobs of a queue and of its gates may run, at once and in a time, on Redis."""

from __future__ import annotations

from asyncjobs.brokers.redis.arguments import limit_of, limit_text, packed_rules, rules_of
from asyncjobs.brokers.redis.gates import read_gates
from asyncjobs.brokers.redis.replies import read_turns
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import Session
from asyncjobs.core.limits import LimitPart, QueueLimit, QueueRules
from asyncjobs.ports import GateFigures, TurnFigures

__all__ = ["RedisLimits"]

_DECLARE = load("declare")
_GATES = load("gates")
_LIMIT = load("limit")
_TURNS = load("turns")


class RedisLimits(Session):
    """A ``ports.Limits``."""

    async def declare_rules(self, queue: str, rules: QueueRules) -> QueueRules:
        reply = await self._on_queue(_DECLARE, queue, limit=limit_text(rules.queue), packed=packed_rules(rules))
        before = _DECLARE.reply(*reply)
        return rules_of(limit_of(before.limit_before), before.packed_before)

    async def set_limit(
        self, queue: str, gate: str, limit: QueueLimit | None, by: str, keep: LimitPart | None = None
    ) -> QueueLimit | None:
        await self._register(queue)
        text = "" if limit is None else limit_text(limit)
        held = await self._on_queue(_LIMIT, queue, gate=gate, given=text, by=by, keep=keep or "")
        return limit_of(held) if held else None

    async def gates(self, queue: str, limit: int) -> list[GateFigures]:
        return read_gates(queue, await self._on_queue(_GATES, queue), limit)

    async def turns(self, queue: str, limit: int) -> list[TurnFigures]:
        return read_turns(await self._on_queue(_TURNS, queue, limit=limit)) if limit > 0 else []
