"""The order in which a worker serves its queues, claim by claim."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from asyncjobs.core.priority import is_ageing_claim, weighted_order

__all__ = ["QueueOrder"]


class QueueOrder:
    """The queues of a worker: strictly in the order given, or at random by their weights.

    ``ageing``: the share of claims, from 0 to 1, that serve low priority first, so that it never starves.
    """

    def __init__(
        self,
        queues: Sequence[str] | Mapping[str, float],
        *,
        ageing: float = 0.05,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.queues = tuple(queues)
        self._weights = dict(queues) if isinstance(queues, Mapping) else None
        self._ageing = ageing
        self._chance = chance

    def draw(self) -> Sequence[str]:
        """Return the queues in the order of the next claim."""
        if self._weights is None or len(self.queues) == 1:
            return self.queues
        return weighted_order(self._weights, [self._chance() for _ in self.queues])

    def is_lowest_first(self, number: int) -> bool:
        """Return whether claim ``number`` serves low priority first."""
        return is_ageing_claim(number, self._ageing)
