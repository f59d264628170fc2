"""What the tests of lines, gates and turns share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjobs.core.limits import QueueLimit, QueueRules
from asyncjobs.core.lines import line_key
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import Claimed, GateFigures, NewJob
from asyncjobs.testing.conformance.bench import Bench

__all__ = ["close_by", "declare", "figures_of", "lined", "send_lined"]


def lined(bench: Bench, group: str = "", gates: Sequence[str] = (), **given: Any) -> NewJob:
    """Return a new job that waits in a line with a key.

    Args:
        bench: The bench.
        group: Its group.
        gates: Its gates.
        **given: Further arguments of ``Bench.new``.
    """
    return msgspec.structs.replace(bench.new(**given), line=line_key(group, gates))


async def send_lined(
    bench: Bench, group: str = "", gates: Sequence[str] = (), *, count: int = 1, **given: Any
) -> list[str]:
    """Send jobs of one line; return their ids.

    Args:
        bench: The bench.
        group: Their group.
        gates: Their gates.
        count: How many.
        **given: Further arguments of ``Bench.new``.
    """
    return await bench.send(*(lined(bench, group, gates, **given) for _ in range(count)))


async def declare(bench: Bench, **rules: int | QueueLimit) -> None:
    """Declare rules; a number is how many jobs of each gate run at once."""
    gates = {name: QueueLimit(rule) if isinstance(rule, int) else rule for name, rule in rules.items()}
    await bench.broker.declare_rules(bench.queue, QueueRules(gates=gates))


async def figures_of(bench: Bench, gate: str) -> GateFigures:
    """Return the figures of a gate."""
    [found] = [one for one in await bench.broker.gates(bench.queue, 1_000) if one.gate == gate]
    return found


async def close_by(bench: Bench, claimed: Claimed, gate: str, delay_ms: int) -> bool:
    """Settle a job that has found a gate closed for some time; return whether its lease still held."""
    one = bench.settlement(claimed)
    settlement = Settlement(
        one.queue, one.id, one.name, one.priority, one.fence, Verdict.SNOOZE, delay_ms=delay_ms, closes=gate
    )
    [held] = await bench.broker.settle([settlement])
    return bool(held)
