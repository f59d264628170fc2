"""Which of the jobs under which a worker has died may be claimed together."""

from __future__ import annotations

from asyncjobs.core.record.tries import deaths_in
from asyncjobs.ports import ClaimRequest

__all__ = ["Company"]


class Company:
    """The suspects that one claim gets: jobs under which a worker has died.

    Args:
        request: The claim, which says how many.
    """

    __slots__ = ("_max_deaths", "left", "may_be_last")

    def __init__(self, request: ClaimRequest) -> None:
        self.left = request.max_suspects
        """How many more the claim may get."""
        self.may_be_last = request.last_try
        """Whether the next may be one that is dead with its next death."""
        self._max_deaths = request.max_deaths

    def must_wait(self, tries: bytes) -> bool:
        """Return whether a job with these tries must wait."""
        deaths = deaths_in(tries)
        return deaths > 0 and (self.left < 1 or (self._is_last_try(deaths) and not self.may_be_last))

    def join(self, tries: bytes) -> None:
        """Count a job with these tries, which the claim gets."""
        deaths = deaths_in(tries)
        if deaths:
            self.left, self.may_be_last = 0 if self._is_last_try(deaths) else self.left - 1, False

    def _is_last_try(self, deaths: int) -> bool:
        return deaths + 1 >= self._max_deaths
