"""Ids that wait in line: first in, first out."""

from __future__ import annotations

from collections import deque

__all__ = ["WaitingList"]


class WaitingList:
    """The line of one priority, or of one label of what is parked.

    Taking an id out of the middle of ``ids`` is slow, so it stays there, and in ``gone`` stands how many of its
    entries, the first ones, are to be passed over.
    """

    __slots__ = ("_gone_count", "gone", "ids")

    def __init__(self) -> None:
        self.ids: deque[str] = deque()
        self.gone: dict[str, int] = {}
        self._gone_count = 0

    @property
    def count(self) -> int:
        """How many ids wait, without those that are gone."""
        return len(self.ids) - self._gone_count

    def remove(self, job_id: str) -> None:
        """Take out an id that is here, wherever it stands."""
        self.gone[job_id] = self.gone.get(job_id, 0) + 1
        self._gone_count += 1

    def passes_over(self, job_id: str) -> bool:
        """Say whether an entry that was just popped is one of those that are gone; if so, it is forgotten."""
        number = self.gone.get(job_id)
        if number is None:
            return False
        if number > 1:
            self.gone[job_id] = number - 1
        else:
            del self.gone[job_id]
        self._gone_count -= 1
        return True
