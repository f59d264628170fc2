"""Reads what the scripts reply about gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncjobs.brokers.redis.arguments import limit_of
from asyncjobs.brokers.redis.records import job_from
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.rules import with_rules
from asyncjobs.core.lines import rule_in
from asyncjobs.ports import GateFigures

__all__ = ["read_gate", "read_gates"]

_GATES = load("gates")


def read_gates(queue: str, reply: Sequence[Any], limit: int) -> list[GateFigures]:
    """Read ``gates.lua``: the rules, each followed by ``limit`` of its gates at most."""
    part = _GATES.reply(*reply)
    by_rule: dict[str, list[GateFigures]] = {rule.decode(): [] for rule in part.rules}
    of_rules: dict[str, GateFigures] = {}
    for row in part.gates:
        one = read_gate(queue, row, part.now_ms)
        gates = by_rule.setdefault(rule_in(one.gate), [])
        if one.gate == rule_in(one.gate):
            of_rules[one.gate] = one
        else:
            gates.append(one)
    return with_rules(((of_rules[name], gates) for name, gates in by_rule.items()), limit)


def read_gate(queue: str, row: Sequence[Any], now_ms: int) -> GateFigures:
    """Read a row of ``include/gate_figures.lua``."""
    gate, limit, by_hand, slots, booked, lines, jobs, opens_at_ms, first, oldest, holders = row
    created_at_ms = job_from(queue, first.decode(), oldest).created_at_ms if oldest else 0
    return GateFigures(
        gate=gate.decode(),
        limit=limit_of(limit),
        is_set=bool(by_hand),
        set_by=b" ".join(by_hand.split(b" ", 4)[4:]).decode(errors="replace"),
        running=max(0, slots - booked),
        booked=booked,
        lines=lines,
        jobs=jobs,
        oldest_wait_ms=max(0, now_ms - created_at_ms) if created_at_ms else 0,
        opens_at_ms=opens_at_ms if opens_at_ms >= 0 else None,
        holders=tuple(one.decode() for one in holders),
    )
