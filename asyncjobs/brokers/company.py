"""Who may be claimed together of the jobs under which a worker has died."""

from __future__ import annotations

from asyncjobs.core.record.tries import unpack_tries
from asyncjobs.ports import ClaimRequest

__all__ = ["Company"]


class Company:
    """The suspects that one claim gets.

    Args:
        request: The claim, which says how many.
    """

    __slots__ = ("_left", "_max_deaths", "_may_be_last")

    def __init__(self, request: ClaimRequest) -> None:
        self._left = request.max_suspects
        self._may_be_last = request.last_try
        self._max_deaths = request.max_deaths

    def admits(self, tries: bytes) -> bool:
        """Return whether the claim gets a job with these tries, and count it."""
        deaths = unpack_tries(tries).deaths
        if deaths == 0:
            return True
        is_last = deaths + 1 >= self._max_deaths
        if self._left < 1 or (is_last and not self._may_be_last):
            return False
        self._left, self._may_be_last = 0 if is_last else self._left - 1, False
        return True
