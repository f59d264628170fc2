"""The jobs of one queue whose deletion can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from asyncjobs.brokers.memory.entry import Entry

__all__ = ["Deleted", "DeletedJob"]


class DeletedJob(NamedTuple):
    """One of them."""

    deletion: int
    """The number of its deletion."""
    id: str
    """Its id."""
    entry: Entry
    """The job as it was."""
    group: str
    """The group of the dead that it was in."""
    tries: bytes
    """What its attempts came to."""
    was_dead: bool
    """Whether it was dead; else it had ended."""
    until_ms: int
    """Until when it is kept, in Unix milliseconds."""


class Deleted:
    """The deleted jobs, by their ids."""

    __slots__ = ("_jobs",)

    def __init__(self) -> None:
        self._jobs: dict[str, DeletedJob] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: DeletedJob) -> None:
        """Keep a job."""
        self._jobs[job.id] = job

    def take(self, job_id: str, now_ms: int) -> DeletedJob | None:
        """Take a job out, ``None`` if it isn't kept any more."""
        job = self._jobs.get(job_id)
        if job is None or job.until_ms <= now_ms:
            return None
        return self._jobs.pop(job_id)

    def after(self, cursor: str, now_ms: int) -> Iterator[DeletedJob]:
        """Return the jobs behind ``cursor``, those of the latest deletion first."""
        self.prune(now_ms)
        found = sorted(self._jobs.values(), key=attrgetter("deletion", "id"), reverse=True)
        deletion, _, job_id = cursor.partition(" ")
        return (job for job in found if not cursor or (job.deletion, job.id) < (int(deletion), job_id))

    def prune(self, now_ms: int) -> None:
        """Forget the jobs that have been kept long enough."""
        for job in [job for job in self._jobs.values() if job.until_ms <= now_ms]:
            del self._jobs[job.id]
