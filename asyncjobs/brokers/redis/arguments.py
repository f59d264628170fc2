"""Arguments that scripts take as one text: a lease, a time, the label of a hold, a limit, and rules."""

from __future__ import annotations

from typing import Protocol

import msgspec

from asyncjobs.brokers.redis.keys import BY_NAME, BY_TENANT, BY_VERSION, HELD_QUEUE
from asyncjobs.core.limits import NO_LIMIT, QueueLimit, QueueRules, Rate
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import Hold

__all__ = [
    "hold_of",
    "label_of",
    "lease_member",
    "limit_of",
    "limit_text",
    "mode_of",
    "packed_rules",
    "rules_of",
    "time_given",
]

_rules = msgspec.msgpack.Decoder(tuple[dict[str, str], dict[str, float], bool])


class _Leased(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def fence(self) -> int: ...


def lease_member(lease: _Leased) -> str:
    """Return the member of the leased set: ``fence:priority:id``."""
    return f"{lease.fence}:{lease.priority}:{lease.id}"


def time_given(delay_ms: int | None, due_at_ms: int | None) -> str:
    """Return a time as ``include/due.lua`` reads it: from now, in Unix time, or ``""`` if neither is given."""
    if due_at_ms is not None:
        return f"@{due_at_ms}"
    return "" if delay_ms is None else f"+{delay_ms}"


def mode_of(rule: UniqueRule | None) -> str:
    """Return how a job is unique, as ``include/holders.lua`` reads it."""
    if rule is None:
        return ""
    if rule.wait_ms:
        return "d"
    mode = "s" if rule.until == "start" else "e"
    return mode.upper() if rule.on_conflict == "replace" else mode


def label_of(hold: Hold) -> str:
    """Return the label of ``hold``."""
    return {"queue": HELD_QUEUE, "name": BY_NAME, "tenant": BY_TENANT, "version": BY_VERSION}[hold.kind] + hold.which


def hold_of(label: str) -> Hold | None:
    """Return the hold with this label, ``None`` for one that only a newer asyncjobs knows."""
    if label.startswith(BY_NAME):
        return Hold("name", label.removeprefix(BY_NAME))
    if label.startswith(BY_TENANT):
        return Hold("tenant", label.removeprefix(BY_TENANT))
    if label.startswith(BY_VERSION):
        return Hold("version", label.removeprefix(BY_VERSION))
    return Hold("queue") if label == HELD_QUEUE else None


def limit_text(limit: QueueLimit) -> str:
    """Return a limit as ``include/limit.lua`` reads it."""
    rate = limit.rate
    numbers = (0, 0, 0) if rate is None else (rate.starts, rate.per_ms, rate.burst)
    return " ".join(map(str, (limit.running or 0, *numbers)))


def limit_of(text: bytes) -> QueueLimit:
    """Return the limit that ``text`` says; none for what can't be read."""
    try:
        running, starts, per_ms, burst = map(int, text.split())
        rate = Rate(starts, per_ms / 1000, burst) if starts else None
    except (ValueError, ArgumentsError):
        return NO_LIMIT
    return QueueLimit(running or None, rate)


def packed_rules(rules: QueueRules) -> bytes:
    """Return what ``rules`` say, but for the limit of the queue, as ``declare.lua`` reads it; empty for nothing."""
    if not (rules.gates or rules.weights or rules.by_time):
        return b""
    gates = {rule: limit_text(limit) for rule, limit in sorted(rules.gates.items())}
    return msgspec.msgpack.encode((gates, dict(sorted(rules.weights.items())), rules.by_time))


def rules_of(queue: QueueLimit, packed: bytes) -> QueueRules:
    """Return the rules of a queue with the limit ``queue``; none for what can't be read."""
    try:
        gates, weights, by_time = _rules.decode(packed) if packed else ({}, {}, False)
    except DECODING_ERRORS:
        return QueueRules(queue)
    return QueueRules(queue, {rule: limit_of(text.encode()) for rule, text in gates.items()}, weights, by_time)
