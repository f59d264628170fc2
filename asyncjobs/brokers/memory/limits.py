"""How many jobs of a queue may run, of its gates and in all, at once and in a time."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from asyncjobs.brokers.memory.limit import Limit
from asyncjobs.brokers.memory.lines import Lines
from asyncjobs.brokers.memory.places import oldest_wait_ms
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.rules import MAX_HOLDERS, with_rules
from asyncjobs.core.limits import NO_LIMIT, LimitPart, QueueLimit, QueueRules
from asyncjobs.core.lines import rule_in
from asyncjobs.core.retention import QUEUE_KEEP_MS
from asyncjobs.core.turns import weight_in
from asyncjobs.ports import GateFigures, TurnFigures

__all__ = ["MemoryLimits", "gate_figures"]


class MemoryLimits:
    """A ``ports.Limits`` under the broker's lock."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]
    _queue: Callable[[str], Queue]
    _list: Callable[[Iterable[str], int], None]

    async def declare_rules(self, queue: str, rules: QueueRules) -> QueueRules:
        with self._lock:
            state, lined = self._queue(queue), self._queue(queue).lined
            before, state.rules = state.rules, rules
            lined.weights, lined.by_time = rules.weights, rules.by_time
            if rules.gates != before.gates:
                lined.gates.declared = rules.gates
                _let_on(state, rules.gates.keys() | before.gates.keys(), self._now_ms())
            if rules.queue or state.limit is not None:
                kept = state.limit = state.limit or Limit()
                kept.declared = rules.queue
                state.ring()
            return before

    async def set_limit(
        self, queue: str, gate: str, limit: QueueLimit | None, by: str, keep: LimitPart | None = None
    ) -> QueueLimit | None:
        with self._lock:
            now_ms = self._now_ms()
            self._list([queue], now_ms + QUEUE_KEEP_MS)
            state = self._queue(queue)
            if limit is not None:
                limit = limit.keeping(keep, _held(state, gate))
            is_changed = _set_gate(state, gate, limit, by, now_ms) if gate else _set_queue(state, limit, by)
            return _held(state, gate) if is_changed else None

    async def gates(self, queue: str, limit: int) -> list[GateFigures]:
        with self._lock:
            state, now_ms = self._queue(queue), self._now_ms()
            lined, by_rule = state.lined, defaultdict[str, list[GateFigures]](list)
            known = {*lined.gates, *(line.gate for line in lined if line.gate)}
            for name in {*state.rules.gates, *map(rule_in, known)}:
                by_rule[name] = []
            for gate in known:
                if gate not in by_rule:
                    by_rule[rule_in(gate)].append(gate_figures(lined, gate, now_ms))
            rules = ((gate_figures(lined, name, now_ms), gates) for name, gates in by_rule.items())
            return with_rules(rules, limit)

    async def turns(self, queue: str, limit: int) -> list[TurnFigures]:
        with self._lock:
            lined = self._queue(queue).lined
            return [
                TurnFigures(group=group, priority=priority, weight=weight_in(lined.weights, group), jobs=jobs)
                for priority, turns in enumerate(lined.turns)
                for group, jobs in turns.next_groups(limit)
            ][: max(0, limit)]


def _held(queue: Queue, gate: str) -> QueueLimit:
    """Return the limit that holds for a gate, or for the queue."""
    if gate:
        return queue.lined.gates.limit_of(gate)
    return NO_LIMIT if queue.limit is None else queue.limit.current


def _set_queue(queue: Queue, limit: QueueLimit | None, by: str) -> bool:
    kept = queue.limit = queue.limit or Limit()
    if kept.set_by_hand == limit:
        return False
    kept.set_by_hand, kept.set_by = limit, by if limit is not None else ""
    queue.ring()
    return True


def _set_gate(queue: Queue, gate: str, limit: QueueLimit | None, by: str, now_ms: int) -> bool:
    by_hand = queue.lined.gates.by_hand
    before = by_hand.get(gate)
    if (before and before[0]) == limit:
        return False
    if limit is None:
        del by_hand[gate]
    else:
        by_hand[gate] = limit, by
    _let_on(queue, {gate}, now_ms)
    return True


def _let_on(queue: Queue, changed: Iterable[str], now_ms: int) -> None:
    """Let lines be in turn again that wait for gates which have room under their new limits, of rules or of gates."""
    names = set(changed)
    queue.lined.changed.update(gate for gate in queue.lined.waiting if gate in names or rule_in(gate) in names)
    queue.pass_on(now_ms)


def gate_figures(lined: Lines, gate: str, now_ms: int) -> GateFigures:
    """Return the figures of one gate."""
    gates, waiting = lined.gates, [line for _, _, line in lined.waiting.get(gate, ()) if line]
    holders = gates.holders.get(gate, {})
    own = gates.by_hand.get(gate)
    return GateFigures(
        gate=gate,
        limit=gates.limit_of(gate),
        is_set=own is not None,
        set_by=own[1] if own else "",
        running=len(holders),
        booked=int(gate in gates.booked),
        lines=len(waiting),
        jobs=sum(map(len, waiting)),
        oldest_wait_ms=oldest_wait_ms(waiting, now_ms),
        # While lines wait, several starts are let come together: one alone would open it earlier.
        opens_at_ms=gates.opens_at_ms(gate, now_ms) or (lined.opens.of(gate) if waiting else None),
        holders=tuple(itertools.islice(holders, MAX_HOLDERS)),
    )
