"""Priorities, and the order in which a worker serves its queues."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Literal

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ArgumentsError, closest

__all__ = ["Priority", "PriorityName", "is_ageing_claim", "weighted_order"]

PriorityName = Literal["critical", "high", "normal", "low"]
"""A priority by its name; see ``Priority``."""


class Priority(enum.IntEnum):
    """How urgent a job is within its queue; a lower number is served first."""

    CRITICAL = 0
    """Served before all others."""
    HIGH = 1
    """Served before ``NORMAL``."""
    NORMAL = 2
    """The default."""
    LOW = 3
    """Served last, save by the few claims that serve it first, so that it never starves; see ``Worker``."""

    @classmethod
    def parse(cls, given: Priority | PriorityName | str) -> Priority:
        """Return the priority of a name.

        Args:
            given: ``critical``, ``high``, ``normal`` or ``low``, in any case, or a ``Priority``.

        Raises:
            ArgumentsError: No priority has this name.
        """
        if isinstance(given, Priority):
            return given
        if isinstance(given, str):
            found = cls.__members__.get(given.upper())
            if found is not None:
                return found
        names = [name.lower() for name in cls.__members__]
        hint = closest(given, names) if isinstance(given, str) else ""
        raise ArgumentsError(f"{shown(given)} is not a priority; use one of {', '.join(names)}.{hint}")

    @property
    def label(self) -> str:
        """The lower-case name, as users write it."""
        return self.name.lower()


def weighted_order(weights: Mapping[str, float], chances: Sequence[float]) -> list[str]:
    """Return all queues in a random order in which a heavier one tends to come earlier.

    A queue comes first with the probability of its share of all weights, so none ever starves. The rule is weighted
    sampling without replacement by Efraimidis and Spirakis (2006): sort by ``u ** (1 / w)``, largest first.

    Args:
        weights: The weight of each queue, above 0.
        chances: A random number in [0, 1) for each queue.
    """
    keys = {queue: chance ** (1.0 / weight) for (queue, weight), chance in zip(weights.items(), chances, strict=True)}
    return sorted(keys, key=keys.__getitem__, reverse=True)


def is_ageing_claim(number: int, share: float) -> bool:
    """Return whether a claim serves low priority first; such claims are spread evenly.

    Args:
        number: The number of the claim: 1, 2, 3 …
        share: The share of such claims, 0 to 1; with 0.05 it is every twentieth.
    """
    return int(number * share) != int((number - 1) * share)
