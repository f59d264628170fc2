"""Priorities, and the order in which a worker serves its queues."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Literal

from asyncjobs.errors import ArgumentsError, closest

__all__ = ["Priority", "PriorityName", "is_ageing_claim", "weighted_order"]

PriorityName = Literal["critical", "high", "normal", "low"]


class Priority(enum.IntEnum):
    """How urgent a job is within its queue; a lower number is served first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @classmethod
    def parse(cls, given: Priority | PriorityName | str) -> Priority:
        """Return the priority that ``given`` (a ``Priority`` or its name in any case) means.

        Raises ``ArgumentsError`` for anything else.
        """
        if isinstance(given, Priority):
            return given
        if isinstance(given, str):
            found = cls.__members__.get(given.upper())
            if found is not None:
                return found
        names = [name.lower() for name in cls.__members__]
        raise ArgumentsError(f"{given!r} is not a priority; use one of {', '.join(names)}.{closest(str(given), names)}")

    @property
    def label(self) -> str:
        """The lower-case name, as users write it."""
        return self.name.lower()


def weighted_order(weights: Mapping[str, float], chances: Sequence[float]) -> list[str]:
    """Return all queues in a random order in which a heavier one tends to come earlier.

    ``weights`` maps a queue to its weight (> 0), ``chances`` holds one number in [0, 1) a queue. Each queue is
    first with a probability of its weight's share, so none ever starves. The rule is weighted sampling without
    replacement by Efraimidis and Spirakis (2006): sort by ``u ** (1 / w)``, largest first.
    """
    keys = {queue: chance ** (1.0 / weight) for (queue, weight), chance in zip(weights.items(), chances, strict=True)}
    return sorted(keys, key=keys.__getitem__, reverse=True)


def is_ageing_claim(number: int, share: float) -> bool:
    """Say whether claim ``number`` (1, 2, 3 …) is one of the ``share`` (0 to 1) that serve low priority first.

    Spread evenly: with 0.05 it is every twentieth claim.
    """
    return int(number * share) != int((number - 1) * share)
