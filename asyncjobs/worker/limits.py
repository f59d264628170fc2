"""Lets the queues of a worker have the limits and weights that its program declares."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

from asyncjobs.core.limits import NO_LIMIT, QueueRules
from asyncjobs.errors import BrokerError, QueueUnavailable
from asyncjobs.ports import Broker
from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after
from asyncjobs.worker.duty import Duty

__all__ = ["DeclaredRules"]

_log = logging.getLogger("asyncjobs.worker")


class DeclaredRules(Duty):
    """Declares the rules of each queue at the start, before the worker claims; also that a queue has none.

    ``rules``: the limits and weights of each queue that the worker serves.
    """

    def __init__(self, broker: Broker, rules: Mapping[str, QueueRules]) -> None:
        self._broker = broker
        self._rules = rules
        # In a Cluster, those whose primary could not be reached yet.
        self._left: Sequence[str] = tuple(rules)

    async def start(self) -> None:
        """Declare the rules, and log where that takes another's place."""
        await self._declare_left()

    async def run(self) -> None:
        """Declare the rules of queues that could not be reached before."""
        failures = 0
        while self._left:
            failures += 1
            await asyncio.sleep(pause_after(failures, RESTART_PAUSES_S))
            with contextlib.suppress(BrokerError):
                await self._declare_left()

    async def declare_again(self) -> None:
        """Declare all rules once more, since the server may have lost them."""
        self._left = tuple(self._rules)
        await self._declare_left()

    async def _declare_left(self) -> None:
        queues = self._left
        replies = await asyncio.gather(*map(self._declare, queues), return_exceptions=True)
        self._left = [queue for queue, was in zip(queues, replies, strict=True) if isinstance(was, BaseException)]
        for queue, was in zip(queues, replies, strict=True):
            if isinstance(was, QueueRules):
                for what, now, before in _changes(was, self._rules[queue]):
                    _log.warning(
                        "the %s of the queue %s is %s now, as this program says; it was %s", what, queue, now, before
                    )
            elif not isinstance(was, QueueUnavailable):
                raise was

    async def _declare(self, queue: str) -> QueueRules:
        return await self._broker.declare_rules(queue, self._rules[queue])


def _changes(was: QueueRules, now: QueueRules) -> Iterator[tuple[str, object, object]]:
    """Give what was declared before and is other now: what it is, as it is now, and as it was."""
    if was.queue and was.queue != now.queue:
        yield "limit", now.queue, was.queue
    for rule, before in was.gates.items():
        if now.gates.get(rule, NO_LIMIT) != before:
            yield f"limit {rule!r}", now.gates.get(rule, NO_LIMIT), before
    for group, weight in was.weights.items():
        if now.weights.get(group, 1) != weight:
            yield f"weight of {group!r}", now.weights.get(group, 1), weight
