"""What a broker promises about limits, and about turns."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.core.limits import LimitPart, QueueLimit, QueueRules
from asyncjobs.ports.gates import GateFigures, TurnFigures

__all__ = ["Limits"]


class Limits(Protocol):
    """The verbs that limit how many jobs run, of a queue and of its gates; claims keep to it.

    A limit counts the jobs of all workers. What was set by hand goes before what the program declares: of a gate, first
    what was set for its value, then what was set for its rule. A gate whose rule has no numbers is open.

    Jobs with a line key (``core.lines``) wait in lines, those of one priority and key in one. A line is in turn, or it
    waits for one of its gates, the first that had no room when it was tried. Slots are taken when a job is leased and
    are free when its lease ends, whichever way. Then as many lines that wait for the gate are in turn again as there is
    room: first those of higher priority, then those whose group is furthest behind. A line that needs several gates and
    was tried in vain four times books slots of those before the first full one.

    In each priority, claims share the starts between the groups that have a line in turn and the jobs without a line
    key, as ``core.turns`` says. A group that comes new, or comes back, has no arrears. In a group its lines take turns.
    A job that is released has used no turn; where turns are fair by time, only runs count anyway.
    """

    async def declare_rules(self, queue: str, rules: QueueRules) -> QueueRules:
        """Let a queue have the limits and weights that its program declares, in place of what was declared before.

        Lines that waited for a gate that has room now are startable at once; jobs that run go on.

        Args:
            queue: The queue.
            rules: The limits and weights.

        Returns:
            What was declared before.
        """
        ...

    async def set_limit(
        self, queue: str, gate: str, limit: QueueLimit | None, by: str, keep: LimitPart | None = None
    ) -> QueueLimit | None:
        """Let a queue, a rule or one gate have a limit, whatever the program declares, or take that back.

        Args:
            queue: The queue.
            gate: The name of a rule, or a gate as ``core.lines.gate_of`` gives it; empty for the queue itself.
            limit: The limit; without a number there is none. ``None`` for what would hold otherwise.
            by: Who sets it, for those who see it.
            keep: Which part is as it is until now, in place of that of ``limit``.

        Returns:
            What holds now, ``None`` if nothing has changed.
        """
        ...

    async def gates(self, queue: str, limit: int) -> list[GateFigures]:
        """Return the rules of a queue, each followed by its gates that have something to tell.

        These are the gates with numbers of their own, with jobs that run or wait, or with a rate that is used up. Those
        for which most lines wait come first; then by name. A rule without values is one gate.

        Args:
            queue: The queue.
            limit: How many gates of each rule at most.
        """
        ...

    async def turns(self, queue: str, limit: int) -> list[TurnFigures]:
        """Return the groups that have jobs in turn: by priority, and in the order of their next starts.

        A group is left out whose lines all wait for gates, or are empty. Where very many are, fewer groups may be told
        than ``limit``.

        Args:
            queue: The queue.
            limit: How many groups at most.
        """
        ...
