"""Puts the figures of gates together by their rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from asyncjobs.ports import GateFigures

__all__ = ["MAX_HOLDERS", "with_rules"]

#: How many of the jobs that run through a gate are named.
MAX_HOLDERS = 10


def with_rules(rules: Iterable[tuple[GateFigures, Sequence[GateFigures]]], limit: int) -> list[GateFigures]:
    """Return the rules, each followed by its gates, in the order of ``ports.Limits.gates``.

    Args:
        rules: What each rule has as a gate itself, and its gates.
        limit: How many gates of each rule at most.
    """
    found: list[GateFigures] = []
    for rule, gates in sorted(((_sum(rule, gates), gates) for rule, gates in rules), key=lambda one: _urgency(one[0])):
        found += [rule, *sorted(gates, key=_urgency)[:limit]]
    return found


def _sum(rule: GateFigures, gates: Sequence[GateFigures]) -> GateFigures:
    """Return the figures of a rule: those of its gates, and what it has as a gate itself, together."""
    parts = [rule, *gates]
    return msgspec.structs.replace(
        rule,
        running=sum(one.running for one in parts),
        booked=sum(one.booked for one in parts),
        lines=sum(one.lines for one in parts),
        jobs=sum(one.jobs for one in parts),
        oldest_wait_ms=max(one.oldest_wait_ms for one in parts),
        holders=tuple(itertools.islice(itertools.chain.from_iterable(one.holders for one in parts), MAX_HOLDERS)),
    )


def _urgency(one: GateFigures) -> tuple[int, str]:
    return -one.lines, one.gate
