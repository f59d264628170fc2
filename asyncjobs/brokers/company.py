"""Who may be claimed together of the jobs under which a worker has died."""

from __future__ import annotations

from collections.abc import Iterable

from asyncjobs.core.record.tries import unpack_tries
from asyncjobs.errors import EnvelopeError
from asyncjobs.ports import Claimed, ClaimRequest

__all__ = ["Company"]


class Company:
    """The suspects that one claim gets.

    Args:
        request: The claim, which says how many.
        jobs: What it has got already.
    """

    __slots__ = ("_max_deaths", "last_try", "left")

    def __init__(self, request: ClaimRequest, jobs: Iterable[Claimed]) -> None:
        self.left = request.max_suspects
        """How many more it may get."""
        self.last_try = request.last_try
        """Whether the next may be one that goes to the dead letter queue with its next death."""
        self._max_deaths = request.max_deaths
        for claimed in jobs:
            self.admits(claimed.tries)

    def admits(self, tries: bytes) -> bool:
        """Return whether the claim gets a job with these tries, and count it."""
        try:
            deaths = unpack_tries(tries).deaths
        except EnvelopeError:
            deaths = 0
        if deaths == 0:
            return True
        is_last = deaths + 1 >= self._max_deaths
        if self.left < 1 or (is_last and not self.last_try):
            return False
        self.left, self.last_try = 0 if is_last else self.left - 1, False
        return True
