"""What ``app.turns()`` returns, made from the broker's figures."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from asyncjobs.core.gates import key_text
from asyncjobs.core.lines import short_value
from asyncjobs.core.priority import Priority
from asyncjobs.ports import TurnFigures

__all__ = ["MAX_TURNS", "TurnStats", "group_of_tenant", "tenants_by_group", "turn_stats"]

#: How many groups are told at most.
MAX_TURNS = 500


class TurnStats(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a queue with fair turns, and how many of its jobs wait for a turn."""

    group: str
    """The tenant, or the value of the parameter; those of more than 24 bytes as a digest that begins with ``~``. Empty
    for jobs that have limits by name and no group, which take turns together."""
    priority: str
    """The priority of these jobs: a group has turns in each priority."""
    weight: float
    """Its weight: how many starts it gets for one of a group of weight 1."""
    waiting: int
    """How many of its jobs wait, without those whose limits are closed. Of a group whose jobs have more than 100
    different sets of limits, these are the jobs of 100."""


def group_of_tenant(tenant: str) -> str:
    """Return the group of a tenant's jobs in a queue whose tenants take turns."""
    return short_value(key_text(tenant))


def tenants_by_group(tenants: Iterable[str]) -> dict[str, str]:
    """Return those of the tenants whose groups are digests, by their groups."""
    groups = {group_of_tenant(one): one for one in tenants}
    return {group: tenant for group, tenant in groups.items() if group != tenant}


def turn_stats(figures: TurnFigures) -> TurnStats:
    """Return the statistics of one group."""
    return TurnStats(
        group=figures.group, priority=Priority(figures.priority).label, weight=figures.weight, waiting=figures.jobs
    )
