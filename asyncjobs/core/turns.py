"""Turns: the rules by which claims share a queue between groups of jobs, and by which lines wait for gates.

Groups share a priority by virtual time (start-time fair queuing). Each group has a *tag*, the virtual time of its next
start: a claim takes the next job of the group with the smallest tag, and moves the tag on by 1 / weight. The *clock* of
the priority is the largest tag at which a job has started. Jobs without a line key are one more participant of weight
1, which goes before all groups of its tag; groups of the same tag go in the order of their names.

A worker may give back a job that it has claimed and not begun. Then the tag of its group moves back by 1 / weight, but
not to more than that behind the clock: else a group to which many jobs come back would keep off those that came later.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "MAX_LAG",
    "MAX_LINED_CLAIM",
    "MAX_STAYING",
    "MAX_TRIED",
    "PATIENCE",
    "TIMED_START",
    "cost_of_start",
    "wait_score",
    "weight_in",
]

#: How many jobs a claim gets at most of a queue that has lines.
MAX_LINED_CLAIM = 200

#: How many lines a claim tries in vain at most: their gates are closed, or they are empty.
MAX_TRIED = 256

#: How many jobs of a line that must wait (worker/suspects.py) a claim passes over; then it leaves the line alone.
MAX_STAYING = 200

#: How many starts of a group of weight 1 a group may be behind the clock that comes back from a closed gate.
MAX_LAG = 100

#: After how many tries in vain a line that needs several gates begins to book slots.
PATIENCE = 4

#: What a start counts where turns are fair by time, and what counts is known at the end.
TIMED_START = 1e-6


def weight_in(weights: Mapping[str, float], group: str) -> float:
    """Return the weight of a group, 1 if nothing else is said."""
    weight = weights.get(group, 1.0)
    return weight if weight > 0 else 1.0


def cost_of_start(weight: float, *, by_time: bool) -> float:
    """Return by how much one start moves on the tag of a group."""
    return (TIMED_START if by_time else 1.0) / weight


def wait_score(priority: int, tag: float) -> float:
    """Return by what lines are ordered that wait for one gate: by priority, then by the tag of their groups.

    A line that goes before the others of its priority has the tag 0.
    """
    return priority * 2.0**42 + tag
